"""Where the broker's thread leaves messages and the service takes them in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Letter:
    """One message as it came, and the connection (``generation``) that it may be answered on."""

    generation: int
    message_id: int
    topic: str
    properties: list[tuple[str, str]]
    payload: bytes
    received_at: datetime


class Inbox:
    """A queue between paho's thread and the event loop that costs next to nothing.

    It is bounded by the broker's receive maximum: no more than that is sent unacknowledged. The
    loop is woken only when it waits, so that under load a message costs one append. Batches
    follow from that: what came while one was written is the next one, and an idle service takes
    a single message at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._letters: deque[Letter] = deque()
        self._arrived = asyncio.Event()
        self._is_waiting = False

    def __len__(self) -> int:
        return len(self._letters)

    def put(self, letter: Letter) -> None:
        """Leave a message; called in the broker's thread."""
        self._letters.append(letter)
        if self._is_waiting:
            self._is_waiting = False
            self._loop.call_soon_threadsafe(self._arrived.set)

    def forget(self) -> None:
        """Drop what nobody can acknowledge any more; called in the broker's thread.

        The broker or, without a receipt, the gateway sends it again.
        """
        self._letters.clear()

    async def take(self, *, most: int, most_bytes: int) -> list[Letter]:
        """Wait for messages, for as long as there are none, and return the oldest of them.

        Args:
            most: At most this many.
            most_bytes: No further one once their payloads have this many bytes.

        Returns:
            At least one.
        """
        while not self._letters:
            self._arrived.clear()
            self._is_waiting = True
            if self._letters:  # put between the look and the flag, so nobody will wake us
                break
            await self._arrived.wait()  # no deadline: an idle night is not an error
        self._is_waiting = False
        taken: list[Letter] = []
        size = 0
        while len(taken) < most and size < most_bytes:
            try:
                letter = self._letters.popleft()
            except IndexError:
                break
            taken.append(letter)
            size += len(letter.payload)
        return taken
