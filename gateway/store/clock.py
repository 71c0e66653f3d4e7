"""What is believed of the wall clock, over a restart within the same boot."""

from __future__ import annotations

import sqlite3
from uuid import UUID

import msgspec

from gateway.store.database import Database
from gateway.trust import Trust


def read(database: Database, boot_id: UUID) -> Trust | None:
    """Return what was believed in this boot, or None: after another boot nothing of it holds."""
    try:
        row = database.connection.execute("SELECT boot_id, trust FROM clock").fetchone()
        if row is None or row[0] != str(boot_id):
            return None
        return msgspec.json.decode(row[1], type=Trust)
    except (sqlite3.Error, msgspec.MsgspecError):
        return None  # as after a boot: the time service will say it anew


def put(database: Database, boot_id: UUID, trust: Trust) -> None:
    """Keep what is believed now.

    Raises:
        sqlite3.Error: If it cannot be kept.
    """
    with database.transaction(is_durable=False) as connection:
        connection.execute("DELETE FROM clock")
        connection.execute(
            "INSERT INTO clock (boot_id, trust) VALUES (?, ?)",
            (str(boot_id), msgspec.json.encode(trust).decode()),
        )
