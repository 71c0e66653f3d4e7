from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from benchmarks.cohort import cohort
from benchmarks.cohort.__main__ import main
from benchmarks.cohort.generating import case
from benchmarks.cohort.records import Alert, Answer, Made, Monitored, Reading, Request, Truth
from ingest_service.plans.limits import Measure
from ingest_service.plans.plan import Plan
from tests.support.cohorts import small


def _run(folder: Path, *arguments: str) -> dict[str, bytes]:
    code = main(["--out", str(folder), "--patients", "20", "--days", "14", *arguments])
    assert code == 0
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return a small cohort's files, the engine's alerts among them."""
    return _run(tmp_path_factory.mktemp("cohort"), "--jobs", "1")


def test_the_same_seed_gives_the_same_bytes_in_one_process_or_two(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    two = _run(tmp_path, "--jobs", "2")

    assert set(cohort.FILES) <= set(files)
    assert files["alerts.jsonl"]
    assert files == two


def test_the_engine_is_judged_by_the_truth(files: dict[str, bytes]) -> None:
    report = json.loads(files["report.json"])
    alerts = [msgspec.json.decode(line, type=Alert) for line in files["alerts.jsonl"].splitlines()]

    assert report["whole"]["alerts"] == sum(one.reaches_person for one in alerts) > 0
    assert sum(rule["alerts"] for rule in report["rules"]) == report["whole"]["alerts"]
    assert report["whole"]["requests"] == len(files["requests.jsonl"].splitlines())


def test_another_seed_gives_another_cohort(files: dict[str, bytes], tmp_path: Path) -> None:
    other = _run(tmp_path / "other", "--jobs", "1", "--seed", "8", "--plain")

    assert files["readings.jsonl"] != other["readings.jsonl"]
    assert other["alerts.jsonl"] == b""


def test_a_patient_does_not_depend_on_how_many_others_there_are() -> None:
    assert case(small(patients=2), 1).produced == case(small(patients=900), 1).produced


def test_every_line_is_what_its_file_says(files: dict[str, bytes]) -> None:
    kinds = {
        "patients.jsonl": Monitored,
        "plans.jsonl": Plan,
        "readings.jsonl": Reading,
        "quarantined.jsonl": Reading,
        "answers.jsonl": Answer,
        "truth.jsonl": Truth,
        "made.jsonl": Made,
        "plain.jsonl": Alert,
        "alerts.jsonl": Alert,
        "requests.jsonl": Request,
        "requested.jsonl": Reading,
    }

    assert set(kinds) == set(cohort.FILES)
    for name, kind in kinds.items():
        decoder = msgspec.json.Decoder(kind)
        for line in files[name].splitlines():
            decoder.decode(line)


def test_readings_come_patient_by_patient_in_the_order_in_which_they_are_known(
    files: dict[str, bytes],
) -> None:
    lines = files["readings.jsonl"].splitlines()
    readings = [msgspec.json.decode(line, type=Reading) for line in lines]

    patients = [one.patient_id for one in readings]
    changes = sum(a != b for a, b in pairwise(patients))

    assert changes == len(set(patients)) - 1
    for patient in set(patients):
        received = [one.received_at for one in readings if one.patient_id == patient]
        assert received == sorted(received)


def test_readings_tell_nothing_of_how_they_came_about(files: dict[str, bytes]) -> None:
    lines = files["readings.jsonl"].splitlines()

    members = {name for line in lines for name in json.loads(line)}

    assert members <= {
        "id",
        "patient_id",
        "family",
        "effective_at",
        "received_at",
        "values",
        "flags",
        "is_failed",
    }


def test_plans_have_approval_windows_and_two_sided_limits(files: dict[str, bytes]) -> None:
    lines = files["plans.jsonl"].splitlines()
    plans = [msgspec.json.decode(line, type=Plan) for line in lines]

    for plan in plans:
        assert plan.approval is not None
        assert plan.is_in_force(plan.since)
        assert all(activity.windows for activity in plan.activities)
    oxygen = [plan for plan in plans if plan.programme == "copd_oxygen"]
    assert oxygen
    for plan in oxygen:
        # A13: high and low.
        limits = plan.limits[Measure.SPO2]
        assert limits.yellow_low is not None
        assert limits.yellow_high is not None
        assert limits.yellow_high - limits.yellow_low >= Decimal(5)


def test_somebodys_alerts_are_judged(files: dict[str, bytes], tmp_path: Path) -> None:
    plain = tmp_path / "theirs.jsonl"
    plain.write_bytes(files["plain.jsonl"])

    judged = _run(tmp_path / "out", "--jobs", "1", "--alerts", str(plain))
    report = json.loads(judged["report.json"])

    # The plain limit beside itself: as many, as sensitive, as quick.
    assert report["whole"]["share"] == 1
    assert all(one["is_as_sensitive"] and one["is_as_quick"] for one in report["kinds"])
    assert not report["is_met"]
    assert "The aim as a whole: not met" in judged["report.txt"].decode()


def test_a_line_that_is_no_alert_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alerts = tmp_path / "alerts.jsonl"
    alerts.write_text('{"patient_id": 1}\n')

    code = main(["--out", str(tmp_path / "out"), "--alerts", str(alerts)])

    assert code == 2
    assert f"{alerts}, line 1: " in capsys.readouterr().err


def test_times_are_the_homes_own_and_the_clocks_change() -> None:
    # Clocks are put back on 25 October 2026 in Stockholm.
    offsets = {
        (one.reading.effective_at.utcoffset(), one.reading.effective_at.month)
        for number in range(5)
        for one in case(small(days=60), number).produced
    }

    hours = {(offset.total_seconds() / 3600, month) for offset, month in offsets if offset}
    assert {(2.0, 9), (1.0, 11)} <= hours
    assert (1.0, 9) not in hours
