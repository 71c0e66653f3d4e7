"""Ending what goes on for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

_AGAIN_S: Final = 1.0


async def end(tasks: Iterable[asyncio.Task[None]], *, again_s: float = _AGAIN_S) -> None:
    """Cancel tasks until they have ended; what they raised stays with them.

    Once is not enough: ``asyncio.wait_for`` of Python 3.11 forgets a cancellation that comes in
    the same turn as what it waits for, and psycopg's pool waits for its connections with it.

    Args:
        tasks: What is to end.
        again_s: How many seconds a task has until it is cancelled again.
    """
    going_on = set(tasks)
    while going_on:
        for task in going_on:
            task.cancel()
        _, going_on = await asyncio.wait(going_on, timeout=again_s)
