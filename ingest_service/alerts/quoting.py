"""Copies of what was measured and answered, for an alert that explains itself for ever."""

from __future__ import annotations

from datetime import datetime

from ingest_service.alerts.alert import Evidence
from ingest_service.alerts.finding import is_late
from ingest_service.alerts.history import Answer, Attempt, Reading
from ingest_service.plans.limits import Family, Level, Measure


def of_reading(reading: Reading, level: Level | None, *, now: datetime) -> Evidence:
    """Copy a reading; one that came late says so."""
    values = reading.values
    is_pressure = reading.family is Family.BLOOD_PRESSURE
    return Evidence(
        observation_id=reading.observation_id,
        code=reading.code,
        effective_at=reading.effective_at,
        systolic=values.get(Measure.SYSTOLIC),
        diastolic=values.get(Measure.DIASTOLIC),
        value=None if is_pressure else next(iter(values.values()), None),
        unit=reading.unit,
        level=level,
        flags=_flags(reading, now),
    )


def of_attempt(attempt: Attempt, level: Level, *, now: datetime) -> Evidence:
    """Copy a failed attempt."""
    return Evidence(
        observation_id=attempt.observation_id,
        code=attempt.code,
        effective_at=attempt.effective_at,
        level=level,
        flags=_flags(attempt, now),
    )


def of_answer(answer: Answer, question: str, level: Level) -> Evidence:
    """Copy the answer to one question; its ``code`` is the question's link id."""
    return Evidence(
        observation_id=answer.response_id,
        code=question,
        effective_at=answer.answered_at,
        value=answer.values.get(question),
        level=level,
    )


def _flags(one: Reading | Attempt, now: datetime) -> tuple[str, ...]:
    return (*one.flags, "late") if is_late(one.effective_at, now) else one.flags
