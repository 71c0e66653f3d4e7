"""How long a device is left alone after a visit."""

from __future__ import annotations

from gateway.ble.breaker import Breaker, State
from gateway.ble.outcome import Outcome

NEW, MORE = frozenset({b"1"}), frozenset({b"1", b"2"})


def test_a_device_that_gives_something_new_is_visited_again_soon() -> None:
    pause = Breaker(5)

    pause.visited(Outcome(given=NEW), 100)
    first = pause.until_s
    pause.visited(Outcome(given=MORE), 200)

    assert (first, pause.until_s) == (105, 205)


def test_a_device_with_nothing_new_is_left_alone_longer_and_longer() -> None:
    pause = Breaker(5)

    pauses: list[float] = []
    for outcome in [Outcome(given=NEW)] * 3 + [Outcome(given=frozenset())] * 6:
        pause.visited(outcome, 0)
        pauses.append(pause.until_s)

    assert pauses == [5, 5, 10, 20, 40, 80, 160, 300, 300]


def test_news_end_the_long_pause() -> None:
    pause = Breaker(5)
    for _ in range(5):
        pause.visited(Outcome(given=frozenset()), 0)

    pause.visited(Outcome(given=NEW), 0)

    assert pause.until_s == 5


def test_a_device_that_fails_five_times_is_left_alone_then_tried_once() -> None:
    breaker = Breaker(5)
    failed = Outcome(given=frozenset(), problem="gone")

    seen: list[tuple[float, State]] = []
    for _ in range(8):
        breaker.visited(failed, 0)
        seen.append((breaker.until_s, breaker.state(0)))
    then = breaker.state(breaker.until_s)

    assert [pause_s for pause_s, _ in seen] == [5, 10, 20, 40, 600, 1200, 1800, 1800]
    assert [state for _, state in seen] == [State.CLOSED] * 4 + [State.OPEN] * 4
    assert then is State.HALF_OPEN


def test_one_good_visit_closes_it() -> None:
    breaker = Breaker(5)
    for _ in range(6):
        breaker.visited(Outcome(given=frozenset(), problem="gone"), 0)

    breaker.visited(Outcome(given=NEW), 0)

    assert (breaker.state(0), breaker.until_s, breaker.is_worth_reporting) == (
        State.CLOSED,
        5,
        False,
    )


def test_failures_are_worth_reporting_from_the_second_in_a_row() -> None:
    breaker = Breaker(5)

    seen: list[bool] = []
    for problem in ("gone", None, "gone", "gone"):
        breaker.visited(Outcome(given=frozenset(), problem=problem), 0)
        seen.append(breaker.is_worth_reporting)

    assert seen == [False, False, False, True]


def test_a_device_that_gets_on_is_never_left_alone_for_long() -> None:
    breaker = Breaker(5)

    for number in range(20):
        breaker.visited(Outcome(given=frozenset({bytes([number])}), problem="gone"), 0)

    assert (breaker.until_s, breaker.is_worth_reporting) == (5, False)


def test_a_person_beside_it_has_it_visited_at_once() -> None:
    breaker = Breaker(5)
    for _ in range(6):
        breaker.visited(Outcome(given=frozenset(), problem="gone"), 0)

    breaker.reset()

    assert (breaker.until_s, breaker.state(0)) == (0, State.CLOSED)
