"""What happened to the gateway, until the broker says that somebody takes it.

Bounded: a gateway that is away for weeks keeps the newest. Where the disk takes nothing, events
wait in memory.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from dataclasses import dataclass
from typing import Final

from device_adapters.contract.messages import encode
from device_adapters.contract.standing import GatewayEvent
from gateway.store.database import Database, to_us

logger = logging.getLogger(__name__)

KEPT: Final = 1000

_ADD: Final = "INSERT INTO event (body, created_us) VALUES (?, ?)"

_FORGET: Final = """
DELETE FROM event
 WHERE number <= (SELECT number FROM event ORDER BY number DESC LIMIT 1 OFFSET ?)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The oldest event that nobody has taken."""

    number: int
    body: bytes


class Events:
    """Events in the order in which they happened."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unwritten: deque[GatewayEvent] = deque(maxlen=KEPT)
        self.dropped = 0

    def add(self, event: GatewayEvent) -> None:
        """Keep an event; the oldest goes where there are too many."""
        if len(self._unwritten) == KEPT:
            self.dropped += 1
        self._unwritten.append(event)
        self.write()

    def write(self) -> None:
        """Write what waits in memory; what the disk does not take goes on waiting."""
        if not self._unwritten:
            return
        rows = [(encode(event), to_us(event.at)) for event in self._unwritten]
        try:
            with self._database.transaction(is_durable=False) as connection:
                connection.executemany(_ADD, rows)
                dropped = connection.execute(_FORGET, (KEPT,)).rowcount
        except sqlite3.Error as error:
            logger.warning("events wait in memory", extra={"reason": str(error)})
            return
        self._unwritten.clear()
        self.dropped += dropped

    def oldest(self) -> Waiting | None:
        """Return the event to tell next, or None if all were taken.

        Raises:
            sqlite3.Error: If the file cannot be read.
        """
        row = self._database.connection.execute(
            "SELECT number, body FROM event ORDER BY number LIMIT 1"
        ).fetchone()
        return None if row is None else Waiting(number=row[0], body=row[1])

    def taken(self, number: int) -> None:
        """Forget an event that somebody has taken.

        Raises:
            sqlite3.Error: If it cannot be forgotten: it is told again.
        """
        with self._database.transaction(is_durable=False) as connection:
            connection.execute("DELETE FROM event WHERE number = ?", (number,))
