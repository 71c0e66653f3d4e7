"""How long a device rested between two readings, as far as it can be told.

Pure: `gateway.store.measured` keeps the readings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from device_adapters.contract.messages import ReadingRecord, TimeQuality
from device_adapters.contract.readings import (
    BloodPressure,
    BodyTemperature,
    BodyWeight,
    Kind,
    PulseOximetry,
)
from gateway.effective_time import own_time, wall_clock
from gateway.store.database import to_us

# Spot checks. Values that follow each other by the second are one measurement.
_SPOT: Final = (BloodPressure, PulseOximetry, BodyTemperature, BodyWeight)
_WALL_START: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a device's clock has no zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One reading, with all that its distance from another can be told by.

    ``shown_us`` is the device's wall clock, None where it gave none; ``effective_us`` is None
    where the gateway's own clock was not trusted; ``received_ns`` counts within ``boot_id``.
    """

    record_id: str
    generation: int
    connection: int
    boot_id: str
    received_ns: int
    shown_us: int | None
    effective_us: int | None


def person_of(record: ReadingRecord) -> str:
    """Return the device's user slot, or nothing where it has none."""
    reading = record.reading
    if isinstance(reading, BloodPressure | BodyWeight) and reading.user_index is not None:
        return str(reading.user_index)
    return ""


def is_rest_told(record: ReadingRecord) -> bool:
    """Tell whether a reading is one whose rest is told: a measurement, and a spot check."""
    return isinstance(record.reading, _SPOT) and record.reading.kind is Kind.MEASUREMENT


def ends_rest(record: ReadingRecord) -> bool:
    """Tell whether a reading ends the rest of the one after it.

    A cuff that failed has pressed the arm all the same. An oximeter or a scale that failed has
    done nothing to anybody: trying again at once is right.
    """
    return isinstance(record.reading, BloodPressure) or is_rest_told(record)


def measured(record: ReadingRecord, connection: int) -> Measured:
    """Return what a record's rest is told by."""
    shown = wall_clock(own_time(record.reading))
    is_known = record.time_quality is not TimeQuality.UNKNOWN
    return Measured(
        record_id=str(record.record_id),
        generation=record.reset_generation,
        connection=connection,
        boot_id=str(record.reception.boot_id),
        received_ns=record.reception.monotonic_ns,
        shown_us=None if shown is None else int((shown - _WALL_START).total_seconds()) * 10**6,
        effective_us=to_us(record.effective_at) if is_known else None,
    )


def rest_us(one: Measured, others: Iterable[Measured]) -> int | None:
    """Return how long before a reading the last one before it was made; None if none can be told.

    By the device's own clock where both have its time and it was not lost in between: so records
    may come in any order, and whatever the gateway's clock does. Otherwise by the gateway's.

    Args:
        one: The reading.
        others: Those of the same device, person and kind, in the order in which they came; if
            the reading is among them, it came before, and those after it count as later where
            the time is the same.
    """
    known = list(others)
    # Read again, a record stands where it stood: it is not too close to itself.
    place = next(
        (index for index, other in enumerate(known) if other.record_id == one.record_id),
        len(known),
    )
    rests: list[int] = []
    for index, other in enumerate(known):
        if index != place and (rest := _between(one, other)) is not None:
            rests += [rest] if rest > 0 or (rest == 0 and index < place) else []
    return min(rests, default=None)


def _between(one: Measured, other: Measured) -> int | None:
    if one.shown_us is not None and other.shown_us is not None:
        return one.shown_us - other.shown_us if one.generation == other.generation else None
    if one.connection == other.connection:
        # Records without a time of their own, given together: when each was made is not known.
        return None
    if one.boot_id == other.boot_id and one.shown_us is None and other.shown_us is None:
        return (one.received_ns - other.received_ns) // 1000
    if one.effective_us is not None and other.effective_us is not None:
        return one.effective_us - other.effective_us
    return None
