"""Dates in searches: ``ge2026-03``, ``lt2026-03-01T10:00Z`` … become intervals of time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from clinician_api.errors import BadRequestError

Interval = tuple[datetime, datetime]

_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 12, 31, tzinfo=UTC)
# "From year 1" and "until 9999" are how some clients say "ever": there a zone's offset would
# leave the calendar. Both years lie outside every window, and so do these; none is a leap year.
_FIRST_YEAR, _LAST_YEAR = 2, 9998

# A plus sign that a client forgot to encode arrives as a space.
_DATE: Final = re.compile(
    r"(?P<prefix>eq|ne|gt|lt|ge|le|sa|eb)?"
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>[0-5]\d|60)(?:\.(?P<fraction>\d{1,9}))?)?"
    r"(?P<zone>Z|[-+ ]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)


def matching(value: str, zone: ZoneInfo) -> tuple[Interval, ...]:
    """Return the half-open intervals of time that one search value matches, in UTC.

    A partial date is the interval that it names; without a zone it is read in ``zone``. A stored
    effective time is an instant, so "greater" and "starts after" are the same, and so are "less"
    and "ends before".

    Raises:
        BadRequestError: If it is no date, or has a prefix that is not supported (``ap``).

    Source:
        FHIR R4, Search, 3.1.1.4.2 Prefixes and 3.1.1.4.5 date.
    """
    match = _DATE.fullmatch(value)
    if match is None:
        raise BadRequestError("date: neither a date nor a prefix and a date")
    try:
        start, end = _named(match, zone)
    except (ValueError, OverflowError) as error:
        raise BadRequestError("date: no such date") from error
    match match["prefix"]:
        case None | "eq":
            return ((start, end),)
        case "ne":
            return ((_BEGINNING, start), (end, _END))
        case "gt" | "sa":
            return ((end, _END),)
        case "ge":
            return ((start, _END),)
        case "le":
            return ((_BEGINNING, end),)
        case _:  # lt, eb
            return ((_BEGINNING, start),)


def union(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return the same instants as sorted, disjoint intervals."""
    merged: list[Interval] = []
    for start, end in sorted(each for each in intervals if each[0] < each[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def intersection(one: Iterable[Interval], other: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return the instants that lie in both."""
    others = tuple(other)
    return union((max(a[0], b[0]), min(a[1], b[1])) for a in one for b in others)


def window(now: datetime, zone: ZoneInfo, years: int) -> Interval:
    """Return the interval that every search is bound by: ``years`` back to the end of tomorrow.

    Whole days in ``zone``, so that the bounds of one day's searches are the same.
    """
    today = now.astimezone(zone).date()
    first = today.replace(year=today.year - years, day=min(today.day, 28))
    last = today + timedelta(days=2)
    return (
        datetime(first.year, first.month, first.day, tzinfo=zone).astimezone(UTC),
        datetime(last.year, last.month, last.day, tzinfo=zone).astimezone(UTC),
    )


def _named(match: re.Match[str], zone: ZoneInfo) -> Interval:
    year, month, day = _year(match), match["month"], match["day"]
    if month is None:
        first, last = datetime(year, 1, 1, tzinfo=zone), datetime(year + 1, 1, 1, tzinfo=zone)
    elif day is None:
        after = (year + 1, 1) if month == "12" else (year, int(month) + 1)
        first = datetime(year, int(month), 1, tzinfo=zone)
        last = datetime(*after, 1, tzinfo=zone)
    elif match["hour"] is None:
        first = datetime(year, int(month), int(day), tzinfo=zone)
        last = first + timedelta(days=1)  # the next local midnight, 23 or 25 hours later too
    else:
        instant = _instant(match, zone)
        return instant, instant + _size(match)
    return first.astimezone(UTC), last.astimezone(UTC)


def _instant(match: re.Match[str], zone: ZoneInfo) -> datetime:
    second = int(match["second"] or 0)
    local = datetime(
        _year(match),
        int(match["month"]),
        int(match["day"]),
        int(match["hour"]),
        int(match["minute"]),
        min(second, 59),
        int((match["fraction"] or "").ljust(6, "0")[:6]),
        tzinfo=zone,
    ) + timedelta(seconds=second // 60)  # a leap second is the next minute's first
    if match["zone"] is None:
        return local.astimezone(UTC)
    wall = local.replace(tzinfo=None).isoformat()
    return datetime.fromisoformat(wall + match["zone"].replace(" ", "+")).astimezone(UTC)


def _year(match: re.Match[str]) -> int:
    year = int(match["year"])
    if year == 0:
        raise ValueError("there is no year 0")
    return min(max(year, _FIRST_YEAR), _LAST_YEAR)


def _size(match: re.Match[str]) -> timedelta:
    """Return how long an interval a time of that precision names."""
    if match["second"] is None:
        return timedelta(minutes=1)
    digits = len(match["fraction"] or "")
    return max(timedelta(seconds=1) / 10**digits, timedelta(microseconds=1))
