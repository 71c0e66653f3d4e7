"""The wall clock of a place: which instant "08:00" is on a given day.

Two nights a year the wall clock is no measure of time. One rule for both keeps the order of a
day's times and leaves neither a gap nor an overlap between neighbours:

- a time that is skipped (02:30 when 02:00 becomes 03:00) is the instant of the change;
- a time that is shown twice is the first of the two.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

#: The last minute of a day's clock, written 24:00, is the next day's first.
MINUTES_A_DAY: Final = 24 * 60

#: A weekday as ISO 8601 counts: Monday is 1, Sunday 7.
Weekday = Annotated[int, msgspec.Meta(ge=1, le=7)]

# Names outside these areas depend on the machine ("localtime") or count leap seconds ("right/").
_ZONE: Final = re.compile(
    r"UTC|(Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Etc|Europe|Indian|Pacific)"
    r"(/[A-Za-z0-9_+-]{1,32}){1,2}"
)
_TIME: Final = re.compile(r"(?:([01][0-9]|2[0-3]):([0-5][0-9]))|24:00")

# Far from what is measured or agreed; next to the calendar's ends arithmetic overflows.
_YEARS: Final = range(1900, 2200)


@cache
def zone_named(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name such as ``Europe/Stockholm``.

    Raises:
        ValueError: If no such zone is known.
    """
    try:
        if _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):  # "Europe" alone is a folder, not a zone
        pass
    raise ValueError(f"{name[:64]!r} is not a known time zone, such as Europe/Stockholm")


def minute_of_day(text: str) -> int:
    """Return how many minutes after midnight the clock shows ``HH:MM``; ``24:00`` is 1440.

    Raises:
        ValueError: If it is no time of day.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:16]!r} is no time of day: HH:MM, 00:00 to 24:00")
    if found[1] is None:
        return MINUTES_A_DAY
    return int(found[1]) * 60 + int(found[2])


def utc(at: datetime) -> datetime:
    """Return an aware time in UTC.

    Raises:
        ValueError: If it has no zone, or lies so far off that it cannot be meant.
    """
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone")
    if at.year not in _YEARS:
        raise ValueError(f"the year {at.year} lies outside {_YEARS[0]} to {_YEARS[-1]}")
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def instant(zone: ZoneInfo, day: date, minute: int) -> datetime:
    """Return when the place's clock first shows, or skips, a minute of a day, in UTC.

    Args:
        zone: Where the clock hangs.
        day: The local date.
        minute: Minutes on the clock's face after midnight; 1440 and more are of days after.
    """
    wall = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=minute)
    at = wall.astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return at
    return _change(zone, wall.replace(fold=1).astimezone(UTC), at)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the instant between two when the clock is put forward, to the second."""
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after
