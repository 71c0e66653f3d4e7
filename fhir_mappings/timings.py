"""Measurement windows as FHIR R4's Timing: what it can say, and beside it what it cannot.

R4 has exact times of day and loose parts of the day, and no window between two times: a window's
own times stand in an extension and in words. ``timeOfDay`` is not written: who reads it measures
at that minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

from fhir_mappings.codes import WINDOW
from fhir_mappings.elements import CodeableConcept, Extension, Period
from fhir_mappings.plan_elements import Repeat, Timing

Condition = Literal["rest", "after_exertion", "asleep"]

_HOUR: Final = 60
_DAY: Final = 24 * _HOUR
# Written only where the whole window lies within: EventTiming says no more than the part of the
# day. The parts are those of the plans, but for the day, of which R4 has the afternoon alone.
_PARTS: Final = (
    ("NIGHT", 0, 6 * _HOUR),
    ("MORN", 6 * _HOUR, 11 * _HOUR),
    ("AFT", 12 * _HOUR, 17 * _HOUR),
    ("EVE", 17 * _HOUR, 22 * _HOUR),
    ("NIGHT", 22 * _HOUR, 30 * _HOUR),
)
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowDetails:
    """A part of the day in which a reading is asked for, by the home's clock.

    Attributes:
        name: As the plan calls it.
        minutes: Start and end after the midnight of the day on which it begins.
        zone: Where the home is, as IANA names it.
        condition: In what state the patient is to measure.
        sitting: Which of several counts: ``first``, ``last`` or ``all``.
        weekdays: 1 is Monday; none means every day.
        weeks_of_month: Only the first, second … such weekday of a month.
        every_n_days: Every so many days, counted from ``anchor``.
        anchor: One of these days.
    """

    name: str
    minutes: tuple[int, int]
    zone: str
    condition: Condition
    sitting: Literal["first", "last", "all"]
    weekdays: tuple[int, ...] = ()
    weeks_of_month: tuple[int, ...] = ()
    every_n_days: int | None = None
    anchor: date | None = None


def timing(window: WindowDetails, *, since: datetime, until: datetime | None) -> Timing:
    """Return when a window comes, from one time until another or for good.

    Source:
        FHIR R4, Timing: with days of the week or times of the day there is neither frequency nor
        period; EventTiming.
    """
    period = Period(since.isoformat(), until.isoformat() if until else None)
    frequency, length, unit = _how_often(window)
    is_by_weekday = bool(window.weekdays) and not window.weeks_of_month
    return Timing(
        repeat=Repeat(
            extension=(_window(window),),
            bounds_period=period,
            frequency=None if is_by_weekday else frequency,
            period=None if is_by_weekday else length,
            period_unit=None if is_by_weekday else unit,
            day_of_week=_days(window) if is_by_weekday else (),
            when=tuple(
                code
                for code, begins, ends in _PARTS
                if begins <= window.minutes[0] and window.minutes[1] <= ends
            ),
        ),
        code=CodeableConcept(text=_words(window)),
    )


def _how_often(window: WindowDetails) -> tuple[int, int, str]:
    if window.weeks_of_month:
        return len(window.weeks_of_month) * (len(window.weekdays) or len(_WEEKDAYS)), 1, "mo"
    return 1, window.every_n_days or 1, "d"


def _window(window: WindowDetails) -> Extension:
    begins, ends = (_clock(minute) for minute in window.minutes)
    anchor = window.anchor.isoformat() if window.anchor else None
    return Extension(
        WINDOW,
        extension=(
            Extension("name", value_string=window.name),
            Extension("start", value_time=f"{begins}:00"),
            Extension("end", value_time=f"{ends}:00"),
            Extension("zone", value_code=window.zone),
            Extension("sitting", value_code=window.sitting),
            *(
                # Where R4's own element has no place for them.
                Extension("weekday", value_code=day)
                for day in (_days(window) if window.weeks_of_month else ())
            ),
            *(Extension("weekOfMonth", value_integer=week) for week in window.weeks_of_month),
            *((Extension("anchor", value_date=anchor),) if anchor else ()),
        ),
    )


def _words(window: WindowDetails) -> str:
    begins, ends = (_clock(minute) for minute in window.minutes)
    days = ", ".join(_days(window)) or "every day"
    if window.weeks_of_month:
        weeks = ", ".join(map(str, window.weeks_of_month))
        days = f"{days}, of each month number {weeks}"
    if window.every_n_days is not None:
        days = f"every {window.every_n_days} days, one of them {window.anchor}"
    return f"{window.name}: {begins} to {ends} ({window.zone}), {days}"


def _days(window: WindowDetails) -> tuple[str, ...]:
    return tuple(_WEEKDAYS[day - 1] for day in window.weekdays)


def _clock(minute: int) -> str:
    """Return a time of day; FHIR knows no 24:00."""
    return f"{minute % _DAY // _HOUR:02}:{minute % _HOUR:02}"
