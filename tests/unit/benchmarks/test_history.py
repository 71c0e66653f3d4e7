"""Rows that are made by formatting say what real ones would."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest

from benchmarks.history import SPAN, History, Person, Rows, schedule
from ingest_service.store import texts

_SPACE = UUID("00000000-0000-4000-8000-000000000000")
AT = datetime(2024, 2, 29, 22, 30, 0, tzinfo=UTC)
PERSON = Person(
    patient_id=uuid5(_SPACE, "patient"),
    unit_id=uuid5(_SPACE, "unit"),
    provider_id=uuid5(_SPACE, "provider"),
    cuff="F1:00:00:00:00:01",
    oximeter="F2:00:00:00:00:01",
    gateway_id="bench-1",
    epoch=uuid5(_SPACE, "epoch"),
)


def _table(rows: Rows, table: str) -> list[dict[str, str]]:
    return [
        dict(zip(rows.columns[table], line.rstrip("\n").split("\t"), strict=True))
        for line in rows.lines[table]
    ]


def _resource(row: dict[str, str]) -> dict[str, Any]:
    body = bytes.fromhex(row["body"].removeprefix(r"\\x"))
    return json.loads(texts.resource_of(UUID(row["id"]), None, body))


def _made() -> Rows:
    history = History([PERSON])
    rows = history.rows()
    for number in range(3):
        history.add(rows, 0, AT + timedelta(hours=number))
    return rows


def test_a_row_and_its_resource_say_the_same() -> None:
    rows = _made()

    for row in _table(rows, "observation"):
        resource = _resource(row)

        assert resource["id"] == row["id"]
        assert resource["subject"]["reference"] == f"Patient/{PERSON.patient_id}"
        assert resource["effectiveDateTime"] == row["effective_at"]
        assert row["code"] in {each["code"] for each in resource["code"]["coding"]}


def test_a_reading_has_two_observations_everywhere() -> None:
    rows = _made()

    ids = Counter(row["id"] for row in _table(rows, "observation"))

    assert len(ids) == 6
    assert set(ids.values()) == {1}
    assert Counter(row["id"] for row in _table(rows, "identity")) == ids
    assert Counter(row["id"] for row in _table(rows, "observation_change")) == ids
    assert [row["number"] for row in _table(rows, "device_record")] == ["1", "2", "3"]
    assert [row["number"] for row in _table(rows, "delivery")] == ["1", "2", "3"]


def test_each_third_reading_is_the_oximeters() -> None:
    devices = [row["device_id"] for row in _table(_made(), "device_record")]

    assert devices == [PERSON.cuff, PERSON.cuff, PERSON.oximeter]


@pytest.mark.parametrize("readings", [500, 5000])
def test_those_who_are_asked_about_measure_equally_often_whatever_the_rest_does(
    readings: int,
) -> None:
    made = list(schedule(AT - SPAN, readings, 100, [(10, 7), (20, 3)]))

    times, counts = [at for at, _ in made], Counter(person for _, person in made)
    assert times == sorted(times)
    assert times[0] == AT - SPAN
    assert times[-1] < AT
    assert len(made) == readings
    assert [counts[person] for person in range(30)] == [7] * 10 + [3] * 20
    others = [counts[person] for person in range(30, 100)]
    assert max(others) - min(others) <= 1
