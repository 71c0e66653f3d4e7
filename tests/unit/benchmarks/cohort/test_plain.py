from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from benchmarks.cohort.plain import alerts, exact, level, once_a_day
from benchmarks.cohort.records import Alert, Reading

_PATIENT = UUID(int=1)
_AT = datetime(2026, 10, 1, 7, tzinfo=UTC)
_LIMITS = exact(
    {
        "systolic": {
            "red_low": 90.0,
            "yellow_low": 100.0,
            "yellow_high": 150.0,
            "red_high": 180.0,
        },
        "diastolic": {"yellow_high": 95.0, "red_high": 110.0},
        "spo2": {"red_low": 88.0, "yellow_low": 90.0},
    }
)


def _reading(number: int, values: dict[str, str]) -> Reading:
    family = "spo2" if "spo2" in values else "blood_pressure"
    at = _AT + timedelta(hours=number)
    return Reading(
        id=UUID(int=number),
        patient_id=_PATIENT,
        family=family,
        effective_at=at,
        received_at=at + timedelta(seconds=5),
        values=values,
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"systolic": "150", "diastolic": "95"}, None),  # at a limit is within it
        ({"systolic": "151", "diastolic": "80"}, "yellow"),
        ({"systolic": "180", "diastolic": "110"}, "yellow"),
        ({"systolic": "181", "diastolic": "80"}, "red"),
        ({"systolic": "120", "diastolic": "111"}, "red"),
        ({"systolic": "151", "diastolic": "111"}, "red"),
        ({"systolic": "99", "diastolic": "60"}, "yellow"),
        ({"systolic": "89", "diastolic": "60"}, "red"),
        ({"spo2": "90"}, None),
        ({"spo2": "88"}, "yellow"),
        ({"spo2": "87"}, "red"),
        ({}, None),
    ],
)
def test_a_reading_has_the_level_of_its_worst_value(
    values: dict[str, str], expected: str | None
) -> None:
    assert level(_reading(1, values), _LIMITS) == expected


def test_each_reading_beyond_limits_is_an_alert_when_the_server_has_it() -> None:
    readings = [
        _reading(place, {"spo2": value}) for place, value in ((1, "87"), (2, "91"), (3, "89"))
    ]

    found = alerts(readings, _LIMITS)

    assert [(one.level, one.raised_at) for one in found] == [
        ("red", _AT + timedelta(hours=1, seconds=5)),
        ("yellow", _AT + timedelta(hours=3, seconds=5)),
    ]


def test_once_a_day_keeps_the_first_of_a_family_until_24_hours_have_passed() -> None:
    hours = [("spo2", 0), ("blood_pressure", 1), ("spo2", 23), ("spo2", 24), ("spo2", 47)]
    found = [
        Alert(
            patient_id=_PATIENT,
            rule="x",
            level="yellow",
            raised_at=_AT + timedelta(hours=hour),
            reaches_person=True,
            families=(family,),
        )
        for family, hour in hours
    ]

    kept = once_a_day(found)

    assert [(one.families[0], (one.raised_at - _AT) // timedelta(hours=1)) for one in kept] == [
        ("spo2", 0),
        ("blood_pressure", 1),
        ("spo2", 24),
    ]
