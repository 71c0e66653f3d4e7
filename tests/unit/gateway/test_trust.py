"""Whether the clock is believed: a world with a true time, in which the clock is set and read.

The world's own count is the truth; nothing expected here comes from the code under test.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.trust import FRESH_US, JUMP_US, Look, Trust, begin, see

SECOND = 1_000_000
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
BOOTED_US = 1_795_000_000 * SECOND  # the true time of the boot, an hour before the first look


@dataclass
class World:
    """A machine: the true time, how far its clock is off, and the time service's mark."""

    count_us: int = HOUR
    error_us: int = 0
    mark_us: int | None = None
    trust: Trust | None = None
    believed: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    @property
    def true_us(self) -> int:
        return BOOTED_US + self.count_us

    def pass_s(self, seconds: int) -> None:
        self.count_us += seconds * SECOND

    def jump_s(self, seconds: int) -> None:
        """Somebody sets the clock."""
        self.error_us += seconds * SECOND

    def synchronise(self) -> None:
        """The time service sets the clock right and says so."""
        self.error_us = 0
        self.mark_us = self.true_us

    def look(self) -> tuple[int, bool]:
        """Read the clock; return by how much its answer is off, and whether it is trusted."""
        seen = Look(
            wall_us=self.true_us + self.error_us, count_us=self.count_us, mark_us=self.mark_us
        )
        if self.trust is None:
            self.trust = begin(seen)
        else:
            see(self.trust, seen)
        return self.count_us + self.trust.offset_us - self.true_us, self.trust.is_trusted


def synchronised() -> World:
    world = World()
    world.synchronise()
    world.pass_s(1)
    world.look()
    return world


def test_a_clock_that_nobody_confirmed_is_not_trusted() -> None:
    world = World(error_us=-2 * DAY)

    assert world.look() == (-2 * DAY, False)


def test_a_fresh_mark_of_this_boot_is_believed_at_the_start() -> None:
    assert synchronised().look() == (0, True)


@pytest.mark.parametrize("error_us", [-DAY, -HOUR, HOUR, DAY])
def test_a_clock_that_was_set_before_the_start_does_not_fit_its_mark(error_us: int) -> None:
    world = World()
    world.synchronise()
    world.pass_s(60)
    world.error_us = error_us

    assert world.look()[1] is False


def test_an_old_mark_says_nothing_of_now() -> None:
    world = World()
    world.synchronise()
    world.count_us += FRESH_US + SECOND

    assert world.look()[1] is False


@pytest.mark.parametrize("seconds", [-86_400, -3600, -5, 5, 3600, 86_400])
def test_the_confirmed_time_goes_on_when_somebody_sets_the_clock(seconds: int) -> None:
    world = synchronised()

    world.pass_s(5)
    world.jump_s(seconds)

    assert world.look() == (0, False)
    world.pass_s(600)
    assert world.look() == (0, False)


def test_it_is_trusted_again_once_the_service_has_set_it() -> None:
    world = synchronised()
    world.jump_s(3600)
    world.look()
    world.pass_s(60)

    world.synchronise()

    assert world.look() == (0, True)


def test_a_clock_set_back_by_hand_is_where_it_was_confirmed() -> None:
    world = synchronised()
    world.jump_s(86_400)
    world.look()
    world.pass_s(60)
    world.jump_s(-86_400)

    assert world.look() == (0, True)


def test_the_first_word_of_the_service_ends_the_boots_own_time() -> None:
    world = World(error_us=-3 * DAY)
    world.look()
    world.pass_s(40)

    world.synchronise()

    assert world.look() == (0, True)


def test_a_mark_from_before_the_clock_was_set_confirms_nothing() -> None:
    world = synchronised()
    world.pass_s(3)
    world.synchronise()
    world.pass_s(1)
    world.jump_s(3600)

    assert world.look() == (0, False)


