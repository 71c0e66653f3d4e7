"""The plain single-reading limit: every reading beyond the plan's limits is an alert.

It is what the rules are compared with: no flags, no memory, no second reading, no person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from benchmarks.cohort.courses import RED, YELLOW
from benchmarks.cohort.records import Alert, Reading

RULE = "single_reading_limit"
Limits = Mapping[str, Mapping[str, Decimal]]


def exact(limits: Mapping[str, Mapping[str, float]]) -> Limits:
    """Return a patient's limits as decimals, as a plan has them."""
    return {
        measure: {side: Decimal(str(value)) for side, value in sides.items()}
        for measure, sides in limits.items()
    }


def level(reading: Reading, limits: Limits) -> str | None:
    """Return how far beyond the limits a reading is; a value at a limit is within it."""
    found = None
    for measure, text in reading.values.items():
        value, own = Decimal(text), limits.get(measure, {})
        if _is_beyond(value, own, RED):
            return RED
        if _is_beyond(value, own, YELLOW):
            found = YELLOW
    return found


def alerts(readings: Iterable[Reading], limits: Limits) -> list[Alert]:
    """Return one alert for each reading beyond the limits, raised when the server has it."""
    return [
        Alert(
            patient_id=one.patient_id,
            rule=RULE,
            level=beyond,
            raised_at=one.received_at,
            reaches_person=True,
            families=(one.family,),
            readings=(one.id,),
        )
        for one in readings
        if (beyond := level(one, limits)) is not None
    ]


def once_a_day(found: Sequence[Alert]) -> list[Alert]:
    """Return the alerts of one patient that remain where one of a family silences it for 24 h."""
    kept: list[Alert] = []
    last: dict[str, Alert] = {}
    for one in found:
        (family,) = one.families
        if family not in last or one.raised_at - last[family].raised_at >= timedelta(days=1):
            last[family] = one
            kept.append(one)
    return kept


def _is_beyond(value: Decimal, own: Mapping[str, Decimal], which: str) -> bool:
    low, high = own.get(f"{which}_low"), own.get(f"{which}_high")
    return (low is not None and value < low) or (high is not None and value > high)
