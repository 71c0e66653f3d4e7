from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from benchmarks.cohort.admitting import admitted, answered
from benchmarks.cohort.records import Answer, Reading
from ingest_service.alerts.history import Attempt, History
from ingest_service.alerts.history import Reading as Judged
from ingest_service.plans.limits import Measure

_AT = datetime(2026, 10, 1, 7, tzinfo=UTC)


def _line(number: int, values: dict[str, str], *, family: str = "blood_pressure") -> Reading:
    at = _AT + timedelta(hours=number)
    return Reading(
        id=UUID(int=number),
        patient_id=UUID(int=99),
        family=family,
        effective_at=at,
        received_at=at,
        values=values,
        flags=("body_movement",),
        is_failed=not values,
    )


def _known(count: int) -> History:
    """Return a history whose middle half ranges over 4 mmHg."""
    history = History()
    for number in range(count):
        value = ("118", "120", "122", "124")[number % 4]
        line = _line(number, {"systolic": value, "diastolic": "80"})
        history.add(admitted(line, history))
    return history


def test_a_reading_keeps_its_values_and_flags() -> None:
    one = admitted(_line(1, {"spo2": "91"}, family="spo2"), History())

    assert isinstance(one, Judged)
    assert one.values == {Measure.SPO2: Decimal(91)}
    assert (one.code, one.unit, one.flags) == ("59408-5", "%", ("body_movement",))


def test_a_failed_attempt_is_an_attempt() -> None:
    one = admitted(_line(1, {}), History())

    assert isinstance(one, Attempt)
    assert one.code == "85354-9"


# docs/reference/alerts.md: far from the median of the last 20, at least 8: by more than three
# times the range of their middle half, and more than 35 mmHg systolic.
@pytest.mark.parametrize(
    ("known", "systolic", "is_another"),
    [(20, "156", True), (20, "155", False), (8, "84", True), (7, "84", False)],
)
def test_what_is_far_from_the_patients_usual_values_may_be_anothers(
    known: int, systolic: str, *, is_another: bool
) -> None:
    line = _line(50, {"systolic": systolic, "diastolic": "80"})

    one = admitted(line, _known(known))

    assert ("may_be_another" in one.flags) is is_another


def test_answers_are_numbers() -> None:
    line = Answer(
        id=UUID(int=1),
        patient_id=UUID(int=99),
        effective_at=_AT,
        received_at=_AT,
        answers={"dyspnoea": "4"},
    )

    assert answered(line).values == {"dyspnoea": Decimal(4)}
