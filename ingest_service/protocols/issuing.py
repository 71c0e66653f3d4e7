"""When an average is issued, once, and which issued ones a reading that changed lies in."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo

from ingest_service.protocols.protocol import Protocol
from ingest_service.protocols.sittings import (
    Period,
    SittingReading,
    begin_of,
    bounds,
    course,
    day_of,
    rolling,
)


def due(
    protocol: Protocol,
    readings: Iterable[SittingReading],
    *,
    zone: tzinfo,
    at: datetime,
    course_start: date | None,
    issued: Collection[Period],
) -> Period | None:
    """Return the period whose average is to be issued now, ``None`` if there is none.

    A course's is issued when its last day is over, a rolling one for the last day that is over
    and has a reading. After an outage that is one average and not one for each day that passed.

    Args:
        protocol: How to average.
        readings: The patient's, at least those of the last period.
        zone: The home's.
        at: Now.
        course_start: The course's first day; ``None`` asks for the rolling average.
        issued: Periods that were issued by this protocol and version, in any order.
    """
    days = [
        day_of(protocol, one.effective_at, zone=zone) for one in readings if not one.is_taken_back
    ]
    if course_start is None:
        over = [day for day in days if _is_over(protocol, day, zone, at)]
        period = rolling(protocol, last_day=max(over)) if over else None
    else:
        wanted = course(protocol, start=course_start)
        is_measured = any(wanted.first_day <= day <= wanted.last_day for day in days)
        is_over = _is_over(protocol, wanted.last_day, zone, at)
        period = wanted if is_measured and is_over else None
    return None if period in issued else period


def next_end(
    protocol: Protocol, *, zone: tzinfo, at: datetime, course_start: date | None
) -> datetime | None:
    """Return in UTC when `due` can next have something new, ``None`` if that time has passed.

    Readings that come late can make it due at any time; whoever stores them asks again.
    """
    if course_start is None:
        return begin_of(protocol, day_of(protocol, at, zone=zone) + timedelta(days=1), zone=zone)
    end = bounds(protocol, course(protocol, start=course_start), zone=zone)[1]
    return end if end > at.astimezone(UTC) else None


def touched(
    protocol: Protocol,
    issued: Iterable[Period],
    times: Collection[datetime],
    *,
    zone: tzinfo,
) -> tuple[Period, ...]:
    """Return the issued periods that hold any of these times: their averages are made anew.

    Args:
        protocol: By which they were issued.
        issued: What was issued.
        times: Of a reading that came late, was corrected or taken back: the old time and the new.
        zone: The home's.
    """
    days = {day_of(protocol, at, zone=zone) for at in times}
    return tuple(
        period
        for period in issued
        if any(period.first_day <= day <= period.last_day for day in days)
    )


def _is_over(protocol: Protocol, day: date, zone: tzinfo, at: datetime) -> bool:
    return at.astimezone(UTC) >= begin_of(protocol, day + timedelta(days=1), zone=zone)
