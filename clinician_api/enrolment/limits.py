"""How often something may happen: counted in memory, bounded in itself.

What protects a code is its length (95 drawn bits): a right one is always taken, also where a
stranger behind the same address has tried wrong ones. The limit protects the log and the database.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

_MOST_KEYS: Final = 10_000


class Limit:
    """At most so many times in a window, for each key.

    Args:
        most: How many times.
        window_s: In how many seconds, up to now.
    """

    def __init__(self, most: int, window_s: float) -> None:
        self._most = most
        self._window_s = window_s
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def allows(self, key: str, now_s: float) -> bool:
        """Count one more time if it may happen, and tell whether it may.

        Args:
            key: Who; the one that was seen least lately is forgotten where there are too many.
            now_s: Seconds of a clock that never goes back.
        """
        times = self._times.setdefault(key, deque())
        self._times.move_to_end(key)
        if len(self._times) > _MOST_KEYS:
            self._times.popitem(last=False)
        while times and times[0] <= now_s - self._window_s:
            times.popleft()
        if len(times) >= self._most:
            return False
        times.append(now_s)
        return True
