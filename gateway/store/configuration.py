"""The last good configuration, and since when each device of it is awaited."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.store.database import Database, from_us, to_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A configuration as it came, and whether its pairing window has had its chance."""

    version: int
    body: bytes
    is_window_used: bool


def read(database: Database) -> Kept | None:
    """Return the last good configuration, or None if there was none yet."""
    row = database.connection.execute(
        "SELECT version, body, is_window_used FROM configuration"
    ).fetchone()
    if row is None:
        return None
    version, body, is_window_used = row
    return Kept(version=version, body=body, is_window_used=bool(is_window_used))


def put(database: Database, kept: Kept, received_at: datetime) -> None:
    """Keep a configuration in the place of the one before; on the disk when this returns."""
    with database.transaction() as connection:
        connection.execute("DELETE FROM configuration")
        connection.execute(
            "INSERT INTO configuration (version, body, received_us, is_window_used)"
            " VALUES (?, ?, ?, ?)",
            (kept.version, kept.body, to_us(received_at), kept.is_window_used),
        )


def use_window(database: Database) -> None:
    """Note, on the disk, that the configuration's pairing window has had its chance."""
    with database.transaction() as connection:
        connection.execute("UPDATE configuration SET is_window_used = 1")


def await_devices(
    database: Database, devices: Collection[str], since: datetime
) -> Mapping[str, datetime]:
    """Note which devices are awaited, and return since when each of them is.

    A device that was awaited before keeps its time; one that no longer is loses it.
    """
    rows = database.connection.execute("SELECT device, since_us FROM configured").fetchall()
    known = {device: from_us(us) for device, us in rows}
    if known.keys() != set(devices):
        with database.transaction(is_durable=False) as connection:
            connection.executemany(
                "DELETE FROM configured WHERE device = ?",
                [(device,) for device in known.keys() - set(devices)],
            )
            connection.executemany(
                "INSERT INTO configured (device, since_us) VALUES (?, ?)",
                [(device, to_us(since)) for device in set(devices) - known.keys()],
            )
    return {device: known.get(device, since) for device in devices}