def test_a_mark_that_fits_the_time_before_and_the_time_after_is_not_enough() -> None:
    world = synchronised()
    world.pass_s(10)
    world.synchronise()
    world.pass_s(1)
    world.jump_s(5)

    assert world.look() == (0, False)
    world.pass_s(30)
    world.synchronise()
    assert world.look() == (0, True)


def test_a_service_that_takes_its_mark_away_is_no_news() -> None:
    world = synchronised()
    world.mark_us = None
    world.pass_s(5)

    assert world.look() == (0, True)


def test_what_was_received_under_a_wrong_time_called_right_is_doubted() -> None:
    world = World(error_us=1800 * SECOND)
    world.mark_us = world.true_us + world.error_us  # a server that told a wrong time
    world.look()
    first_us = world.count_us
    world.pass_s(600)
    assert world.look() == (1800 * SECOND, True)

    world.synchronise()

    assert world.look() == (0, True)
    assert world.trust is not None
    assert world.trust.doubted_us == first_us


def test_a_crystals_drift_is_no_jump() -> None:
    world = synchronised()
    for _ in range(7 * 24 * 60):
        world.pass_s(60)
        world.error_us += 60 * 50  # 50 in a million
        assert world.look()[1] is True

    world.synchronise()

    assert world.look() == (0, True)
    assert world.trust is not None
    assert world.trust.doubted_us is None


@pytest.mark.parametrize(("word", "expected"), [(True, (0, True)), (False, (0, False))])
def test_the_kernels_own_word_is_taken(word: bool, expected: tuple[int, bool]) -> None:
    world = World()
    trust = begin(Look(wall_us=world.true_us, count_us=world.count_us, is_confirmed=True))
    world.pass_s(5)

    see(trust, Look(wall_us=world.true_us, count_us=world.count_us, is_confirmed=word))

    assert (world.count_us + trust.offset_us - world.true_us, trust.is_trusted) == expected


def test_a_clock_set_by_hand_takes_the_kernels_word_away_and_the_confirmed_time_goes_on() -> None:
    # do_settimeofday64 clears NTP's state: STA_UNSYNC is set (kernel/time/timekeeping.c).
    world = World()
    trust = begin(Look(wall_us=world.true_us, count_us=world.count_us, is_confirmed=True))
    world.pass_s(5)

    see(trust, Look(wall_us=world.true_us + HOUR, count_us=world.count_us, is_confirmed=False))

    assert world.count_us + trust.offset_us == world.true_us
    assert trust.jump_us == HOUR


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 3000)),
        st.tuples(
            st.just("jump"),
            st.sampled_from([-86_400, -3600, -60, -5, 5, 60, 3600, 86_400]),
        ),
        st.tuples(st.just("synchronise"), st.just(0)),
        st.tuples(st.just("look"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(
    steps=STEPS,
    error_s=st.sampled_from([0, -86_400, -3600, 3600, 86_400, 300]),
    marked=st.booleans(),
)
@example(
    steps=[("synchronise", 0), ("jump", -5), ("pass", 2999), ("pass", 3000)],
    error_s=0,
    marked=False,
)
@example(steps=[("jump", 3600), ("synchronise", 0), ("look", 0)], error_s=0, marked=True)
def test_a_time_called_right_is_right(
    steps: list[tuple[str, int]], error_s: int, marked: bool
) -> None:
    """With a service that tells the truth, a trusted time is off by what is no jump at most."""
    world = World()
    if marked:
        world.synchronise()
    else:
        world.error_us = error_s * SECOND
    world.look()

    for step, value in steps:
        match step:
            case "pass":
                world.pass_s(value)
            case "jump":
                # Seen within seconds: the gateway looks every five.
                world.look()
                world.pass_s(1)
                world.jump_s(value)
                world.look()
            case "synchronise":
                world.synchronise()
            case _:
                world.pass_s(1)
        off_us, is_trusted = world.look()
        if is_trusted:
            assert abs(off_us) <= JUMP_US + SECOND
