"""``hemvital rules evaluate``: an outsider's way to the clinical core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingest_service.commands.readings_file import schema
from ingest_service.commands.rules import main

PLAN: dict[str, Any] = {
    "id": "00000000-0000-4000-8000-000000000001",
    "version": 1,
    "patient_id": "00000000-0000-4000-8000-000000000002",
    "care_unit_id": "00000000-0000-4000-8000-000000000003",
    "programme": "copd",
    "status": "active",
    "since": "2026-11-01T00:00:00+01:00",
    "approval": {"by": "SE1", "role": "physician", "at": "2026-11-01T00:00:00+01:00"},
    "activities": [{"family": "spo2"}],
    "limits": {"spo2": {"red_low": "88", "yellow_low": "90", "immediate_low": "80"}},
    "usual": [{"measure": "spo2", "low": "90", "high": "93"}],
    "on_red": {"in_hours": "Call.", "out_of_hours": "1177"},
}


def spo2(clock: str, value: str) -> dict[str, Any]:
    return {
        "kind": "reading",
        "family": "spo2",
        "effective_at": f"2026-11-20T{clock}:00+01:00",
        "value": value,
    }


@pytest.fixture
def evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(
        lines: list[Any], plan: dict[str, Any] = PLAN, now: str = "2026-11-20T08:30:00+01:00"
    ) -> tuple[int, Any, str]:
        files = tmp_path / "plan.json", tmp_path / "readings.jsonl"
        files[0].write_text(json.dumps(plan), encoding="utf-8")
        text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines)
        files[1].write_text(text, encoding="utf-8")
        arguments = ["--plan", str(files[0]), "--readings", str(files[1]), "--now", now]
        code = main(["rules", "evaluate", *arguments])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    return run


def test_two_values_under_the_limit_are_one_red_with_its_sentence(evaluated: Any) -> None:
    code, found, _ = evaluated([spo2("08:00", "86"), spo2("08:08", "87")])

    [alert] = found["alerts"]
    assert code == 0
    assert (alert["priority"], alert["rule"]) == ("red", "limit.spo2")
    assert alert["sentences"]["en"].replace("\N{NO-BREAK SPACE}", " ") == (
        "Oxygen saturation 86 and 87 % 8 minutes apart, below the patient's limit 88 %."
        " Usual 90-93 %."
    )


def test_a4_without_a_second_value_it_is_red_when_the_time_is_over(evaluated: Any) -> None:
    _, before, _ = evaluated([spo2("08:00", "86")], now="2026-11-20T08:10:00+01:00")
    _, after, _ = evaluated([spo2("08:00", "86")], now="2026-11-20T08:16:00+01:00")

    assert [one["state"] for one in before["alerts"]] == ["awaiting"]
    assert [one["state"] for one in after["alerts"]] == ["new"]
    assert "did not" in after["alerts"][0]["sentences"]["en"]


def test_a19_a_plan_that_nobody_approved_alerts_on_nothing(evaluated: Any) -> None:
    draft = {key: value for key, value in PLAN.items() if key != "approval"}

    _, found, _ = evaluated([spo2("08:00", "70")], plan=draft | {"status": "draft"})

    assert found["alerts"] == []
    assert found["plan"]["in_force"] is False


def test_the_same_input_gives_the_same_output(evaluated: Any) -> None:
    lines = [spo2("08:00", "86"), spo2("08:08", "87")]

    assert evaluated(lines) == evaluated(lines)


def test_an_average_tells_what_it_used_and_left_out(evaluated: Any) -> None:
    """NICE NG136 1.2: two a sitting, twice a day, the first day left out.

    130/80 on each following day: the mean by hand is 130.0/80.0.
    """
    plan = PLAN | {
        "activities": [
            {"family": "blood_pressure", "protocol": "nice-ng136", "course_start": "2026-11-10"}
        ],
        "limits": {"systolic": {"red_high": "180"}},
        "usual": [],
    }
    lines = [
        {
            "kind": "reading",
            "family": "blood_pressure",
            "effective_at": f"2026-11-{day}T{clock}:00+01:00",
            "systolic": "170" if day == 10 else "130",
            "diastolic": "80",
        }
        for day in range(10, 17)
        for clock in ("07:00", "07:02", "19:00", "19:02")
    ]

    _, found, _ = evaluated(lines, plan=plan)

    [average] = found["averages"]
    assert (average["systolic"], average["diastolic"]) == ("130.0", "80.0")
    assert len(average["used"]) == 24
    assert [one["reason"] for one in average["excluded"]] == ["first_day"] * 4


def test_each_bad_line_is_named_by_its_number(evaluated: Any) -> None:
    code, found, said = evaluated(
        [
            spo2("08:00", "97"),
            "{",
            "",
            spo2("08:00", "NaN"),
            {
                "kind": "reading",
                "family": "blood_pressure",
                "effective_at": "2026-11-20T08:00:00Z",
            },
            {"kind": "reading", "family": "spo2", "effective_at": "yesterday", "value": 97},
        ]
    )

    assert (code, found) == (1, None)
    assert [line.split(" ")[0] for line in said.splitlines()] == [
        f"readings.jsonl:{number}:" for number in (2, 4, 5, 6)
    ]


def test_a_plan_that_is_wrong_is_told_by_its_element(evaluated: Any) -> None:
    wrong = PLAN | {"limits": {"spo2": {"red_low": "95", "yellow_low": "90"}}}

    code, _, said = evaluated([], plan=wrong)

    assert code == 1
    assert said.startswith("plan.json: plan.limits.spo2.red_low: must be below yellow_low")


def test_a_file_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--plan", "/nowhere.json", "--readings", "/nowhere", "--now", "2026-11-20T08:00:00Z"]

    assert main(["rules", "evaluate", *given]) == 2
    assert "/nowhere.json" in capsys.readouterr().err


def test_whoever_has_seen_enough_of_the_output_gets_no_complaint(tmp_path: Path) -> None:
    plan, readings = tmp_path / "P.json", tmp_path / "R.jsonl"
    plan.write_text(json.dumps(PLAN), encoding="utf-8")
    readings.write_text("", encoding="utf-8")
    now = "2026-11-20T08:30:00+01:00"
    given = ("--plan", str(plan), "--readings", str(readings), "--now", now)
    called = [Path(sys.executable).with_name("hemvital"), "rules", "evaluate", *given]
    reader, writer = os.pipe()
    os.close(reader)  # as `head` does
    try:
        done = subprocess.run(
            called, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
        )
    finally:
        os.close(writer)

    assert (done.returncode, done.stderr) == (1, b"")


def test_the_documented_schema_is_that_of_the_lines() -> None:
    documented = Path(__file__).parents[3] / "docs/reference/rules-evaluate.schema.json"

    found = json.loads(documented.read_text(encoding="utf-8"))

    assert {key: value for key, value in found.items() if key != "$schema"} == json.loads(
        json.dumps(schema())
    )
