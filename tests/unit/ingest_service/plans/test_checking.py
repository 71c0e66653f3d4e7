"""What a plan must be: each fault by its element, and never with a person's value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ingest_service.plans import checking, reading
from ingest_service.plans.reading import PlanError

BASE: dict[str, Any] = {
    "id": "00000000-0000-4000-8000-000000000001",
    "version": 1,
    "patient_id": "00000000-0000-4000-8000-000000000002",
    "care_unit_id": "00000000-0000-4000-8000-000000000003",
    "programme": "copd",
    "status": "draft",
    "since": "2026-01-01T00:00:00+01:00",
    "until": "2026-12-31T00:00:00+01:00",
    "activities": [{"family": "spo2"}],
    "limits": {"spo2": {"red_low": "88", "yellow_low": "90", "immediate_low": "84"}},
}
EMPTY: dict[str, Any] = {}
TEMPORARY = {
    "measure": "spo2",
    "limits": {"red_low": "85"},
    "since": "2026-02-01T00:00:00+01:00",
    "until": "2026-02-08T00:00:00+01:00",
    "by": "SE1",
    "reason": "infection",
}


def told(**change: Any) -> list[str]:
    return checking.faults(reading.decode(json.dumps(BASE | change)))


def spo2(**limits: str) -> dict[str, Any]:
    return {"limits": {"spo2": limits}}


def test_a_plan_in_order_has_no_fault() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (spo2(red_low="91", yellow_low="90"), "plan.limits.spo2.red_low: "),
        (spo2(yellow_high="96", red_high="95"), "plan.limits.spo2.yellow_high: "),
        (spo2(yellow_low="95", yellow_high="92"), "plan.limits.spo2.yellow_low: "),
        (spo2(red_low="85", immediate_low="86"), "plan.limits.spo2.immediate_low: "),
        (spo2(yellow_low="90", immediate_low="84"), "plan.limits.spo2.immediate_low: "),
        (spo2(red_low="880"), "plan.limits.spo2.red_low: must be 40 to 100"),
        (spo2(red_low="NaN"), "plan.limits.spo2.red_low: must be"),
        (spo2(red_low="1E+900000"), "plan.limits.spo2.red_low: must be"),
        (spo2(red_low="88.1234567"), "plan.limits.spo2.red_low: has more"),
        (spo2(), "plan.limits.spo2: at least one"),
        (spo2(yellow_low="90", yellow_high="92", hysteresis="2"), "plan.limits.spo2.hysteresis"),
        ({"until": "2025-01-01T00:00:00Z"}, "plan.until: "),
        ({"time_zone": "Europe/Nowhere"}, "plan.time_zone: "),
        ({"limits_when": {"rest": {"spo2": {"red_low": "88"}}}}, "plan.limits_when.rest: "),
        ({"targets": {"spo2": {"low": "88"}}}, "plan.limits.spo2.yellow_low: lies inside"),
        ({"usual": [{"measure": "spo2", "low": "95", "high": "90"}]}, "plan.usual[0].low: "),
        (
            {"pauses": [{"since": TEMPORARY["until"], "until": TEMPORARY["since"], "by": "x",
                         "reason": "x"}]},
            "plan.pauses[0].until: ",
        ),
        (
            {"rules": [{"type": "missed", "id": "a"}, {"type": "silence", "id": "a"}]},
            "plan.rules[1].id: ",
        ),
        ({"rules": [{"type": "missed", "count": 4, "of": 3}]}, "plan.rules[0].count: "),
        (
            {"rules": [{"type": "average", "id": "a", "limits": EMPTY}]},
            "plan.rules[0].limits: ",
        ),
        (
            {"activities": [{"family": "spo2", "windows": [
                {"name": "a", "start": "06:00", "end": "10:00"},
                {"name": "b", "start": "09:00", "end": "11:00"}]}]},
            "plan.activities[0].windows: ",
        ),
    ],
)  # fmt: skip
def test_each_fault_is_told_by_its_element(change: dict[str, Any], place: str) -> None:
    found = told(**change)

    assert any(one.startswith(place) for one in found), found


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"limits": {"spo2": {"red_low": "x"}}}, "plan.limits.spo2.red_low: Invalid decimal"),
        ({"limits": {"spo2": {"red_lo": "88"}}}, "plan.limits.spo2: Object contains unknown"),
        (
            {"limits_when": {"asleep": {"pulse": {"red_low": "41"}, "spo2": {"red_low": []}}}},
            "plan.limits_when.asleep.spo2.red_low: ",
        ),
        ({"facts": {"copdd": True}}, "plan.facts: Invalid enum value"),
        ({"since": "2026-01-01T00:00:00"}, "plan.since: "),
        ({"status": "Testsson"}, "plan.status: Invalid enum value"),
        ({"temporary": [{k: v for k, v in TEMPORARY.items() if k != "until"}]},
         "plan.temporary[0]: Object missing required field `until`"),
        ({"programme": "x" * 101}, "plan.programme: "),
        ({"rules": [{"type": "missed", "id": f"m{n}"} for n in range(41)]}, "plan.rules: "),
    ],
)  # fmt: skip
def test_another_shape_is_refused_by_its_element(change: dict[str, Any], place: str) -> None:
    with pytest.raises(PlanError) as caught:
        reading.decode(json.dumps(BASE | change))

    assert str(caught.value).startswith(place)
    assert "Testsson" not in str(caught.value)


@pytest.mark.parametrize("document", [b"", b"[", b"null", b"[" * 100_000, b"\xff", b'{"id": 1}'])
def test_hostile_bytes_are_no_plan(document: bytes) -> None:
    with pytest.raises(PlanError):
        reading.decode(document)


def test_a17_temporary_limits_end_and_lie_within_the_plan() -> None:
    late = TEMPORARY | {"until": "2027-02-01T00:00:00+01:00"}
    twice = TEMPORARY | {"since": "2026-02-05T00:00:00+01:00"}

    assert told(temporary=[TEMPORARY]) == []
    assert any("within the plan's period" in one for one in told(temporary=[late]))
    assert any("temporary[1]: overlaps" in one for one in told(temporary=[TEMPORARY, twice]))


def test_a14_no_rule_alerts_on_a_change_of_saturation() -> None:
    rule = {"type": "change", "id": "drop", "measure": "spo2", "days": 1, "fall": "4"}

    assert any(one.startswith("plan.rules[0].measure: ") for one in told(rules=[rule]))


def test_a12_what_is_done_out_of_hours_must_be_stated_before_approval() -> None:
    plan = reading.decode(json.dumps(BASE | {"on_red": {"in_hours": "Call."}}))

    assert [one.split(":")[0] for one in checking.unready(plan)] == ["plan.on_red.out_of_hours"]


@pytest.mark.parametrize(
    ("change", "is_told"),
    [
        ({"facts": {"copd": True}}, True),
        ({"facts": {"copd": True}, "oxygen": {"is_used": False}}, False),
        ({"facts": {"home_oxygen": True}}, True),
        ({"facts": {"retains_co2": True}, "oxygen": {"is_used": False}}, True),  # one side only
        ({"oxygen": {"is_used": True}}, True),
        ({"oxygen": {"is_used": True}, "limits": {"spo2": {"yellow_low": "88",
                                                           "yellow_high": "92"}}}, False),
        ({"oxygen": {"is_used": False, "litres_per_min": "2"}}, True),
        ({"oxygen": {"is_used": False}, "facts": {"home_oxygen": True}}, True),
        ({"targets": {"spo2": {"low": "90", "high": "92"}}}, True),
    ],
)  # fmt: skip
def test_a13_oxygen_is_stated_and_both_sides_limited(
    change: dict[str, Any], is_told: bool
) -> None:
    assert bool(told(**change)) is is_told


def test_the_documented_example_is_a_plan_that_can_be_approved() -> None:
    page = Path(__file__).parents[4] / "docs/reference/plans.md"
    example = page.read_text(encoding="utf-8").split("```json\n")[1].split("```")[0]

    plan = reading.decode(example)

    assert checking.faults(plan) == []
    assert checking.unready(plan) == []
