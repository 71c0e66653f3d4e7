"""When to try again, and when not any more: pure.

Waits of 5, 10, 20, 40, 80, 160 and then 300 seconds, a fifth more or less: about half an hour in
all, the time in which a red alert is to be answered. The next channel does not wait for that end:
after the fourth failure, half a minute to two and a half, it is told too.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

MOST: Final = 12
NEXT_RANK_AFTER: Final = 4

_FIRST_S: Final = 5.0
_CEILING_S: Final = 300.0
_SPREAD: Final = 0.2
_LONGEST_WISH_S: Final = 3600.0


def next_try(
    attempts: int, *, now: datetime, chance: float, retry_after_s: float | None = None
) -> datetime | None:
    """Return when to try again, or nothing if that was the last attempt.

    Args:
        attempts: How many have failed, at least one.
        now: The time it is.
        chance: From 0 to 1, so that many do not come back at once.
        retry_after_s: What the other side asked for; up to an hour of it is waited for.
    """
    if attempts >= MOST:
        return None
    wait_s = min(_CEILING_S, _FIRST_S * 2 ** (attempts - 1))
    wait_s *= 1 - _SPREAD + 2 * _SPREAD * chance
    wished_s = min(_LONGEST_WISH_S, retry_after_s or 0.0)
    return now + timedelta(seconds=max(wait_s, wished_s))
