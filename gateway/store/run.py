"""Whether the gateway was stopped, or stopped being: one row a start, closed by a clean end."""

from __future__ import annotations

import sqlite3
from typing import Final

from gateway.clock import Clock
from gateway.store.database import Database, to_us

_KEPT: Final = 100


def begin(database: Database, clock: Clock) -> bool:
    """Note a start; return whether the run before it had no end: a kill, a crash, a power cut."""

    def note(connection: sqlite3.Connection) -> bool:
        last = connection.execute(
            "SELECT ended_us FROM run ORDER BY number DESC LIMIT 1"
        ).fetchone()
        connection.execute(
            "INSERT INTO run (started_us, boot_id) VALUES (?, ?)",
            (to_us(clock.read().at), str(clock.boot_id)),
        )
        connection.execute(
            "DELETE FROM run WHERE number <= (SELECT max(number) FROM run) - ?", (_KEPT,)
        )
        return last is not None and last[0] is None

    return database.keep(note)


def end(database: Database, clock: Clock) -> None:
    """Note that this run ended as it should; the last thing that is written."""
    with database.transaction() as connection:
        connection.execute(
            "UPDATE run SET ended_us = ? WHERE number = (SELECT max(number) FROM run)",
            (to_us(clock.read().at),),
        )
