"""Readings taken in one go are one sitting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_service.plans.sittings import counted, sittings
from ingest_service.plans.windows import Counts


def itself(at: datetime) -> datetime:
    return at


def morning(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-25T{clock}").replace(tzinfo=UTC)


def test_two_sittings_in_one_window_are_told_apart() -> None:
    # SCENARIOS, day 2: one measures at 06:50 before resting, and at 07:34 again.
    taken = ["06:50", "06:52", "07:34", "07:36", "07:38"]

    found = sittings([morning(clock) for clock in taken], at=itself)

    assert [len(sitting) for sitting in found] == [2, 3]


def test_a_quarter_of_an_hour_between_two_readings_is_still_one_sitting() -> None:
    taken = [morning("06:00"), morning("06:15"), morning("06:30"), morning("06:45:01")]

    assert [len(sitting) for sitting in sittings(taken, at=itself)] == [3, 1]


def test_the_gap_can_be_another() -> None:
    taken = [morning("06:00"), morning("06:05")]

    assert len(sittings(taken, at=itself, gap=timedelta(minutes=4))) == 2


def test_readings_come_in_any_order_and_stay_what_they_are() -> None:
    readings = [("b", morning("07:01")), ("c", morning("07:01")), ("a", morning("07:00"))]

    (sitting,) = sittings(readings, at=lambda reading: reading[1])

    assert [name for name, _ in sitting] == ["a", "b", "c"]


def test_nothing_taken_is_no_sitting() -> None:
    assert sittings([], at=itself) == ()


@pytest.mark.parametrize(
    ("counts", "hours"), [(Counts.FIRST, [6]), (Counts.LAST, [8]), (Counts.ALL, [6, 7, 8])]
)
def test_the_plan_says_which_sitting_counts(counts: Counts, hours: list[int]) -> None:
    found = sittings([morning("07:00"), morning("06:00"), morning("08:00")], at=itself)

    assert [sitting[0].hour for sitting in counted(found, counts)] == hours


@settings(deadline=None)
@given(st.lists(st.integers(0, 300)))
def test_no_reading_is_lost_and_sittings_lie_further_apart_than_readings(
    minutes: list[int],
) -> None:
    gap = timedelta(minutes=15)
    taken = [morning("00:00") + timedelta(minutes=minute) for minute in minutes]

    found = sittings(taken, at=itself)

    assert [at for sitting in found for at in sitting] == sorted(taken)
    for sitting in found:
        assert all(later - earlier <= gap for earlier, later in pairwise(sitting))
    assert all(later[0] - earlier[-1] > gap for earlier, later in pairwise(found))
