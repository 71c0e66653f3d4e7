"""Measurement windows: the parts of a day in which a plan asks for a reading.

A window is wall-clock time where the patient lives. One that passes midnight belongs to the day
on which it begins. Like opening hours, occurrences are worked out once for each day and kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Final

import msgspec

from ingest_service.plans.wall_clock import (
    MINUTES_A_DAY,
    Weekday,
    instant,
    minute_of_day,
    utc,
    zone_named,
)

#: Nobody looks further ahead for a window: windows that never come have an answer too.
LOOK_AHEAD: Final = timedelta(days=400)

_DAY: Final = timedelta(days=1)
# Any Monday, and past the period of all but the rarest of intervals beside weekdays.
_CHECKED_FROM: Final = date(2024, 1, 1)
_CHECKED_DAYS: Final = 1000


class Condition(StrEnum):
    """In what state the patient is to measure."""

    REST = "rest"
    AFTER_EXERTION = "after_exertion"
    ASLEEP = "asleep"


class Counts(StrEnum):
    """Which of the sittings in one window counts."""

    FIRST = "first"
    LAST = "last"
    ALL = "all"


class PartOfDay(StrEnum):
    """Parts of the day between which a patient's usual values differ."""

    NIGHT = "night"
    MORNING = "morning"
    DAY = "day"
    EVENING = "evening"


class Window(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    cache_hash=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """A part of the day in which a reading is asked for, and on which days.

    ``end`` at or before ``start`` is on the day after. Without ``weekdays`` it is every day;
    ``weeks_of_month`` keeps the first, second, third or fourth such weekday of a month.
    ``every_n_days`` counts from ``anchor``, in both directions.

    Raises:
        ValueError: If it contradicts itself; says what and where.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    start: str
    end: str
    weekdays: Annotated[tuple[Weekday, ...], msgspec.Meta(max_length=7)] = ()
    weeks_of_month: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=1, le=4)], ...], msgspec.Meta(max_length=4)
    ] = ()
    every_n_days: Annotated[int, msgspec.Meta(ge=2, le=366)] | None = None
    anchor: date | None = None
    condition: Condition = Condition.REST
    sitting: Counts = Counts.FIRST

    def __post_init__(self) -> None:
        start, end = minute_of_day(self.start), minute_of_day(self.end)
        if start in (end, MINUTES_A_DAY):
            raise ValueError(f"window {self.name!r} starts {self.start} and ends {self.end}")
        if (self.every_n_days is None) != (self.anchor is None):
            raise ValueError(f"window {self.name!r}: every_n_days and anchor need each other")
        if self.every_n_days is not None and (self.weekdays or self.weeks_of_month):
            raise ValueError(
                f"window {self.name!r}: every_n_days goes without weekdays and weeks_of_month"
            )

    @property
    def minutes(self) -> tuple[int, int]:
        """Return start and end as minutes after the midnight of the day on which it begins."""
        start, end = minute_of_day(self.start), minute_of_day(self.end)
        return start, end if end > start else end + MINUTES_A_DAY

    def is_on(self, day: date) -> bool:
        """Tell whether the window begins on a local date."""
        if self.every_n_days is not None and self.anchor is not None:
            return (day - self.anchor).days % self.every_n_days == 0
        is_weekday = not self.weekdays or day.isoweekday() in self.weekdays
        # The first Tuesday is the one among days 1 to 7, the second among 8 to 14.
        week = (day.day - 1) // 7 + 1
        return is_weekday and (not self.weeks_of_month or week in self.weeks_of_month)


Windows = tuple[Window, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A window on one day: from ``starts_at`` up to, not including, ``ends_at``, in UTC."""

    window: Window
    local_date: date
    starts_at: datetime
    ends_at: datetime


def check_windows(windows: Windows) -> None:
    """Refuse windows among which a reading would not know its own.

    Those of one condition may not overlap, and names are given once.

    Raises:
        ValueError: If they do; says which.
    """
    names = [window.name for window in windows]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"windows: the name {twice[0]!r} is given twice")
    for condition in Condition:
        same = tuple(window for window in windows if window.condition is condition)
        # By the clock's face alone: a change of the clock makes no overlap.
        for one, other in pairwise(_faces(same)):
            if other[1] < one[2]:
                raise ValueError(
                    f"windows: {one[0].name!r} and {other[0].name!r} overlap and are both "
                    f"{condition}"
                )


def occurrences(
    windows: Windows, zone: str, since: datetime, until: datetime
) -> Iterator[Occurrence]:
    """Yield each occurrence of which some part lies in a time, from its beginning up to its end.

    In the order in which they start, then end; whole, also where they begin before ``since``.
    """
    since, until = utc(since), utc(until)
    day = since.date()
    while day <= until.date():
        for one in _touching(windows, zone, day):
            # What reached into the day before was given with that day.
            is_new = one.starts_at.date() == day or day == since.date()
            if is_new and one.starts_at < until and one.ends_at > since:
                yield one
        day += _DAY


def ended(windows: Windows, zone: str, since: datetime, until: datetime) -> tuple[Occurrence, ...]:
    """Return what ended after ``since`` and at or before ``until``, in the order of the ends.

    Times that follow one another give every occurrence once: a run that was missed is caught up.
    """
    since, until = utc(since), utc(until)
    found = (one for one in occurrences(windows, zone, since, until) if one.ends_at <= until)
    return tuple(sorted(found, key=lambda one: (one.ends_at, one.starts_at)))


def window_at(
    windows: Windows, zone: str, at: datetime, *, condition: Condition | None = None
) -> Occurrence | None:
    """Return the window in which a time lies, the one that began first where there are several.

    Args:
        windows: The plan's.
        zone: Where the patient lives.
        at: The time.
        condition: Only windows of this condition, if one is given.
    """
    at = utc(at)
    for one in _touching(windows, zone, at.date()):
        if one.starts_at <= at < one.ends_at and (
            condition is None or one.window.condition is condition
        ):
            return one
    return None


def next_end(windows: Windows, zone: str, after: datetime) -> datetime | None:
    """Return when a window ends next, later than a time.

    Returns:
        In UTC; ``None`` if none ends within `LOOK_AHEAD`.
    """
    after = utc(after)
    day = after.date()
    while day <= (after + LOOK_AHEAD).date():
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) + _DAY
        # What ends later may end after a window that begins tomorrow: that day tells.
        ends = [one.ends_at for one in _touching(windows, zone, day) if one.ends_at <= midnight]
        if later := [end for end in ends if end > after]:
            return min(later)
        day += _DAY
    return None


def part_of_day(zone: str, at: datetime) -> PartOfDay:
    """Return the part of the day that a place's clock shows.

    Night is 22 to 6.

    Source:
        Arbetstidslagen (1982:673), section 13, for the night. The others (morning to 11, day to
        17) are ours.
    """
    return _PARTS[utc(at).astimezone(zone_named(zone)).hour]


_PARTS: Final = (
    *(PartOfDay.NIGHT,) * 6,
    *(PartOfDay.MORNING,) * 5,
    *(PartOfDay.DAY,) * 6,
    *(PartOfDay.EVENING,) * 5,
    *(PartOfDay.NIGHT,) * 2,
)


# A few templates' windows over a year or two, or many patients' over some days.
@lru_cache(maxsize=1 << 14)
def _touching(windows: Windows, zone: str, day: date) -> tuple[Occurrence, ...]:
    """Return the occurrences of which some part lies in a day of UTC, in order."""
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
    ends = begins + _DAY
    found = [
        one
        # From two days before: a local day may lie a day earlier, and a window pass midnight.
        for local in (day + (back * _DAY) for back in range(-2, 2))
        for one in _on(windows, zone, local)
        if one.starts_at < ends and one.ends_at > begins
    ]
    return tuple(sorted(found, key=lambda one: (one.starts_at, one.ends_at)))


@lru_cache(maxsize=1 << 14)
def _on(windows: Windows, zone: str, day: date) -> tuple[Occurrence, ...]:
    """Return the occurrences that begin on a local date."""
    place = zone_named(zone)
    found = (
        Occurrence(
            window=window,
            local_date=day,
            starts_at=instant(place, day, window.minutes[0]),
            ends_at=instant(place, day, window.minutes[1]),
        )
        for window in windows
        if window.is_on(day)
    )
    # One that lies in the hour that is skipped in spring does not take place.
    return tuple(one for one in found if one.starts_at < one.ends_at)


def _faces(windows: Windows) -> list[tuple[Window, int, int]]:
    """Return each window of many days in minutes of the clock's face, in order."""
    found = [
        (window, start + number * MINUTES_A_DAY, end + number * MINUTES_A_DAY)
        for number in range(_CHECKED_DAYS)
        for window in windows
        if window.is_on(_CHECKED_FROM + number * _DAY)
        for start, end in (window.minutes,)
    ]
    return sorted(found, key=lambda one: one[1:])
