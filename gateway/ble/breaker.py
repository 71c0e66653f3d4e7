"""How long one device is left alone after a visit: cool-down and circuit breaker."""

from __future__ import annotations

from enum import Enum
from typing import Final

from gateway.ble.outcome import Outcome

_LONGEST_PAUSE_S: Final = 300.0
_FAILURES_TO_OPEN: Final = 5
_FAILURES_TO_REPORT: Final = 2
_OPEN_PAUSES: Final = 120  # with five seconds' cool-down ten minutes
_MOST_OPEN_PAUSES: Final = 360  # half an hour: what waits in the device comes no later


class State(Enum):
    """Of a circuit breaker."""

    CLOSED = "visited whenever it advertises"
    OPEN = "left alone"
    HALF_OPEN = "visited once, to see"


class Breaker:
    """Decides when a device may be visited again.

    A device may advertise on with nothing new to say, or fail: from the second such visit on each
    doubles the pause, so that it cannot drain its battery or crowd the others out. When it has
    failed five times in a row the breaker opens: it is left alone for longer, then visited once;
    if that fails too, for twice as long, half an hour at most.
    """

    def __init__(self, shortest_s: float) -> None:
        self._shortest_s = shortest_s
        self._fruitless = 0
        self._failures = 0
        self._openings = 0
        self._given: frozenset[bytes] = frozenset()
        self.until_s = 0.0

    def state(self, now_s: float) -> State:
        """Return how it stands."""
        if not self._openings:
            return State.CLOSED
        return State.OPEN if now_s < self.until_s else State.HALF_OPEN

    @property
    def is_worth_reporting(self) -> bool:
        """Tell whether the device has failed often enough for somebody to look."""
        return self._failures >= _FAILURES_TO_REPORT

    def visited(self, outcome: Outcome, now_s: float) -> bool:
        """Note how a visit ended; tell whether it brought a record that the last one had not."""
        has_news = bool(outcome.given - self._given)
        self._given = outcome.given or self._given
        self._fruitless = 0 if has_news else self._fruitless + 1
        # A device that gives something new each time gets on, however its visits end.
        self._failures = 0 if has_news or outcome.problem is None else self._failures + 1
        if self._failures < _FAILURES_TO_OPEN:
            self._openings = 0
            pause_s = self._shortest_s * 2 ** min(max(self._fruitless - 1, 0), 10)
            pause_s = min(pause_s, max(_LONGEST_PAUSE_S, self._shortest_s))
        else:
            open_s = self._shortest_s * _OPEN_PAUSES * 2 ** min(self._openings, 10)
            pause_s = min(open_s, self._shortest_s * _MOST_OPEN_PAUSES)
            self._openings += 1
        self.until_s = now_s + pause_s
        return has_news

    def reset(self) -> None:
        """Let the device be visited at once: a person stands beside it."""
        self._fruitless = self._failures = self._openings = 0
        self.until_s = 0.0
