"""From a plan's document to the CarePlan that others read."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from fhir.resources.R4B.careplan import CarePlan

from fhir_mappings.care_plan_details import UnitDetails
from fhir_mappings.care_plans import map_care_plan
from ingest_service.plans.describing import Written, details
from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import (
    Activity,
    Approval,
    OnRed,
    Pause,
    Plan,
    Status,
    Target,
    TemplateUse,
    TemporaryLimits,
)
from ingest_service.plans.templates import library, template
from ingest_service.plans.templates.template import Template
from ingest_service.plans.windows import Condition, Window
from tests.unit.fhir_mappings.examples import PATIENT, load, missing

WINTER, SUMMER = timezone(timedelta(hours=1)), timezone(timedelta(hours=2))
APPROVED = datetime(2026, 3, 1, 9, tzinfo=WINTER)
UNTIL = datetime(2026, 12, 31, tzinfo=WINTER)
AT = datetime(2026, 3, 10, tzinfo=UTC)
BY = "SE2321000016-0042"
LEAD = UnitDetails(hsa_id="SE2321000016-E101", name="Vårdcentralen")
LUNGS = UnitDetails(hsa_id="SE2321000016-E102", name="Lungmottagningen")
WRITTEN = Written(
    by="the plans' office",
    at=APPROVED.astimezone(UTC),
    reason=None,
    in_force=(APPROVED.astimezone(UTC), UNTIL.astimezone(UTC)),
    unit=LUNGS,
    lead_unit=LEAD,
)
# The plan that tests/vectors/fhir/care-plan.json was written from.
PLAN = Plan(
    id=UUID("0d42c0de-0000-4000-8000-000000000001"),
    version=3,
    patient_id=PATIENT,
    care_unit_id=UUID(int=2),
    programme="copd",
    status=Status.ACTIVE,
    since=datetime(2026, 1, 1, tzinfo=WINTER),
    until=UNTIL,
    approval=Approval(by=BY, role="physician", at=APPROVED),
    template=TemplateUse(id="copd", version=1),
    activities=(
        Activity(
            family=Family.SPO2,
            windows=(
                Window(name="morning", start="06:00", end="10:00"),
                Window(
                    name="walk",
                    start="13:00",
                    end="15:00",
                    weekdays=(3,),
                    condition=Condition.AFTER_EXERTION,
                ),
            ),
        ),
        Activity(family=Family.PULSE),
        Activity(
            family=Family.BLOOD_PRESSURE,
            windows=(Window(name="late", start="22:00", end="24:00"),),
            protocol="esh-2021",
            course_start=date(2026, 3, 2),
            since=datetime(2026, 3, 2, 4, tzinfo=WINTER),
        ),
    ),
    targets={Measure.SPO2: Target(low=Decimal(88), high=Decimal(92))},
    limits={Measure.SPO2: Limits(red_low=Decimal(86), yellow_high=Decimal(92))},
    limits_when={Condition.AFTER_EXERTION: {Measure.SPO2: Limits(red_low=Decimal(82))}},
    temporary=(
        TemporaryLimits(
            measure=Measure.SPO2,
            limits=Limits(red_low=Decimal(84)),
            since=datetime(2026, 3, 1, tzinfo=WINTER),
            until=datetime(2026, 3, 8, tzinfo=WINTER),
            by=BY,
            reason="Infection, treated.",
        ),
    ),
    pauses=(
        Pause(
            since=datetime(2026, 4, 1, tzinfo=SUMMER),
            until=datetime(2026, 4, 8, tzinfo=SUMMER),
            reason="At the ward.",
            by="SE2321000016-0001",
        ),
    ),
    on_red=OnRed(in_hours="Call.", out_of_hours="1177; 112 if worse."),
)


def care_plan(plan: Plan = PLAN, written: Written = WRITTEN, at: datetime = AT) -> dict[str, Any]:
    return json.loads(map_care_plan(details(plan, written, at=at, document=b"{}")))


def changed(**changes: Any) -> Plan:
    return msgspec.structs.replace(PLAN, **changes)


def contained(found: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one for one in found["contained"] if one["resourceType"] == kind]


def repeat_of(window: Window) -> dict[str, Any]:
    plan = changed(activities=(Activity(family=Family.SPO2, windows=(window,)),))
    [request] = contained(care_plan(plan), "ServiceRequest")
    return request["occurrenceTiming"]["repeat"]


def window_of(window: Window) -> dict[str, list[Any]]:
    """Return what our extension tells of a window, by name."""
    [extension] = repeat_of(window)["extension"]
    found = dict[str, list[Any]]()
    for part in extension["extension"]:
        [value] = [part[name] for name in part if name.startswith("value")]
        found.setdefault(part["url"], []).append(value)
    return found


def drafts() -> list[Template]:
    return list(library.shipped().values())


def test_holds_what_the_resource_written_by_hand_holds_and_in_its_order() -> None:
    expected = load("care-plan")
    found = care_plan()

    assert missing(found, expected) == []
    assert [one["id"] for one in found["contained"]] == [
        one["id"] for one in expected["contained"]
    ]
    assert len(found["extension"]) == len(expected["extension"])
    assert found.keys() == expected.keys()


@pytest.mark.parametrize("given", drafts(), ids=lambda given: str(given.id))
def test_every_shipped_template_gives_what_r4_wants(given: Template) -> None:
    plan = template.assign(
        given,
        plan_id=UUID(int=1),
        patient_id=PATIENT,
        care_unit_id=UUID(int=2),
        since=AT,
        facts={
            **dict.fromkeys(given.must_state, False),
            **given.states,
            **given.requires,
        },
    )

    check(map_care_plan(details(plan, WRITTEN, at=AT)))


@pytest.mark.parametrize("status", list(Status))
def test_every_status_gives_what_r4_wants(status: Status) -> None:
    text = map_care_plan(details(changed(status=status), WRITTEN, at=AT, document=b"{}"))

    check(text)
    found = json.loads(text)
    assert found["status"] == status
    assert {one["status"] for one in contained(found, "ServiceRequest")} == {status}


def check(text: str) -> None:
    """Check by fhir.resources, and by invariants that it leaves out."""
    CarePlan.model_validate_json(text)
    found = json.loads(text)
    referred = {one["reference"] for one in (*found["careTeam"], *found.get("goal", ()))} | {
        one["reference"]["reference"] for one in found["activity"]
    }
    referred |= {one["reference"] for one in found.get("supportingInfo", ())}
    assert referred == {f"#{one['id']}" for one in found["contained"]}  # dom-3
    assert not any("meta" in one for one in found["contained"])  # dom-4
    for goal in contained(found, "Goal"):  # gol-1
        assert all(target["measure"] for target in goal["target"])
    for request in contained(found, "ServiceRequest"):
        repeat = request.get("occurrenceTiming", {}).get("repeat", {})
        assert "timeOfDay" not in repeat
        # What R4 says of dayOfWeek: neither frequency nor period beside it.
        assert not ("dayOfWeek" in repeat and {"frequency", "period"} & repeat.keys())
        assert ("occurrenceTiming" in request) != ("asNeededBoolean" in request)
    assert "[]" not in text
    assert "null" not in text


def test_a19_what_nobody_approved_is_a_draft_and_says_so() -> None:
    found = care_plan(changed(approval=None))

    assert found["status"] == "draft"
    assert "author" not in found
    assert [goal["lifecycleStatus"] for goal in contained(found, "Goal")] == ["proposed"]
    assert {one["status"] for one in contained(found, "ServiceRequest")} == {"draft"}
    assert "Nobody has approved this plan" in found["note"][0]["text"]


@pytest.mark.parametrize(
    ("at", "status"),
    [
        (UNTIL - timedelta(seconds=1), "active"),
        (UNTIL, "completed"),
        (UNTIL + timedelta(days=400), "completed"),
    ],
)
def test_a19_a_plan_whose_time_is_over_is_not_active(at: datetime, status: str) -> None:
    assert care_plan(at=at)["status"] == status


def test_a_plan_without_an_end_stays_active() -> None:
    found = care_plan(changed(until=None), at=datetime(2190, 1, 1, tzinfo=UTC))

    assert found["status"] == "active"
    assert "end" not in found["period"]


def test_a_plan_that_is_stopped_tells_why_and_was_never_in_force_as_such() -> None:
    stopped = msgspec.structs.replace(PLAN, status=Status.ON_HOLD, version=4)
    written = Written(
        by=BY, at=AT, reason="In hospital.", in_force=None, unit=LEAD, lead_unit=LEAD
    )

    found = care_plan(stopped, written)

    by_url = {one["url"]: one for one in found["extension"]}
    assert by_url["urn:hemvital:extension:status-reason"]["valueString"] == "In hospital."
    assert "urn:hemvital:extension:in-force" not in by_url
    assert [goal["lifecycleStatus"] for goal in contained(found, "Goal")] == ["on-hold"]


def test_where_the_lead_units_plan_it_is_no_other_takes_part() -> None:
    written = Written(by=BY, at=AT, reason=None, in_force=None, unit=LEAD, lead_unit=LEAD)

    [team] = contained(care_plan(written=written), "CareTeam")

    assert "participant" not in team
    assert [one["identifier"]["value"] for one in team["managingOrganization"]] == [LEAD.hsa_id]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(low=Decimal(88)), {"low"}),
        (Target(high=Decimal("92.5")), {"high"}),
    ],
)
def test_a_target_with_one_side_leaves_the_other_open(target: Target, expected: set[str]) -> None:
    [goal] = contained(care_plan(changed(targets={Measure.SPO2: target})), "Goal")

    assert goal["target"][0]["detailRange"].keys() == expected


def test_a_target_with_no_side_is_no_goal() -> None:
    found = care_plan(changed(targets={Measure.SPO2: Target()}))

    assert contained(found, "Goal") == []
    assert "goal" not in found


def test_a_pause_without_an_end_goes_on() -> None:
    since = datetime(2026, 4, 1, tzinfo=SUMMER)
    found = care_plan(changed(pauses=(Pause(since=since, reason="Abroad.", by=BY),)))

    [pause] = [one for one in found["extension"] if one["url"].endswith(":pause")]
    assert pause["extension"][0]["valuePeriod"] == {"start": "2026-04-01T00:00:00+02:00"}
    assert "without an end: Abroad." in found["note"][-1]["text"]


def test_the_document_goes_along_byte_for_byte_or_not_at_all() -> None:
    without = json.loads(map_care_plan(details(PLAN, WRITTEN, at=AT)))

    # RFC 4648: "{}" is e30=.
    [document] = contained(care_plan(), "DocumentReference")
    assert document["content"][0]["attachment"]["data"] == "e30="
    assert contained(without, "DocumentReference") == []
    assert "supportingInfo" not in without


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("06:00", "10:00", ["MORN"]),
        ("12:00", "17:00", ["AFT"]),
        ("18:00", "22:00", ["EVE"]),
        ("22:00", "06:00", ["NIGHT"]),
        ("23:00", "24:00", ["NIGHT"]),
        ("02:00", "05:00", ["NIGHT"]),
        ("10:00", "14:00", None),  # lies in no one part
        ("05:59", "10:00", None),
        ("20:00", "23:00", None),
        ("06:00", "05:00", None),  # nearly the whole day
    ],
)
def test_a_part_of_the_day_is_named_only_where_the_window_lies_within(
    start: str, end: str, expected: list[str] | None
) -> None:
    assert repeat_of(Window(name="w", start=start, end=end)).get("when") == expected


def test_the_end_of_a_day_is_no_time_of_day_in_fhir() -> None:
    found = window_of(Window(name="w", start="22:00", end="24:00"))

    assert (found["start"], found["end"]) == (["22:00:00"], ["00:00:00"])


def test_every_other_day_tells_which() -> None:
    window = Window(name="w", start="06:00", end="10:00", every_n_days=2, anchor=date(2026, 3, 2))

    repeat = repeat_of(window)

    assert (repeat["frequency"], repeat["period"], repeat["periodUnit"]) == (1, 2, "d")
    assert window_of(window)["anchor"] == ["2026-03-02"]


def test_weeks_of_a_month_which_r4_cannot_say_stand_beside_how_often_that_is() -> None:
    # First and third Tuesday and Friday of a month: four times a month.
    window = Window(name="w", start="06:00", end="10:00", weekdays=(2, 5), weeks_of_month=(1, 3))

    repeat, told = repeat_of(window), window_of(window)

    assert (repeat["frequency"], repeat["period"], repeat["periodUnit"]) == (4, 1, "mo")
    assert "dayOfWeek" not in repeat
    assert (told["weekday"], told["weekOfMonth"]) == (["tue", "fri"], [1, 3])


def test_asleep_is_said_in_words() -> None:
    window = Window(name="w", start="23:00", end="05:00", condition=Condition.ASLEEP)
    plan = changed(activities=(Activity(family=Family.SPO2, windows=(window,)),))

    [request] = contained(care_plan(plan), "ServiceRequest")

    assert request["orderDetail"] == [{"text": "Asleep"}]


def test_a_week_of_a_month_without_weekdays_is_its_seven_days() -> None:
    window = Window(name="w", start="06:00", end="10:00", weeks_of_month=(1,))

    assert repeat_of(window)["frequency"] == 7


@pytest.mark.parametrize(
    ("measure", "loinc", "unit"),
    [
        # FHIR R4's vital signs: codes and UCUM units.
        (Measure.SYSTOLIC, "8480-6", "mm[Hg]"),
        (Measure.DIASTOLIC, "8462-4", "mm[Hg]"),
        (Measure.PULSE, "8867-4", "/min"),
        (Measure.SPO2, "2708-6", "%"),
        (Measure.BODY_WEIGHT, "29463-7", "kg"),
    ],
)
def test_each_measure_has_its_code_and_unit(measure: Measure, loinc: str, unit: str) -> None:
    plan = changed(
        targets={measure: Target(high=Decimal(100))},
        limits={measure: Limits(red_high=Decimal(110))},
        limits_when={},
        temporary=(),
    )

    found = care_plan(plan)

    [goal] = contained(found, "Goal")
    target = goal["target"][0]
    assert loinc in {one["code"] for one in target["measure"]["coding"]}
    assert target["detailRange"]["high"]["code"] == unit
    [limits] = [one for one in found["extension"] if one["url"].endswith(":limits")]
    [value] = [part["valueQuantity"] for part in limits["extension"] if part["url"] == "redHigh"]
    assert (value["value"], value["code"]) == (110, unit)


@pytest.mark.parametrize(
    ("family", "loinc"),
    [
        (Family.BLOOD_PRESSURE, "85354-9"),
        (Family.PULSE, "8867-4"),
        (Family.SPO2, "59408-5"),
        (Family.BODY_WEIGHT, "29463-7"),
    ],
)
def test_each_family_is_asked_for_by_the_code_that_answers_it(family: Family, loinc: str) -> None:
    [request] = contained(
        care_plan(changed(activities=(Activity(family=family),))), "ServiceRequest"
    )

    assert loinc in {one["code"] for one in request["code"]["coding"]}
