"""Rule ``limit``, version 1: a reading beyond the patient's own limits.

Two-sided and two-level. Nothing possible is withheld and nothing mutes red (A1, A2): movement,
low perfusion or a doubtful person are flags on the evidence and change no level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from ingest_service.alerts.finding import Alert, Evidence, Finding, grown, is_late, may_be_history
from ingest_service.plans.limits import Family, Level, Measure, PlanLimits

VERSION: Final = 1

# How much worse than at the last raise a value must be to raise again (A7).
_STEP: Final[Mapping[Measure, Decimal]] = {
    Measure.SYSTOLIC: Decimal(10),
    Measure.DIASTOLIC: Decimal(5),
    Measure.PULSE: Decimal(10),
    Measure.SPO2: Decimal(2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One valid observation: values in canonical units, and what the device said about it."""

    observation_id: UUID
    code: str
    family: Family
    values: Mapping[Measure, Decimal]
    unit: str
    effective_at: datetime
    flags: tuple[str, ...] = ()


def rule_of(family: Family) -> str:
    """Return the rule's name for a family: one open alert for each patient and name."""
    return f"limit.{family}"


def level_of(values: Mapping[Measure, Decimal], limits: PlanLimits) -> Level | None:
    """Return how far beyond the limits the worst of the values lies, ``None`` if within."""
    levels = [
        level
        for measure, value in values.items()
        if measure in limits and (level := limits[measure].level(value))
    ]
    return max(levels, key=lambda level: level.rank, default=None)


def judge(
    reading: Measured,
    limits: PlanLimits,
    open_alert: Alert | None,
    recent: Sequence[Measured],
    *,
    now: datetime,
) -> Finding | None:
    """Return what the reading means for the patient's alert of its family, or ``None``.

    Args:
        reading: What was measured.
        limits: The limits in force now; a measure without limits is not judged.
        open_alert: The unresolved alert of this rule, if there is one.
        recent: What else is known of the same family, later than the reading: only asked for
            where the reading is late.
        now: When it is judged. A late reading is history if a later one is within limits; as
            the newest known of its kind it alerts, with its age (A5).
    """
    level = level_of(reading.values, limits)
    if level is None or _is_history(reading, limits, recent, now):
        return None
    evidence = Evidence(
        observation_id=reading.observation_id,
        code=reading.code,
        effective_at=reading.effective_at,
        systolic=reading.values.get(Measure.SYSTOLIC),
        diastolic=reading.values.get(Measure.DIASTOLIC),
        value=reading.values.get(Measure.PULSE, reading.values.get(Measure.SPO2)),
        unit=reading.unit,
        level=level,
        flags=(*reading.flags, "late") if is_late(reading.effective_at, now) else reading.flags,
    )
    # What was taken back is no measure: the first true red after a false one is news (A7).
    is_raise = open_alert is None or (
        level.rank > _standing_rank(open_alert) or _is_worse(reading, level, limits, open_alert)
    )
    event, alert = grown(open_alert, rule_of(reading.family), evidence, is_raise=is_raise)
    return Finding(
        event=event,
        rule_version=VERSION,
        alert=alert,
        reading=evidence,
        previous=next(reversed(open_alert.reference()), None) if open_alert else None,
        limits={measure: limits[measure] for measure in reading.values if measure in limits},
    )


def _standing_rank(alert: Alert) -> int:
    levels = [reading.level for reading in alert.standing if reading.level is not None]
    return max((level.rank for level in levels), default=0)


def _is_history(
    reading: Measured, limits: PlanLimits, recent: Sequence[Measured], now: datetime
) -> bool:
    return may_be_history(reading.effective_at, reading.flags, now) and any(
        other.effective_at > reading.effective_at and level_of(other.values, limits) is None
        for other in recent
        if other.family is reading.family
    )


def _is_worse(reading: Measured, level: Level, limits: PlanLimits, open_alert: Alert) -> bool:
    """Tell whether a value went a step further out, on its own side, than at the last raise."""
    reference = open_alert.reference()
    for measure, value in reading.values.items():
        if measure not in limits:
            continue
        before = [known for one in reference if (known := _value(one, measure)) is not None]
        step = _STEP[measure]
        is_low, is_high = limits[measure].is_low, limits[measure].is_high
        if is_high(value, level) and value - max(before, default=Decimal(0)) >= step:
            return True
        if is_low(value, level) and min(before, default=value + step) - value >= step:
            return True
    return False


def _value(evidence: Evidence, measure: Measure) -> Decimal | None:
    match measure:
        case Measure.SYSTOLIC:
            return evidence.systolic
        case Measure.DIASTOLIC:
            return evidence.diastolic
        case Measure.PULSE | Measure.SPO2:
            return evidence.value
