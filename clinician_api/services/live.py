"""Who has a worklist open, and telling them that it changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Final
from uuid import UUID

from ingest_service.store import canary, worklist

HEARTBEAT_S: Final = 5.0
# A browser keeps one stream for all its tabs; more of a session's are left over, or an attack.
MOST_STREAMS: Final = 4


class _Watcher:
    """One open stream: woken by a change, or to end."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.is_ended = False

    def end(self) -> None:
        self.is_ended = True
        self.woken.set()


class Hub:
    """Passes changes of units on to whoever watches them; nothing personal passes through.

    While the database's signal is lost it gives no sign of life, so that open pages say that
    they are not live instead of looking calm.

    ``canary_at`` is the newest reading of the canary that is known to have come through every
    part before the pages, as far as was ever heard.
    """

    def __init__(self) -> None:
        self._watchers: defaultdict[UUID, set[_Watcher]] = defaultdict(set)
        self._of_session: defaultdict[bytes, list[_Watcher]] = defaultdict(list)
        self._versions: defaultdict[UUID, int] = defaultdict(int)
        self._is_listening = False
        self._is_closed = False
        self.canary_at: datetime | None = None

    @property
    def is_listening(self) -> bool:
        """Whether changes are being heard."""
        return self._is_listening

    @property
    def watchers(self) -> int:
        """How many streams are open."""
        return sum(len(watchers) for watchers in self._watchers.values())

    async def run(self, dsn: str) -> None:
        """Hear changes until cancelled."""
        async with aclosing(worklist.changes(dsn)) as changes:
            async for units in changes:
                self._is_listening = units is not None
                if units is not None:
                    self._tell(units)

    async def hear_canary(self, dsn: str) -> None:
        """Hear how far the canary came, until cancelled."""
        async with aclosing(canary.passes(dsn)) as passes:
            async for at in passes:
                if at is not None and (self.canary_at is None or at > self.canary_at):
                    self.canary_at = at

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._is_closed = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.end()

    async def watch(self, unit_id: UUID, session: bytes) -> AsyncGenerator[int | None]:
        """Yield the unit's version at once and at each change; None as a sign of life between.

        Several changes while the reader is busy are one. A session's oldest stream ends when it
        opens more than `MOST_STREAMS`.
        """
        watcher = _Watcher()
        of_session = self._of_session[session]
        of_session.append(watcher)
        if len(of_session) > MOST_STREAMS:
            of_session.pop(0).end()
        self._watchers[unit_id].add(watcher)
        try:
            yield self._versions[unit_id]
            while not (watcher.is_ended or self._is_closed):
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await watcher.woken.wait()
                except TimeoutError:
                    if self._is_listening:
                        yield None
                    continue
                watcher.woken.clear()
                if not watcher.is_ended:
                    yield self._versions[unit_id]
        finally:
            self._forget(watcher, unit_id, session)

    def _forget(self, watcher: _Watcher, unit_id: UUID, session: bytes) -> None:
        self._watchers[unit_id].discard(watcher)
        if not self._watchers[unit_id]:
            del self._watchers[unit_id]
        of_session = self._of_session[session]
        if watcher in of_session:  # unless it was ended for a newer one
            of_session.remove(watcher)
        if not of_session:
            del self._of_session[session]

    def _tell(self, units: frozenset[UUID]) -> None:
        for unit_id in units or frozenset(self._watchers):
            self._versions[unit_id] += 1
            for watcher in self._watchers.get(unit_id, ()):
                watcher.woken.set()
