"""Measurement windows held against the calendar and the tz database."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_service.plans.windows import (
    Condition,
    Counts,
    PartOfDay,
    Window,
    check_windows,
    ended,
    next_end,
    occurrences,
    part_of_day,
    window_at,
)

HOME = "Europe/Stockholm"


def window(name: str, hours: str, **days: Any) -> Window:
    start, end = hours.split("-")
    return Window(name=name, start=start, end=end, **days)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


MORNING = window("morning", "06:00-10:00")
EVENING = window("evening", "17:00-21:00")
NIGHT = window("night", "22:00-02:00", condition=Condition.ASLEEP)
DAILY = (MORNING, EVENING, NIGHT)


def names(windows: tuple[Window, ...], since: str, until: str) -> list[tuple[str, str]]:
    return [
        (one.local_date.isoformat()[5:], one.window.name)
        for one in occurrences(windows, HOME, utc(since), utc(until))
    ]


def test_windows_follow_the_homes_clock_in_order() -> None:
    found = list(occurrences(DAILY, HOME, utc("2026-11-25T00:00"), utc("2026-11-26T00:00")))

    # Stockholm is at UTC+1. What reaches in from the day before, or out, is there whole.
    assert [(one.window.name, one.starts_at, one.ends_at) for one in found] == [
        ("night", utc("2026-11-24T21:00"), utc("2026-11-25T01:00")),
        ("morning", utc("2026-11-25T05:00"), utc("2026-11-25T09:00")),
        ("evening", utc("2026-11-25T16:00"), utc("2026-11-25T20:00")),
        ("night", utc("2026-11-25T21:00"), utc("2026-11-26T01:00")),
    ]
    assert [one.local_date.day for one in found] == [24, 25, 25, 25]


def test_a_window_holds_up_to_its_end() -> None:
    assert window_at(DAILY, HOME, utc("2026-11-25T04:59:59")) is None
    assert window_at(DAILY, HOME, utc("2026-11-25T09:00")) is None
    for at in ("2026-11-25T05:00", "2026-11-25T08:59:59"):
        found = window_at(DAILY, HOME, utc(at))
        assert found is not None
        assert found.window is MORNING


def test_after_midnight_it_is_still_the_window_of_the_day_before() -> None:
    found = window_at(DAILY, HOME, utc("2026-11-26T00:30"))

    assert found is not None
    assert (found.window.name, found.local_date) == ("night", date(2026, 11, 25))


def test_a_window_of_one_condition_is_found_among_others() -> None:
    both = (MORNING, window("walk", "09:00-11:00", condition=Condition.AFTER_EXERTION))
    at = utc("2026-11-25T08:30")

    first = window_at(both, HOME, at)
    walk = window_at(both, HOME, at, condition=Condition.AFTER_EXERTION)

    assert first is not None
    assert first.window is MORNING
    assert walk is not None
    assert walk.window.name == "walk"


@pytest.mark.parametrize(
    ("hours", "day", "starts", "ends"),
    [
        # 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC.
        ("22:00-07:00", "2026-03-28", "2026-03-28T21:00", "2026-03-29T05:00"),
        ("02:30-05:00", "2026-03-29", "2026-03-29T01:00", "2026-03-29T03:00"),
        ("06:00-10:00", "2026-03-29", "2026-03-29T04:00", "2026-03-29T08:00"),
        # 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC.
        ("22:00-07:00", "2026-10-24", "2026-10-24T20:00", "2026-10-25T06:00"),
        ("02:30-05:00", "2026-10-25", "2026-10-25T00:30", "2026-10-25T04:00"),
        ("00:00-24:00", "2026-10-25", "2026-10-24T22:00", "2026-10-25T23:00"),
        # 28 March and 31 October 2027.
        ("22:00-07:00", "2027-03-27", "2027-03-27T21:00", "2027-03-28T05:00"),
        ("22:00-07:00", "2027-10-30", "2027-10-30T20:00", "2027-10-31T06:00"),
    ],
)
def test_windows_are_right_in_the_nights_when_the_clock_is_changed(
    hours: str, day: str, starts: str, ends: str
) -> None:
    only = (window("one", hours, every_n_days=366, anchor=date.fromisoformat(day)),)

    (found,) = occurrences(only, HOME, utc(starts), utc(ends))

    assert (found.local_date.isoformat(), found.starts_at, found.ends_at) == (
        day,
        utc(starts),
        utc(ends),
    )
    assert next_end(only, HOME, utc(starts)) == utc(ends)


def test_a_window_in_the_hour_that_is_skipped_does_not_take_place() -> None:
    skipped = (window("one", "02:10-02:50"),)

    assert list(occurrences(skipped, HOME, utc("2026-03-28T12:00"), utc("2026-03-29T12:00"))) == []


def test_windows_in_far_zones_belong_to_the_days_there() -> None:
    # Kiritimati is 14 hours ahead of UTC, Niue 11 behind.
    ahead = window_at(DAILY, "Pacific/Kiritimati", utc("2026-11-25T17:00"))
    behind = window_at(DAILY, "Pacific/Niue", utc("2026-11-25T12:30"))

    assert ahead is not None
    assert (ahead.window.name, ahead.local_date) == ("morning", date(2026, 11, 26))
    assert behind is not None
    assert (behind.window.name, behind.local_date) == ("night", date(2026, 11, 24))


def test_a_window_of_nearly_a_day_is_found_far_behind_utc() -> None:
    nearly = (window("one", "20:00-19:00"),)

    # 26 November 05:00 UTC is 18:00 of the 25th there; the window began on the 24th.
    found = window_at(nearly, "Pacific/Niue", utc("2026-11-26T05:00"))

    assert found is not None
    assert found.local_date == date(2026, 11, 24)


# The three schedules of Scotland's national service for blood pressure at home (Technology
# Enabled Care Scotland, tec.scot): diagnosis on 14 days at 8 and 17, titration on Tuesdays and
# Fridays, long-term on one Tuesday a month.


def test_scotlands_schedule_for_diagnosis_can_be_written() -> None:
    diagnosis = (window("morning", "07:00-09:00"), window("evening", "16:00-18:00"))

    found = occurrences(
        diagnosis, "Europe/London", utc("2026-11-02T00:00"), utc("2026-11-16T00:00")
    )

    assert len(list(found)) == 28


def test_scotlands_schedule_for_titration_can_be_written() -> None:
    titration = (window("morning", "07:00-09:00", weekdays=(2, 5)),)

    found = occurrences(
        titration, "Europe/London", utc("2026-12-01T00:00"), utc("2026-12-16T00:00")
    )

    assert [one.local_date.day for one in found] == [1, 4, 8, 11, 15]


def test_scotlands_long_term_schedule_can_be_written() -> None:
    long_term = (window("morning", "07:00-09:00", weekdays=(2,), weeks_of_month=(1,)),)

    found = occurrences(
        long_term, "Europe/London", utc("2026-03-20T00:00"), utc("2026-08-20T00:00")
    )

    assert [one.local_date.isoformat() for one in found] == [
        "2026-04-07",
        "2026-05-05",
        "2026-06-02",
        "2026-07-07",
        "2026-08-04",
    ]


def test_every_third_day_counts_from_its_anchor_in_both_directions() -> None:
    third = (window("one", "06:00-10:00", every_n_days=3, anchor=date(2026, 11, 30)),)

    found = names(third, "2026-11-24T00:00", "2026-12-07T00:00")

    assert [day for day, _ in found] == ["11-24", "11-27", "11-30", "12-03", "12-06"]


def test_the_next_end_is_later_and_found_over_days_without_a_window() -> None:
    tuesdays = (window("one", "06:00-10:00", weekdays=(2,)),)

    assert next_end(tuesdays, HOME, utc("2026-11-24T08:59")) == utc("2026-11-24T09:00")
    assert next_end(tuesdays, HOME, utc("2026-11-24T09:00")) == utc("2026-12-01T09:00")


def test_an_end_at_midnight_of_utc_is_not_lost() -> None:
    late = (window("one", "22:00-01:00"),)

    assert next_end(late, HOME, utc("2026-11-24T22:00")) == utc("2026-11-25T00:00")
    assert next_end(late, HOME, utc("2026-11-25T00:00")) == utc("2026-11-26T00:00")
    assert len(ended(late, HOME, utc("2026-11-24T22:00"), utc("2026-11-25T00:00"))) == 1


def test_without_windows_nothing_ends_and_nothing_occurs() -> None:
    at = utc("2026-11-25T12:00")

    assert next_end((), HOME, at) is None
    assert window_at((), HOME, at) is None
    assert ended((), HOME, at, at + timedelta(days=30)) == ()


def test_what_ends_counts_once_and_in_the_order_of_the_ends() -> None:
    around = (window("long", "06:00-12:00"), window("short", "08:00-09:00"))

    found = ended(around, HOME, utc("2026-11-25T08:00"), utc("2026-11-25T11:00"))

    # The short one ended at 08:00 already.
    assert [one.window.name for one in found] == ["long"]
    before = ended(around, HOME, utc("2026-11-25T05:00"), utc("2026-11-25T11:00"))
    assert [one.window.name for one in before] == ["short", "long"]


@pytest.mark.parametrize(
    ("at", "part"),
    [
        ("2026-11-25T04:59", PartOfDay.NIGHT),
        ("2026-11-25T05:00", PartOfDay.MORNING),
        ("2026-11-25T10:00", PartOfDay.DAY),
        ("2026-11-25T16:00", PartOfDay.EVENING),
        ("2026-11-25T20:59", PartOfDay.EVENING),
        ("2026-11-25T21:00", PartOfDay.NIGHT),
        ("2026-07-01T04:00", PartOfDay.MORNING),  # summer time: 06:00
        ("2026-10-25T04:30", PartOfDay.NIGHT),  # winter time since three and a half hours
    ],
)
def test_the_part_of_the_day_is_that_of_the_homes_clock(at: str, part: PartOfDay) -> None:
    # Night is 22 to 6: arbetstidslagen (1982:673), section 13.
    assert part_of_day(HOME, utc(at)) is part


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        ((MORNING, window("morning", "12:00-13:00")), "the name 'morning' is given twice"),
        (
            (MORNING, window("late", "09:00-11:00")),
            "windows: 'morning' and 'late' overlap and are both rest",
        ),
        (
            (window("night", "22:00-02:00"), window("early", "01:00-03:00")),
            "windows: 'night' and 'early' overlap and are both rest",
        ),
        (
            (
                window("tuesday", "22:00-02:00", weekdays=(2,)),
                window("wednesday", "01:00-03:00", weekdays=(3,)),
            ),
            "windows: 'tuesday' and 'wednesday' overlap",
        ),
        (
            (
                window("third", "08:00-09:00", every_n_days=3, anchor=date(2026, 11, 1)),
                window("fifth", "08:00-09:00", every_n_days=5, anchor=date(2026, 11, 2)),
            ),
            "windows: 'third' and 'fifth' overlap",
        ),
    ],
)
def test_windows_between_which_a_reading_could_not_choose_are_refused(
    windows: tuple[Window, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        check_windows(windows)


@pytest.mark.parametrize(
    "windows",
    [
        DAILY,
        (window("early", "06:00-08:00"), window("late", "08:00-10:00")),
        (MORNING, window("walk", "09:00-11:00", condition=Condition.AFTER_EXERTION)),
        (
            window("tuesday", "22:00-02:00", weekdays=(2,)),
            window("thursday", "01:00-03:00", weekdays=(4,)),
        ),
        (
            window("odd", "08:00-10:00", every_n_days=2, anchor=date(2026, 11, 1)),
            window("even", "09:00-11:00", every_n_days=2, anchor=date(2026, 11, 2)),
        ),
        (),
    ],
)
def test_windows_between_which_a_reading_can_choose_are_taken(windows: tuple[Window, ...]) -> None:
    check_windows(windows)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ('{"name":"a","start":"06:00","end":"25:00"}', "'25:00' is no time of day"),
        ('{"name":"a","start":"06:00","end":"06:00"}', "window 'a' starts 06:00 and ends 06:00"),
        ('{"name":"a","start":"24:00","end":"06:00"}', "window 'a' starts 24:00 and ends 06:00"),
        ('{"name":"","start":"06:00","end":"07:00"}', "length >= 1 - at `$.name`"),
        (
            '{"name":"a","start":"06:00","end":"07:00","weekdays":[8]}',
            "Expected `int` <= 7 - at `$.weekdays[0]`",
        ),
        (
            '{"name":"a","start":"06:00","end":"07:00","weeks_of_month":[5]}',
            "Expected `int` <= 4 - at `$.weeks_of_month[0]`",
        ),
        (
            '{"name":"a","start":"06:00","end":"07:00","every_n_days":3}',
            "window 'a': every_n_days and anchor need each other",
        ),
        (
            '{"name":"a","start":"06:00","end":"07:00","every_n_days":3,"anchor":"2026-11-01","weekdays":[2]}',
            "window 'a': every_n_days goes without weekdays",
        ),
        ('{"name":"a","start":"06:00","end":"07:00","condition":"running"}', "at `$.condition`"),
        ('{"name":"a","start":"06:00","end":"07:00","day":1}', "unknown field `day`"),
    ],
)
def test_a_window_that_cannot_be_used_is_refused_with_what_and_where(
    document: str, said: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=re.escape(said)):
        msgspec.json.decode(document, type=Window)


def test_a_window_is_read_from_json() -> None:
    document = (
        b'{"name":"night","start":"22:00","end":"02:00","weekdays":[1,7],"condition":"asleep",'
        b'"sitting":"last"}'
    )

    assert msgspec.json.decode(document, type=Window) == window(
        "night",
        "22:00-02:00",
        weekdays=(1, 7),
        condition=Condition.ASLEEP,
        sitting=Counts.LAST,
    )


ZONES = ("Europe/Stockholm", "America/St_Johns", "Pacific/Kiritimati", "Pacific/Niue", "UTC")


@st.composite
def plans(draw: st.DrawFn) -> tuple[Window, ...]:
    found: list[Window] = []
    for number in range(draw(st.integers(1, 4))):
        start, end = draw(st.lists(st.integers(0, 1439), min_size=2, max_size=2, unique=True))
        weekdays = draw(st.sets(st.integers(1, 7), max_size=3))
        found.append(
            Window(
                name=f"window {number}",
                start=f"{start // 60:02}:{start % 60:02}",
                end=f"{end // 60:02}:{end % 60:02}",
                weekdays=tuple(sorted(weekdays)),
            )
        )
    return tuple(found)


def within_a_year(minute: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)


times = st.builds(within_a_year, st.integers(0, 365 * 1440))
spans = st.integers(0, 9 * 1440)


@settings(deadline=None)
@given(plans(), st.sampled_from(ZONES), times)
def test_the_window_of_a_time_is_the_first_of_those_that_hold_it(
    windows: tuple[Window, ...], zone: str, at: datetime
) -> None:
    around = occurrences(windows, zone, at - timedelta(days=2), at + timedelta(days=2))

    holding = [one for one in around if one.starts_at <= at < one.ends_at]

    assert window_at(windows, zone, at) == next(iter(holding), None)


@settings(deadline=None)
@given(plans(), st.sampled_from(ZONES), times, spans, spans)
def test_runs_that_follow_one_another_see_every_end_once(
    windows: tuple[Window, ...], zone: str, since: datetime, first: int, second: int
) -> None:
    middle = since + timedelta(minutes=first)
    until = middle + timedelta(minutes=second)

    parts = ended(windows, zone, since, middle) + ended(windows, zone, middle, until)

    assert parts == ended(windows, zone, since, until)


@settings(deadline=None)
@given(plans(), st.sampled_from(ZONES), times)
def test_nothing_ends_before_the_next_end(
    windows: tuple[Window, ...], zone: str, after: datetime
) -> None:
    end = next_end(windows, zone, after)

    assert end is not None
    assert end > after
    assert {one.ends_at for one in ended(windows, zone, after, end)} == {end}


@settings(deadline=None)
@given(plans(), st.sampled_from(ZONES), times, spans)
def test_occurrences_are_those_that_touch_a_time_each_once_and_in_order(
    windows: tuple[Window, ...], zone: str, since: datetime, span: int
) -> None:
    until = since + timedelta(minutes=span)

    found = list(occurrences(windows, zone, since, until))

    wide = occurrences(windows, zone, since - timedelta(days=3), until + timedelta(days=3))
    touching = [one for one in wide if one.starts_at < until and one.ends_at > since]
    assert found == touching
    assert found == sorted(found, key=lambda one: (one.starts_at, one.ends_at))
    assert len({(one.window.name, one.local_date) for one in found}) == len(found)
