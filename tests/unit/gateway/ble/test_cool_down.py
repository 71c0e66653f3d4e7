"""How long a device is left alone after a visit."""

from __future__ import annotations

from gateway.ble.radio import CoolDown
from gateway.ble.visit import Outcome

NEW, MORE = frozenset({b"1"}), frozenset({b"1", b"2"})


def test_a_device_that_gives_something_new_is_visited_again_soon() -> None:
    pause = CoolDown(5)

    pause.visited(Outcome(given=NEW), 100)
    first = pause.until_s
    pause.visited(Outcome(given=MORE), 200)

    assert (first, pause.until_s) == (105, 205)


def test_a_device_with_nothing_new_is_left_alone_longer_and_longer() -> None:
    pause = CoolDown(5)

    pauses: list[float] = []
    for outcome in [Outcome(given=NEW)] * 3 + [Outcome(given=frozenset(), problem="gone")] * 6:
        pause.visited(outcome, 0)
        pauses.append(pause.until_s)

    assert pauses == [5, 5, 10, 20, 40, 80, 160, 300, 300]


def test_news_end_the_long_pause() -> None:
    pause = CoolDown(5)
    for _ in range(5):
        pause.visited(Outcome(given=frozenset()), 0)

    pause.visited(Outcome(given=NEW), 0)

    assert pause.until_s == 5
