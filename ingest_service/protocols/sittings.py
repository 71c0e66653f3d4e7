"""Readings on the home's calendar: days of a protocol, sittings, and the period of an average."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from typing import Final
from uuid import UUID

from ingest_service.protocols.protocol import Protocol

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SittingReading:
    """A valid blood pressure as an average sees it.

    Attributes:
        id: The observation's; each only once among the readings of an average.
        effective_at: When it was measured, with a zone.
        systolic: In mm[Hg].
        diastolic: In mm[Hg].
        pulse: A minute, if the cuff gave one.
        flags: As alerts name them: ``body_movement``, ``irregular_pulse``, ``too_close`` …
        is_taken_back: It was another person's, or nobody's.
    """

    id: UUID
    effective_at: datetime
    systolic: Decimal
    diastolic: Decimal
    pulse: Decimal | None = None
    flags: tuple[str, ...] = ()
    is_taken_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """Readings of one day that follow each other closely, oldest first.

    ``window`` is where the first of them lies; ``None`` between the windows.
    """

    day: date
    window: str | None
    readings: tuple[SittingReading, ...]


class PeriodKind(StrEnum):
    """How an average's days were chosen."""

    COURSE = "course"  # begins on a day that somebody set, so it has a first day to leave out
    ROLLING = "rolling"  # ends on the last day, and follows it


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The days of an average, both included; with protocol and patient it is its identity."""

    kind: PeriodKind
    first_day: date
    last_day: date


def course(protocol: Protocol, *, start: date) -> Period:
    """Return the period of a course that begins on this day."""
    last = start + (protocol.days - 1) * _DAY
    return Period(kind=PeriodKind.COURSE, first_day=start, last_day=last)


def rolling(protocol: Protocol, *, last_day: date) -> Period:
    """Return the period of the rolling average that ends with this day."""
    first = last_day - (protocol.days - 1) * _DAY
    return Period(kind=PeriodKind.ROLLING, first_day=first, last_day=last_day)


def begin_of(protocol: Protocol, day: date, *, zone: tzinfo) -> datetime:
    """Return in UTC when a day of the protocol begins; it lasts 23 or 25 hours twice a year."""
    return datetime.combine(day, protocol.day_begins, zone).astimezone(UTC)


def day_of(protocol: Protocol, at: datetime, *, zone: tzinfo) -> date:
    """Return the protocol's day that a moment belongs to, by the home's clock."""
    day = at.astimezone(zone).date()
    # Never by the wall clock alone: where it is put back or forward it tells a time twice, or not.
    return day if at.astimezone(UTC) >= begin_of(protocol, day, zone=zone) else day - _DAY


def bounds(protocol: Protocol, period: Period, *, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return in UTC when a period begins and when it is over."""
    return (
        begin_of(protocol, period.first_day, zone=zone),
        begin_of(protocol, period.last_day + _DAY, zone=zone),
    )


def in_order(readings: Iterable[SittingReading]) -> list[SittingReading]:
    """Return the readings oldest first, whatever order and offsets they come with."""
    # Times of one zone compare by their wall clocks: in UTC alone an hour is an hour.
    return sorted(readings, key=lambda one: (one.effective_at.astimezone(UTC), one.id))


def sittings_of(
    protocol: Protocol, readings: Sequence[SittingReading], *, zone: tzinfo
) -> list[Sitting]:
    """Return the sittings that readings, oldest first, were taken in, oldest first."""
    found: list[Sitting] = []
    by_day = groupby(readings, key=lambda one: day_of(protocol, one.effective_at, zone=zone))
    for day, of_day in by_day:
        for group in _parted(of_day, timedelta(seconds=protocol.sitting_gap_s)):
            window = protocol.window_at(group[0].effective_at.astimezone(zone))
            found.append(Sitting(day=day, window=window, readings=tuple(group)))
    return found


def _parted(readings: Iterable[SittingReading], gap: timedelta) -> list[list[SittingReading]]:
    groups: list[list[SittingReading]] = []
    for one in readings:
        last = groups[-1][-1].effective_at.astimezone(UTC) if groups else None
        if last is not None and one.effective_at.astimezone(UTC) - last <= gap:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups
