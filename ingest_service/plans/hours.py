"""A care unit's opening hours: when somebody is there, and time counted in opening hours.

An opening holds from its start up to, not including, its end. Everything is worked out for each
day of UTC once and kept: what is asked again costs a look-up and no calendar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Final

import msgspec

from ingest_service.plans import closures
from ingest_service.plans.wall_clock import instant, minute_of_day, utc, zone_named

#: Nobody looks further ahead for an opening: a unit that is never open has an answer too.
LOOK_AHEAD: Final = timedelta(days=400)

_MOST_BYTES: Final = 64 * 1024
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Span = tuple[datetime, datetime]

# A week of opening minutes round the clock, twice.
_Minutes = Annotated[int, msgspec.Meta(ge=1, le=2 * 7 * 24 * 60)]
_Days = Annotated[tuple[str, ...], msgspec.Meta(max_length=400)]


class HoursError(ValueError):
    """A document is no opening hours that can be used; says what and where."""


class Opening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From when until when a unit is open on a day, ``HH:MM`` of its own clock.

    It may end at 24:00. A night is written as two: until 24:00, and from 00:00 the day after.
    """

    start: str
    end: str

    def __post_init__(self) -> None:
        if self.minutes[1] <= self.minutes[0]:
            raise ValueError(f"the opening {self} does not end after it starts")

    def __str__(self) -> str:
        return f"{self.start}-{self.end}"

    @property
    def minutes(self) -> tuple[int, int]:
        """Return start and end as minutes after midnight."""
        return minute_of_day(self.start), minute_of_day(self.end)


_Openings = Annotated[tuple[Opening, ...], msgspec.Meta(max_length=24)]


class Week(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename={name.lower(): str(number) for number, name in enumerate(_WEEKDAYS, start=1)},
):
    """The openings of each weekday; in a document ``"1"`` is Monday and ``"7"`` Sunday."""

    monday: _Openings = ()
    tuesday: _Openings = ()
    wednesday: _Openings = ()
    thursday: _Openings = ()
    friday: _Openings = ()
    saturday: _Openings = ()
    sunday: _Openings = ()

    def __post_init__(self) -> None:
        for number, openings in enumerate(self.days, start=1):
            _check_apart(openings, f"{_WEEKDAYS[number - 1]} ({number})")

    @property
    def days(self) -> tuple[tuple[Opening, ...], ...]:
        """Return the seven days, Monday first."""
        return (
            self.monday,
            self.tuesday,
            self.wednesday,
            self.thursday,
            self.friday,
            self.saturday,
            self.sunday,
        )


class OwnHours(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A day with hours of its own, such as a half day before a holiday.

    On a date they hold whatever weekday it is. A day of every year or of a name keeps to
    weekdays on which the unit is open at all.
    """

    day: str
    open: _Openings

    def __post_init__(self) -> None:
        _check_apart(self.open, self.day[:64])


class ResponseTimes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Within how many opening minutes somebody takes an alert of each priority."""

    red: _Minutes
    yellow: _Minutes
    blue: _Minutes


class Hours(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    cache_hash=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """When a care unit is open, and how fast it answers in opening minutes.

    What is written for a date wins over what is written for a day of every year, that over a
    day's name, that over the public holidays of ``holiday_country``, and these over the week.
    ``open_days`` have the hours of their weekday although they are public holidays.

    Raises:
        ValueError: If it contradicts itself; says what and where.
    """

    zone: str
    weekly: Week
    respond_within_min: ResponseTimes
    #: Within how many opening minutes a red that was taken is finished.
    finish_within_min: _Minutes
    holiday_country: str | None = None
    holiday_subdivision: str | None = None
    also_closed: _Days = ()
    open_days: _Days = ()
    own_hours: Annotated[tuple[OwnHours, ...], msgspec.Meta(max_length=400)] = ()

    def __post_init__(self) -> None:
        try:
            zone_named(self.zone)
        except ValueError as error:
            raise ValueError(f"zone: {error}") from error
        if self.holiday_country is not None:
            closures.check_country(self.holiday_country, self.holiday_subdivision)
        elif self.holiday_subdivision is not None:
            raise ValueError("holiday_subdivision: needs a holiday_country")
        self._check_days()
        if not any(self.weekly.days) and not any(one.open for one in self.own_hours):
            raise ValueError("weekly: the unit is never open; nobody would ever be late")

    def _check_days(self) -> None:
        written: dict[str, str] = {}
        for place, day in _places(self):
            try:
                closures.check_day(day, self.holiday_country, self.holiday_subdivision)
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from error
            if day in written:
                raise ValueError(f"{place}: {day!r} is in {written[day]} already")
            written[day] = place
        for day in self.open_days:
            weekday = closures.weekday_of(day)
            if weekday is not None and not self.weekly.days[weekday]:
                raise ValueError(
                    f"open_days: {day} is a {_WEEKDAYS[weekday]}, which has no hours in weekly; "
                    "give it own_hours"
                )


def decode(document: bytes) -> Hours:
    """Read opening hours from JSON.

    Raises:
        HoursError: If they cannot be used, with what and where.
    """
    if len(document) > _MOST_BYTES:
        raise HoursError(f"Opening hours cannot be used: more than {_MOST_BYTES} bytes.")
    try:
        return _DECODER.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HoursError(f"Opening hours cannot be used: {error}.") from error


def round_the_clock(
    zone: str, *, respond_within_min: ResponseTimes, finish_within_min: int
) -> Hours:
    """Return the hours of a unit that never closes."""
    day = (Opening(start="00:00", end="24:00"),)
    return Hours(
        zone=zone,
        weekly=Week(
            monday=day,
            tuesday=day,
            wednesday=day,
            thursday=day,
            friday=day,
            saturday=day,
            sunday=day,
        ),
        respond_within_min=respond_within_min,
        finish_within_min=finish_within_min,
    )


def is_open(hours: Hours, at: datetime) -> bool:
    """Tell whether the unit is open at a time."""
    at = utc(at)
    return any(start <= at < end for start, end in _open_on(hours, at.date()))


def opens_next(hours: Hours, at: datetime) -> datetime | None:
    """Return the first instant from ``at`` on when the unit is open: ``at`` itself if it is.

    Returns:
        In UTC; ``None`` if it does not open within `LOOK_AHEAD`.
    """
    return next((start for start, _ in _open_from(hours, at)), None)


def closes_next(hours: Hours, at: datetime) -> datetime | None:
    """Return the first instant from ``at`` on when the unit is closed: ``at`` itself if it is.

    Returns:
        In UTC; ``None`` if it does not close within `LOOK_AHEAD`.
    """
    open_until = at = utc(at)
    for start, end in _open_from(hours, at):
        if start > open_until:
            break
        open_until = end
    return None if open_until >= at + LOOK_AHEAD else open_until


def deadline(hours: Hours, since: datetime, minutes: int) -> datetime | None:
    """Return the first instant at which so many opening minutes have passed since a time.

    It lies within an opening or just at its end; with no minutes it is ``since``.

    Returns:
        In UTC; ``None`` if they do not pass within `LOOK_AHEAD`: then nobody is there to be late.

    Raises:
        ValueError: If ``minutes`` is negative.
    """
    if minutes < 0:
        raise ValueError(f"{minutes} opening minutes cannot pass")
    if minutes == 0:
        return utc(since)
    left = minutes * _MINUTE
    for start, end in _open_from(hours, since):
        if end - start >= left:
            return start + left
        left -= end - start
    return None


def opening_time(hours: Hours, since: datetime, until: datetime) -> timedelta:
    """Return how long the unit has been open between two times; none if they are reversed.

    A clock that was put back, or a reading from a clock ahead, gives reversed times: then
    nothing has passed yet.
    """
    since, until = utc(since), utc(until)
    passed = timedelta()
    day = since.date()
    while day <= until.date():
        for start, end in _open_on(hours, day):
            passed += max(min(end, until) - max(start, since), timedelta())
        day += _DAY
    return passed


def opening_minutes(hours: Hours, since: datetime, until: datetime) -> int:
    """Return how many whole opening minutes have passed between two times."""
    return opening_time(hours, since, until) // _MINUTE


_DECODER: Final = msgspec.json.Decoder(Hours)


def _places(hours: Hours) -> Iterator[tuple[str, str]]:
    for index, day in enumerate(hours.also_closed):
        yield f"also_closed[{index}]", day
    for index, day in enumerate(hours.open_days):
        yield f"open_days[{index}]", day
    for index, own in enumerate(hours.own_hours):
        yield f"own_hours[{index}].day", own.day


def _check_apart(openings: Iterable[Opening], day: str) -> None:
    for one, other in pairwise(sorted(openings, key=lambda opening: opening.minutes)):
        if other.minutes[0] < one.minutes[1]:
            raise ValueError(f"{day}: the openings {one} and {other} overlap")


def _open_from(hours: Hours, at: datetime) -> Iterator[Span]:
    """Yield what is open from a time on until `LOOK_AHEAD`, cut at each midnight of UTC."""
    at = utc(at)
    until = at + LOOK_AHEAD
    day = at.date()
    while day <= until.date():
        for start, end in _open_on(hours, day):
            if end > at and start < until:
                yield max(start, at), min(end, until)
        day += _DAY


# Some hundred units, a month each; or one unit over many years.
@lru_cache(maxsize=1 << 14)
def _open_on(hours: Hours, day: date) -> tuple[Span, ...]:
    """Return what is open in a day of UTC, in order, joined where it touches."""
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
    ends = begins + _DAY
    spans: list[Span] = []
    # Local days begin at most 14 hours before and end at most 12 hours after those of UTC.
    for local in (day - _DAY, day, day + _DAY):
        for start, end in _spans(hours, local):
            start, end = max(start, begins), min(end, ends)  # noqa: PLW2901
            if spans and start <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(spans[-1][1], end)
            elif start < end:
                spans.append((start, end))
    return tuple(spans)


@lru_cache(maxsize=1 << 14)
def _spans(hours: Hours, day: date) -> tuple[Span, ...]:
    """Return the openings of a local date as instants."""
    zone = zone_named(hours.zone)
    minutes = sorted(opening.minutes for opening in _openings(hours, day))
    return tuple((instant(zone, day, start), instant(zone, day, end)) for start, end in minutes)


def _openings(hours: Hours, day: date) -> tuple[Opening, ...]:
    week = hours.weekly.days[day.weekday()]
    exceptions = _exceptions(hours)
    on_date, yearly = closures.notations(day)
    if on_date in exceptions:
        own = exceptions[on_date]
        return week if own is None else own
    if not week:
        return ()
    if yearly in exceptions:
        own = exceptions[yearly]
        return week if own is None else own
    return _by_name(hours, day, week)


def _by_name(hours: Hours, day: date, week: tuple[Opening, ...]) -> tuple[Opening, ...]:
    """Return the openings of a weekday after what its names and its being a holiday change.

    Where several names meet on one day, the one that closes more wins.
    """
    if hours.holiday_country is None:
        return week
    exceptions = _exceptions(hours)
    where = hours.holiday_country, hours.holiday_subdivision
    names = closures.names(*where, day)
    own = [found for name in names if (found := exceptions.get(name)) is not None]
    if own:
        return min(own, key=_length)
    is_holiday = any(name not in exceptions for name in closures.public_names(*where, day))
    return () if is_holiday else week


def _length(openings: tuple[Opening, ...]) -> int:
    return sum(end - start for start, end in (one.minutes for one in openings))


@lru_cache(maxsize=1024)
def _exceptions(hours: Hours) -> Mapping[str, tuple[Opening, ...] | None]:
    """Return what each written day is open instead; ``None`` where it is as its weekday."""
    return {
        **dict.fromkeys(hours.also_closed, ()),
        **dict.fromkeys(hours.open_days),
        **{own.day: own.open for own in hours.own_hours},
    }
