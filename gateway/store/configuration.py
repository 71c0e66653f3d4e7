"""The last good configuration, and since when each device of it is awaited."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.store.database import Database, from_us, to_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A configuration as it came."""

    version: int
    body: bytes


def read(database: Database) -> Kept | None:
    """Return the last good configuration, or None if there was none yet."""
    row = database.connection.execute("SELECT version, body FROM configuration").fetchone()
    return None if row is None else Kept(version=row[0], body=row[1])


def put(database: Database, kept: Kept, received_at: datetime) -> None:
    """Keep a configuration in the place of the one before; on the disk when this returns."""
    with database.transaction() as connection:
        connection.execute("DELETE FROM configuration")
        connection.execute(
            "INSERT INTO configuration (version, body, received_us) VALUES (?, ?, ?)",
            (kept.version, kept.body, to_us(received_at)),
        )


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
