"""Averages worked by hand, what keeps a reading out of one, and what never does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ingest_service.protocols.averaging import Average, average
from ingest_service.protocols.library import shipped
from ingest_service.protocols.protocol import (
    MoreReadings,
    MoreSittings,
    Protocol,
    SittingValue,
    Window,
)
from ingest_service.protocols.sittings import SittingReading, bounds, course, day_of, rolling
from tests.unit.ingest_service.protocols.examples import (
    STOCKHOLM,
    Vector,
    course_average,
    period,
    protocol,
    reading,
    readings,
    reasons,
    same_days,
    vectors,
)

ESH = protocol("esh-2021")
MONDAY = "2026-03-02"
USUAL = ["07:00 138/86", "07:02 136/84", "19:00 134/82", "19:02 132/80"]


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector.id)
def test_is_what_the_source_gives_worked_by_hand(vector: Vector) -> None:
    of = protocol(vector.protocol)

    found = average(
        of,
        readings(vector.days),
        period=period(of, course_start=vector.course, last_day=vector.rolling),
        zone=STOCKHOLM,
    )

    assert {
        "systolic": str(found.systolic),
        "diastolic": str(found.diastolic),
        "used": len(found.used),
        "sittings": found.sittings,
        "days": found.days,
        "days_measured": found.days_measured,
        "left_out": reasons(found),
        "missing": {one.what.value: [one.found, one.needed] for one in found.missing},
    } | {"pulse": str(found.pulse), "marks": dict(found.marks)} == {
        "pulse": "None",
        "marks": {},
    } | vector.expected
    assert found.is_enough == (not vector.expected["missing"])


def test_every_vector_names_its_source_and_every_protocol_has_one() -> None:
    found = vectors()

    assert all(vector.source and vector.working for vector in found)
    assert {vector.protocol for vector in found} == {name for name, _ in shipped()}


@pytest.mark.parametrize("flag", ["irregular_pulse", "may_be_another", "too_close"])
def test_a2_no_finding_and_no_doubt_about_the_person_keeps_a_reading_out(flag: str) -> None:
    plain = course_average(ESH, same_days(MONDAY, USUAL, count=7), MONDAY)
    marked = [f"{line} {flag}" for line in USUAL]

    found = course_average(ESH, same_days(MONDAY, marked, count=7), MONDAY)

    assert (found.systolic, found.diastolic) == (plain.systolic, plain.diastolic)
    assert len(found.used) == 24
    assert found.marks == ((flag, 24),)


def test_an_irregular_pulse_in_a_sitting_lets_its_third_reading_count() -> None:
    lines = ["07:00 150/90", "07:02 140/88 irregular_pulse", "07:04 130/80"]

    found = course_average(ESH, {"2026-03-02": USUAL, "2026-03-03": lines}, MONDAY)

    assert found.systolic == Decimal("140.0")
    assert reasons(found) == {"first_day": 4}


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("body_movement", "movement"),
        ("cuff_too_loose", "cuff_loose"),
        ("improper_position", "position"),
        ("time_unknown", "time_unknown"),
        ("suspected_double", "suspected_double"),
        ("taken_back", "taken_back"),
    ],
)
def test_what_keeps_a_reading_out_and_the_one_after_takes_its_place(
    flag: str, reason: str
) -> None:
    lines = [f"07:00 240/130 {flag}", "07:02 138/86", "07:04 136/84"]

    found = course_average(ESH, {MONDAY: USUAL, "2026-03-03": lines}, MONDAY)

    assert found.systolic == Decimal("137.0")
    assert reasons(found) == {"first_day": 4, reason: 1}


def test_the_first_day_is_the_first_on_which_the_patient_measured() -> None:
    found = course_average(ESH, same_days("2026-03-04", USUAL, count=5), MONDAY)

    assert {one.reading.effective_at.date() for one in found.left_out} == {date(2026, 3, 4)}
    assert len(found.used) == 16


def test_a_first_day_that_was_anothers_is_none() -> None:
    days = same_days(MONDAY, USUAL, count=3)
    days["2026-03-02"] = [f"{line} taken_back" for line in USUAL]

    found = course_average(ESH, days, MONDAY)

    assert reasons(found) == {"taken_back": 4, "first_day": 4}


def test_of_more_readings_the_first_count_if_the_protocol_says_so() -> None:
    days = {MONDAY: USUAL, "2026-03-03": ["07:00 150/90", "07:02 140/80", "07:04 100/60"]}

    found = {
        more: course_average(protocol("esh-2021", more_readings=more), days, MONDAY).systolic
        for more in MoreReadings
    }

    assert found == {
        MoreReadings.FIRST: Decimal("145.0"),
        MoreReadings.LAST: Decimal("120.0"),
        MoreReadings.ALL: Decimal("130.0"),
    }


def test_of_two_sittings_in_a_window_the_protocol_says_which_counts() -> None:
    # Day 2 of the walk-through: measured before resting at 06:50, and again at 07:34.
    days = {MONDAY: USUAL, "2026-03-03": ["06:50 180/100", "07:34 140/80", "07:36 138/80"]}

    found = {
        more: course_average(protocol("esh-2021", more_sittings=more), days, MONDAY)
        for more in MoreSittings
    }

    assert {more: one.systolic for more, one in found.items()} == {
        MoreSittings.FIRST: Decimal("180.0"),
        MoreSittings.LAST: Decimal("139.0"),
        MoreSittings.ALL: Decimal("152.7"),  # 458 / 3
        MoreSittings.FIRST_COMPLETE: Decimal("139.0"),
    }
    assert reasons(found[MoreSittings.FIRST_COMPLETE]) == {"first_day": 4, "another_sitting": 1}


def test_the_same_readings_are_another_average_by_another_protocol() -> None:
    # ESH: (142 + 138 + 136 + 140) / 4 and (88 + 86 + 84 + 80) / 4 on each of days 2 to 5.
    lines = ["07:00 142/88", "07:02 138/86", "19:00 136/84", "19:02 140/80"]
    days = same_days(MONDAY, lines, count=5)

    by_esh = course_average(ESH, days, MONDAY)
    by_lowest = course_average(protocol("onsta-gryta"), days, MONDAY)

    assert (by_esh.systolic, by_esh.diastolic) == (Decimal("139.0"), Decimal("84.5"))
    assert (by_lowest.systolic, by_lowest.diastolic) == (Decimal("137.0"), Decimal("85.0"))


def test_sittings_can_weigh_the_same_however_many_readings_they_have() -> None:
    by_sitting = protocol("esh-2021", sitting_value=SittingValue.MEAN)
    days = {MONDAY: USUAL, "2026-03-03": ["07:00 150/90", "07:02 140/80", "19:00 120/70"]}

    found = course_average(by_sitting, days, MONDAY)

    assert (found.systolic, found.diastolic) == (Decimal("132.5"), Decimal("77.5"))  # (145+120)/2
    assert len(found.used) == 3


def test_a_single_reading_is_the_first_of_its_triplet() -> None:
    days = same_days(MONDAY, ["07:00 150/90"], count=5)

    found = course_average(protocol("jabfm"), days, MONDAY)

    assert found.systolic is None
    assert reasons(found) == {"first_day": 2, "first_of_sitting": 3}


def test_the_first_of_a_triplet_is_the_first_taken_even_if_the_patient_moved() -> None:
    lines = ["07:00 190/99 body_movement", "07:01 140/90", "07:02 138/88"]

    found = course_average(protocol("jabfm"), same_days(MONDAY, lines, count=5), MONDAY)

    assert found.systolic == Decimal("139.0")
    assert reasons(found) == {"movement": 5, "first_day": 4}


def test_between_the_windows_of_a_regions_protocol_nothing_counts() -> None:
    windows = (
        Window(name="morning", begins="06:00", ends="10:00"),
        Window(name="evening", begins="18:00", ends="22:00"),
    )
    days = {MONDAY: USUAL, "2026-03-03": [*USUAL, "12:00 200/120"]}

    found = course_average(protocol("esh-2021", sittings=windows), days, MONDAY)

    assert reasons(found) == {"first_day": 4, "outside_window": 1}


def test_a_sitting_over_noon_is_one_sitting() -> None:
    days = {MONDAY: USUAL, "2026-03-03": ["11:59 140/90", "12:01 136/86"]}

    found = course_average(ESH, days, MONDAY)

    assert (found.sittings, found.systolic) == (1, Decimal("138.0"))


def test_an_hour_that_the_clock_tells_twice_parts_no_sitting() -> None:
    # 02:50 summer time and 02:05 winter time are 15 minutes apart, and in this order.
    before = reading("2026-10-25T02:50", "150/90")
    after = reading("2026-10-25T02:05", "130/80")
    after = replace(after, effective_at=after.effective_at.replace(fold=1))

    found = average(
        ESH, [after, before], period=rolling(ESH, last_day=date(2026, 10, 24)), zone=STOCKHOLM
    )

    assert [one.systolic for one in found.used] == [150, 130]
    assert (found.sittings, found.days) == (1, 1)


def test_ten_minutes_by_a_clock_that_was_put_back_between_are_two_sittings() -> None:
    # 01:55 summer time and 02:05 winter time are 70 minutes apart.
    before = reading("2026-10-25T01:55", "150/90")
    after = reading("2026-10-25T02:05", "130/80")
    after = replace(after, effective_at=after.effective_at.replace(fold=1))

    found = average(
        ESH, [before, after], period=rolling(ESH, last_day=date(2026, 10, 24)), zone=STOCKHOLM
    )

    assert reasons(found) == {"another_sitting": 1}


def test_the_day_is_the_homes_whatever_offset_a_reading_came_with() -> None:
    in_utc = [
        replace(one, effective_at=one.effective_at.astimezone(UTC))
        for one in readings(same_days(MONDAY, [*USUAL, "23:59 200/120"], count=2))
    ]

    found = average(ESH, in_utc, period=course(ESH, start=date(2026, 3, 2)), zone=STOCKHOLM)

    assert reasons(found) == {"first_day": 5, "another_sitting": 1}


def test_a_corrected_reading_changes_the_average() -> None:
    days = same_days(MONDAY, USUAL, count=7)
    before = course_average(ESH, days, MONDAY)
    days["2026-03-05"] = ["07:00 162/98", *USUAL[1:]]  # was 138/86

    after = course_average(ESH, days, MONDAY)

    # 3240 + 24 = 3264 over 24; 1992 + 12 = 2004 over 24
    assert (before.systolic, before.diastolic) == (Decimal("135.0"), Decimal("83.0"))
    assert (after.systolic, after.diastolic) == (Decimal("136.0"), Decimal("83.5"))


def test_without_any_reading_there_is_no_mean() -> None:
    found = course_average(ESH, {}, MONDAY)

    assert (found.systolic, found.diastolic, found.pulse) == (None, None, None)
    assert not found.is_enough


def at_minute(minute: int) -> datetime:
    return datetime(2026, 10, 18, tzinfo=UTC) + timedelta(minutes=minute)


def at_breakfast(day: int, minute: int) -> datetime:
    return datetime(2026, 10, day, 6, minute, tzinfo=UTC)


# Across the night in which the clock goes back.
MOMENTS = st.integers(0, 10 * 24 * 60).map(at_minute)
FLAGS = st.sampled_from(
    ["body_movement", "cuff_too_loose", "irregular_pulse", "may_be_another", "time_unknown"]
)
READINGS = st.lists(
    st.builds(
        SittingReading,
        id=st.uuids(),
        effective_at=MOMENTS | st.builds(at_breakfast, st.integers(18, 28), st.integers(0, 30)),
        systolic=st.decimals(40, 300, places=1),
        diastolic=st.decimals(20, 200, places=1),
        pulse=st.none() | st.decimals(20, 300, places=1),
        flags=st.lists(FLAGS, max_size=2).map(tuple),
        is_taken_back=st.booleans(),
    ),
    max_size=40,
    unique_by=lambda one: one.id,
)
PROTOCOLS = st.builds(
    structs.replace,
    st.sampled_from(sorted(shipped().values(), key=lambda one: one.id)),
    more_readings=st.sampled_from(MoreReadings),
    more_sittings=st.sampled_from(MoreSittings),
)
PERIODS = st.sampled_from(["course", "rolling"])


def made(of: Protocol, kind: str, given_readings: list[SittingReading]) -> Average:
    start = date(2026, 10, 20)
    days = course(of, start=start) if kind == "course" else rolling(of, last_day=start)
    return average(of, given_readings, period=days, zone=STOCKHOLM)


@given(PROTOCOLS, PERIODS, READINGS)
def test_every_reading_is_either_used_or_left_out(
    of: Protocol, kind: str, given_readings: list[SittingReading]
) -> None:
    found = made(of, kind, given_readings)

    accounted = [one.id for one in found.used] + [one.reading.id for one in found.left_out]
    assert sorted(accounted) == sorted(one.id for one in given_readings)


@given(PROTOCOLS, PERIODS, READINGS, st.randoms())
def test_the_order_in_which_readings_come_changes_nothing(
    of: Protocol, kind: str, given_readings: list[SittingReading], random: Random
) -> None:
    shuffled = random.sample(given_readings, len(given_readings))

    assert made(of, kind, shuffled) == made(of, kind, given_readings)


@given(PROTOCOLS, PERIODS, READINGS)
def test_a_mean_lies_between_the_least_and_the_greatest_used(
    of: Protocol, kind: str, given_readings: list[SittingReading]
) -> None:
    found = made(of, kind, given_readings)

    for mean, values in (
        (found.systolic, [one.systolic for one in found.used]),
        (found.diastolic, [one.diastolic for one in found.used]),
        (found.pulse, [one.pulse for one in found.used if one.pulse is not None]),
    ):
        assert (mean is None) == (not values)
        assert mean is None or min(values) <= mean <= max(values)


@given(MOMENTS, st.sampled_from([60, 0, -300]))
def test_a_day_holds_what_lies_between_its_bounds(at: datetime, offset_min: int) -> None:
    day = day_of(ESH, at.astimezone(timezone(timedelta(minutes=offset_min))), zone=STOCKHOLM)

    since, until = bounds(ESH, rolling(ESH, last_day=day), zone=STOCKHOLM)

    assert until - timedelta(hours=25) <= at < until
    assert since + timedelta(days=7, hours=-1) <= until <= since + timedelta(days=7, hours=1)
