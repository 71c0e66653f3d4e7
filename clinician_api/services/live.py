"""Who has a worklist open, and telling them that it changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final
from uuid import UUID

from ingest_service.store import worklist

HEARTBEAT_S: Final = 5.0


class Hub:
    """Passes changes of units on to whoever watches them; nothing personal passes through.

    While the database's signal is lost it gives no sign of life, so that open pages say that
    they are not live instead of looking calm.
    """

    def __init__(self) -> None:
        self._watchers: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._versions: defaultdict[UUID, int] = defaultdict(int)
        self._is_listening = False
        self._is_closed = False

    @property
    def is_listening(self) -> bool:
        """Whether changes are being heard."""
        return self._is_listening

    @property
    def watchers(self) -> int:
        """How many streams are open."""
        return sum(len(events) for events in self._watchers.values())

    async def run(self, dsn: str) -> None:
        """Hear changes until cancelled."""
        async with aclosing(worklist.changes(dsn)) as changes:
            async for units in changes:
                self._is_listening = units is not None
                if units is not None:
                    self._tell(units)

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._is_closed = True
        for events in self._watchers.values():
            for event in events:
                event.set()

    async def watch(self, unit_id: UUID) -> AsyncGenerator[int | None]:
        """Yield the unit's version at once and at each change; None as a sign of life between.

        Several changes while the reader is busy are one.
        """
        changed = asyncio.Event()
        self._watchers[unit_id].add(changed)
        try:
            yield self._versions[unit_id]
            while not self._is_closed:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await changed.wait()
                except TimeoutError:
                    if self._is_listening:
                        yield None
                    continue
                changed.clear()
                if not self._is_closed:
                    yield self._versions[unit_id]
        finally:
            self._watchers[unit_id].discard(changed)
            if not self._watchers[unit_id]:
                del self._watchers[unit_id]

    def _tell(self, units: frozenset[UUID]) -> None:
        for unit_id in units or frozenset(self._watchers):
            self._versions[unit_id] += 1
            for event in self._watchers.get(unit_id, ()):
                event.set()
