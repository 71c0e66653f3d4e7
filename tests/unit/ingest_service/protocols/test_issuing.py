"""When an average is issued, and which one a changed reading lies in."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.protocols.issuing import due, next_end, touched
from ingest_service.protocols.sittings import Period, course, rolling
from tests.unit.ingest_service.protocols.examples import (
    STOCKHOLM,
    protocol,
    readings,
    same_days,
)

ESH = protocol("esh-2021")
START = date(2026, 3, 23)  # its last day is 29 March, when the clock goes forward
USUAL = ["07:00 138/86", "07:02 136/84", "19:00 134/82", "19:02 132/80"]
WEEK = readings(same_days("2026-03-23", USUAL, count=7))
COURSE = course(ESH, start=START)
# Its last day is over at 04:00 on the 30th, summer time.
OVER = datetime(2026, 3, 30, 2, 0, tzinfo=UTC)


def due_course(at: datetime, issued: tuple[Period, ...] = ()) -> Period | None:
    return due(ESH, WEEK, zone=STOCKHOLM, at=at, course_start=START, issued=issued)


def due_rolling(
    at: datetime, issued: tuple[Period, ...] = (), days: dict[str, list[str]] | None = None
) -> Period | None:
    given = WEEK if days is None else readings(days)
    return due(ESH, given, zone=STOCKHOLM, at=at, course_start=None, issued=issued)


def test_a_course_is_due_when_its_last_day_is_over_and_once() -> None:
    assert due_course(OVER - timedelta(seconds=1)) is None
    assert due_course(OVER) == COURSE
    assert due_course(OVER + timedelta(days=40)) == COURSE
    assert due_course(OVER, issued=(COURSE,)) is None


def test_a_course_in_which_nobody_measured_gives_no_average() -> None:
    later = course(ESH, start=date(2026, 5, 1))

    assert (
        due(
            ESH,
            WEEK,
            zone=STOCKHOLM,
            at=OVER + timedelta(days=90),
            course_start=later.first_day,
            issued=(),
        )
        is None
    )


def test_a_rolling_one_is_due_once_for_each_day_with_readings() -> None:
    sunday, saturday = (rolling(ESH, last_day=date(2026, 3, day)) for day in (29, 28))

    assert due_rolling(OVER - timedelta(seconds=1)) == saturday
    assert due_rolling(OVER - timedelta(seconds=1), issued=(saturday,)) is None
    assert due_rolling(OVER) == sunday
    assert due_rolling(OVER, issued=(sunday,)) is None
    assert due_rolling(OVER + timedelta(days=3), issued=(sunday,)) is None


def test_a_rolling_one_after_an_outage_is_one_and_not_seven() -> None:
    sunday = rolling(ESH, last_day=date(2026, 3, 29))

    assert due_rolling(OVER + timedelta(hours=9)) == sunday
    assert due_rolling(OVER + timedelta(hours=9), issued=(sunday,)) is None


def test_what_was_taken_back_makes_nothing_due() -> None:
    days = {"2026-03-29": [f"{line} taken_back" for line in USUAL]}

    assert due_rolling(OVER, days=days) is None


def test_a_course_and_a_rolling_average_of_the_same_days_are_two() -> None:
    assert rolling(ESH, last_day=COURSE.last_day) != COURSE


@pytest.mark.parametrize("start", [START, None])
def test_says_when_to_ask_again(start: date | None) -> None:
    before = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)

    assert next_end(ESH, zone=STOCKHOLM, at=before, course_start=start) == OVER


def test_a_course_that_is_over_has_no_next_end() -> None:
    assert next_end(ESH, zone=STOCKHOLM, at=OVER, course_start=START) is None


def test_a_changed_reading_touches_the_averages_of_its_old_and_its_new_day() -> None:
    issued = [rolling(ESH, last_day=date(2026, 3, day)) for day in (10, 17, 24)]
    was, becomes = (datetime(2026, 3, day, 12, 0, tzinfo=UTC) for day in (11, 4))

    assert touched(ESH, issued, [was], zone=STOCKHOLM) == (issued[1],)
    assert touched(ESH, issued, [was, becomes], zone=STOCKHOLM) == (issued[0], issued[1])


@given(st.lists(st.integers(0, 14 * 24), min_size=1, max_size=40))
def test_runs_at_any_times_issue_nothing_twice_and_not_what_is_not_over(hours: list[int]) -> None:
    begin = datetime(2026, 3, 22, 12, 0, tzinfo=UTC)
    issued: list[Period] = []

    for hour in sorted(hours):
        at = begin + timedelta(hours=hour)
        found = due(ESH, WEEK, zone=STOCKHOLM, at=at, course_start=None, issued=issued)
        assert found not in issued
        if found is not None:
            assert datetime(found.last_day.year, 3, found.last_day.day, tzinfo=STOCKHOLM) < at
            issued.append(found)
    assert len(issued) <= 7
