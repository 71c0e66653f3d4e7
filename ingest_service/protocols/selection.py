"""Which readings of a period count by its protocol, and why the others do not.

Movement, a loose cuff and a wrong position keep a reading out; an irregular pulse never does (A2),
nor a doubtful person: a real fall or rise is far from the patient's usual too, and an average
without it would say that all is well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from enum import StrEnum
from itertools import groupby
from typing import Final
from uuid import UUID

from ingest_service.protocols.protocol import MoreReadings, MoreSittings, Protocol, SittingValue
from ingest_service.protocols.sittings import (
    Period,
    PeriodKind,
    Sitting,
    SittingReading,
    day_of,
    in_order,
    sittings_of,
)


class Reason(StrEnum):
    """Why a reading is not in an average; where several hold, the first of these."""

    TAKEN_BACK = "taken_back"
    OUTSIDE_PERIOD = "outside_period"
    TIME_UNKNOWN = "time_unknown"  # it belongs to no day that anybody knows
    SUSPECTED_DOUBLE = "suspected_double"  # the reading that it repeats is there
    MOVEMENT = "movement"
    CUFF_LOOSE = "cuff_loose"
    POSITION = "position"
    DOUBTFUL = "doubtful"  # one of the three; which one is not kept any more
    FIRST_DAY = "first_day"
    OUTSIDE_WINDOW = "outside_window"
    ANOTHER_SITTING = "another_sitting"
    FIRST_OF_SITTING = "first_of_sitting"
    EXTRA_IN_SITTING = "extra_in_sitting"
    NOT_THE_LOWEST = "not_the_lowest"


IRREGULAR: Final = "irregular_pulse"

# Of these a place in a sitting cannot be known.
_NOT_PLACED: Final[Mapping[str, Reason]] = {
    "time_unknown": Reason.TIME_UNKNOWN,
    "suspected_double": Reason.SUSPECTED_DOUBLE,
}
_UNFIT: Final[Mapping[str, Reason]] = {
    "body_movement": Reason.MOVEMENT,
    "cuff_too_loose": Reason.CUFF_LOOSE,
    "improper_position": Reason.POSITION,
    "questionable": Reason.DOUBTFUL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """All given readings, oldest first, and why those do not count that do not.

    ``sittings`` hold those that could be placed, ``days_measured`` is the number of days with a
    reading that its flags let pass.
    """

    readings: tuple[SittingReading, ...]
    sittings: tuple[Sitting, ...]
    why: Mapping[UUID, Reason]
    days_measured: int


def select(
    protocol: Protocol, readings: Iterable[SittingReading], *, period: Period, zone: tzinfo
) -> Selection:
    """Return which readings count in the period's average, and why the others do not."""
    ordered = in_order(readings)
    why = {one.id: reason for one in ordered if (reason := _unplaced(protocol, one, period, zone))}
    sittings = sittings_of(protocol, [one for one in ordered if one.id not in why], zone=zone)
    why |= {
        one.id: reason
        for sitting in sittings
        for one in sitting.readings
        if (reason := _flagged(one, _UNFIT))
    }
    measured = {
        sitting.day for sitting in sittings if any(one.id not in why for one in sitting.readings)
    }
    _leave_out(protocol, sittings, _first_days(protocol, period, sittings), why)
    return Selection(
        readings=tuple(ordered),
        sittings=tuple(sittings),
        why=why,
        days_measured=len(measured),
    )


def _unplaced(
    protocol: Protocol, reading: SittingReading, period: Period, zone: tzinfo
) -> Reason | None:
    if reading.is_taken_back:
        return Reason.TAKEN_BACK
    day = day_of(protocol, reading.effective_at, zone=zone)
    if not period.first_day <= day <= period.last_day:
        return Reason.OUTSIDE_PERIOD
    return _flagged(reading, _NOT_PLACED)


def _flagged(reading: SittingReading, reasons: Mapping[str, Reason]) -> Reason | None:
    return next((reason for flag, reason in reasons.items() if flag in reading.flags), None)


def _first_days(protocol: Protocol, period: Period, sittings: Sequence[Sitting]) -> set[date]:
    """Return the days that a course begins with: those on which the patient measured at all."""
    if period.kind is not PeriodKind.COURSE:
        return set()
    return set(sorted({sitting.day for sitting in sittings})[: protocol.first_days_out])


def _leave_out(
    protocol: Protocol,
    sittings: Sequence[Sitting],
    first_days: set[date],
    why: dict[UUID, Reason],
) -> None:
    """Add to ``why`` what the protocol leaves out of what the flags let pass."""
    for (day, window), group in groupby(sittings, key=lambda one: (one.day, one.window)):
        of_window = list(group)
        if day in first_days or window is None:
            reason = Reason.FIRST_DAY if day in first_days else Reason.OUTSIDE_WINDOW
            for sitting in of_window:
                _mark(sitting.readings, reason, why)
            continue
        counting = _counting(protocol, of_window, why)
        for sitting in of_window:
            is_counting = any(sitting is one for one in counting)
            if is_counting or not _left(protocol, sitting, why):
                _leave_out_of_sitting(protocol, sitting, why)
            else:
                _mark(sitting.readings, Reason.ANOTHER_SITTING, why)


def _leave_out_of_sitting(protocol: Protocol, sitting: Sitting, why: dict[UUID, Reason]) -> None:
    left = _left(protocol, sitting, why)
    _mark(sitting.readings[: protocol.first_readings_out], Reason.FIRST_OF_SITTING, why)
    wanted = _wanted(protocol, sitting)
    kept = {
        MoreReadings.FIRST: left[:wanted],
        MoreReadings.LAST: left[-wanted:],
        MoreReadings.ALL: left,
    }[protocol.more_readings]
    ids = {one.id for one in kept}
    _mark((one for one in left if one.id not in ids), Reason.EXTRA_IN_SITTING, why)
    if protocol.sitting_value is SittingValue.LOWEST and kept:
        lowest = min(kept, key=lambda one: (one.systolic, one.diastolic))
        _mark((one for one in kept if one is not lowest), Reason.NOT_THE_LOWEST, why)


def _counting(
    protocol: Protocol, sittings: Sequence[Sitting], why: Mapping[UUID, Reason]
) -> list[Sitting]:
    """Return which of a window's sittings count; one without any fit reading never does."""
    able = [sitting for sitting in sittings if _left(protocol, sitting, why)]
    match protocol.more_sittings:
        case MoreSittings.ALL:
            return able
        case MoreSittings.FIRST:
            return able[:1]
        case MoreSittings.LAST:
            return able[-1:]
        case MoreSittings.FIRST_COMPLETE:
            lacking = [
                max(0, _wanted(protocol, sitting) - len(_left(protocol, sitting, why)))
                for sitting in able
            ]
            return [able[lacking.index(min(lacking))]] if able else []


def _left(
    protocol: Protocol, sitting: Sitting, why: Mapping[UUID, Reason]
) -> list[SittingReading]:
    """Return the fit readings after those that each sitting begins with.

    The first is the first that was taken, fit or not: it is left out for what it is to begin.
    """
    return [one for one in sitting.readings[protocol.first_readings_out :] if one.id not in why]


def _wanted(protocol: Protocol, sitting: Sitting) -> int:
    is_irregular = any(IRREGULAR in one.flags for one in sitting.readings)
    asked = protocol.readings_when_irregular if is_irregular else protocol.readings_per_sitting
    return asked - protocol.first_readings_out


def _mark(readings: Iterable[SittingReading], reason: Reason, why: dict[UUID, Reason]) -> None:
    for one in readings:
        why.setdefault(one.id, reason)
