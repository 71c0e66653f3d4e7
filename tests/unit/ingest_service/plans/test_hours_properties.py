"""What holds of every unit's hours at every time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ingest_service.plans.hours import (
    Hours,
    Opening,
    OwnHours,
    ResponseTimes,
    Week,
    closes_next,
    deadline,
    is_open,
    opening_minutes,
    opening_time,
    opens_next,
)

ZONES = (
    "Europe/Stockholm",
    "Europe/London",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "UTC",
)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SECOND = timedelta(seconds=1)


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@st.composite
def openings(draw: st.DrawFn) -> tuple[Opening, ...]:
    edges = sorted(draw(st.sets(st.integers(0, 1440), max_size=6)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return tuple(Opening(start=clock(start), end=clock(end)) for start, end in pairs)


@st.composite
def units(draw: st.DrawFn) -> Hours:
    is_swedish = draw(st.booleans())
    return Hours(
        zone=draw(st.sampled_from(ZONES)),
        # Monday is never empty: what is never open has tests of its own.
        weekly=Week(
            **{name: draw(openings()) for name in DAYS[1:]},
            monday=draw(openings()) or (Opening(start="08:00", end="16:00"),),
        ),
        respond_within_min=ResponseTimes(red=30, yellow=240, blue=2400),
        finish_within_min=120,
        holiday_country="SE" if is_swedish else None,
        also_closed=("12-24", "Midsommarafton") if is_swedish else ("12-24",),
        own_hours=(OwnHours(day="2026-10-25", open=draw(openings())),),
    )


# Around the changes of clocks as often as in between.
changes = st.sampled_from(
    [
        datetime(2026, 3, 8, 6, tzinfo=UTC),
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 4, 4, 15, tzinfo=UTC),
        datetime(2026, 10, 25, 1, tzinfo=UTC),
        datetime(2026, 11, 1, 6, tzinfo=UTC),
        datetime(2026, 12, 24, 12, tzinfo=UTC),
    ]
)


def shifted(at: datetime, seconds: int) -> datetime:
    return at + timedelta(seconds=seconds)


near = st.builds(shifted, changes, st.integers(-200_000, 200_000))
anywhere = st.builds(
    shifted, st.just(datetime(2026, 1, 1, tzinfo=UTC)), st.integers(0, 2 * 365 * 86_400)
)
times = near | anywhere
minutes = st.integers(1, 3000)


@settings(deadline=None)
@given(units(), times, minutes)
def test_at_the_deadline_exactly_so_many_opening_minutes_have_passed(
    hours: Hours, since: datetime, wanted: int
) -> None:
    ends = deadline(hours, since, wanted)

    assume(ends is not None)
    assert ends is not None
    assert opening_time(hours, since, ends) == timedelta(minutes=wanted)
    assert opening_minutes(hours, since, ends) == wanted
    assert opening_minutes(hours, since, ends - SECOND) == wanted - 1


@settings(deadline=None)
@given(units(), times, minutes)
def test_a_deadline_is_never_inside_a_closed_time(
    hours: Hours, since: datetime, wanted: int
) -> None:
    ends = deadline(hours, since, wanted)

    assume(ends is not None)
    assert ends is not None
    assert is_open(hours, ends - SECOND)


@settings(deadline=None)
@given(units(), times, minutes)
def test_the_deadline_of_what_has_passed_is_not_later(
    hours: Hours, since: datetime, span: int
) -> None:
    until = since + timedelta(minutes=span)

    ends = deadline(hours, since, opening_minutes(hours, since, until))

    assert ends is not None
    assert ends <= until


@settings(deadline=None)
@given(units(), times, minutes, minutes)
def test_deadlines_follow_one_another(
    hours: Hours, since: datetime, first: int, second: int
) -> None:
    middle = deadline(hours, since, first)
    assume(middle is not None)
    assert middle is not None

    whole = deadline(hours, since, first + second)

    # The second may look further ahead than the whole does.
    assert whole in (deadline(hours, middle, second), None)


@settings(deadline=None)
@given(units(), times, times, minutes)
def test_later_never_has_an_earlier_deadline(
    hours: Hours, one: datetime, other: datetime, wanted: int
) -> None:
    ends = [deadline(hours, at, wanted) for at in sorted((one, other))]

    assume(None not in ends)
    assert ends == sorted(end for end in ends if end is not None)


@settings(deadline=None)
@given(units(), st.tuples(times, times, times))
def test_two_spans_add_up(hours: Hours, at: tuple[datetime, datetime, datetime]) -> None:
    first, middle, last = sorted(at)

    parts = opening_time(hours, first, middle) + opening_time(hours, middle, last)

    assert parts == opening_time(hours, first, last)
    assert parts <= last - first


@settings(deadline=None)
@given(units(), times)
def test_nothing_is_open_before_it_opens_and_nothing_closed_before_it_closes(
    hours: Hours, at: datetime
) -> None:
    opens, closes = opens_next(hours, at), closes_next(hours, at)

    assert (opens == at) == is_open(hours, at)
    assert (closes == at) == (not is_open(hours, at))
    if opens is not None:
        assert is_open(hours, opens)
        assert opening_time(hours, at, opens) == timedelta()
    if closes is not None:
        assert not is_open(hours, closes)
        assert opening_time(hours, at, closes) == closes - at


@settings(deadline=None)
@given(units(), anywhere)
def test_on_ordinary_days_it_is_open_when_the_clock_on_the_wall_says_so(
    hours: Hours, at: datetime
) -> None:
    local = at.astimezone(ZoneInfo(hours.zone))
    offsets = {(local + timedelta(days=days)).utcoffset() for days in (-1, 0, 1)}
    assume(len(offsets) == 1)
    assume(hours.holiday_country is None)
    assume(local.date().isoformat() not in {"2026-10-25", "2026-12-24", "2027-12-24"})

    shown = f"{local:%H:%M}"
    day: tuple[Opening, ...] = getattr(hours.weekly, DAYS[local.weekday()])

    assert is_open(hours, at) == any(one.start <= shown < one.end for one in day)
