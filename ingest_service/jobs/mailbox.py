"""Where the broker's thread leaves what gateways say of themselves; bounded whatever they send."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ingest_service.jobs.uplink import Note

_MOST_BYTES: Final = 32 * 1024 * 1024
_MOST_EVENTS: Final = 1000


class Mailbox:
    """The newest status of each gateway, and events in their order.

    A status takes the place of the one before it, so that a gateway that sends a thousand a
    second costs one. What would go over the bound is dropped and counted; of statuses the next
    one repeats it, and an event that was sent with acknowledgement stays at the broker, which
    never sends more of them than a few hundred at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, drop: Callable[[], None]) -> None:
        self._loop = loop
        self._drop = drop
        self._turn = threading.Lock()
        self._statuses: dict[str, Note] = {}
        self._events: deque[Note] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()

    def put(self, note: Note) -> None:
        """Leave a message; called in the broker's thread."""
        with self._turn:
            before = self._statuses.get(note.topic) if note.is_status else None
            size = self._bytes + len(note.payload) - (len(before.payload) if before else 0)
            is_over = size > _MOST_BYTES or (
                not note.is_status and len(self._events) >= _MOST_EVENTS
            )
            if is_over:
                self._drop()
                return
            self._bytes = size
            if note.is_status:
                self._statuses[note.topic] = note
            else:
                self._events.append(note)
        self._loop.call_soon_threadsafe(self._arrived.set)

    async def take(self) -> Sequence[Note]:
        """Wait for messages, for as long as there are none, and return them all."""
        while True:
            self._arrived.clear()
            with self._turn:
                taken = [*self._statuses.values(), *self._events]
                self._statuses.clear()
                self._events.clear()
                self._bytes = 0
            if taken:
                return taken
            await self._arrived.wait()  # no deadline: silence is not an error
