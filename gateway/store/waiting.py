"""The reading that has waited longest for the server, with the clocks of its reception."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from gateway.clock import Moment
from gateway.store.database import from_us

_OLDEST: Final = """
SELECT received_us, monotonic_ns, boot_id, is_synchronised
  FROM outbox JOIN journal ON journal.number = outbox.journal
 WHERE delivered_us IS NULL
 ORDER BY outbox.epoch, outbox.number
 LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Longest:
    """When the reading was received, by the clocks of that boot."""

    received: Moment
    boot_id: UUID


def longest(connection: sqlite3.Connection) -> Longest | None:
    """Return the oldest reading without a receipt, or None if none waits."""
    row = connection.execute(_OLDEST).fetchone()
    if row is None:
        return None
    received_us, monotonic_ns, boot_id, is_synchronised = row
    received = Moment(
        at=from_us(received_us),
        monotonic_ns=monotonic_ns,
        is_synchronised=bool(is_synchronised),
    )
    return Longest(received=received, boot_id=UUID(boot_id))
