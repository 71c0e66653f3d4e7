"""What only the running gateway knows of itself, for whoever asks the file."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from uuid import UUID

import msgspec

from device_adapters.contract.standing import DeviceStanding
from gateway.store.database import Database, from_us, to_us


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The running gateway's own words; written when they change."""

    software: str
    boot_id: UUID
    started_at: datetime
    is_clock_synchronised: bool
    is_listening: bool
    is_broker_connected: bool
    broker_problem: str | None = None
    pairing_until: datetime | None = None
    certificate_ends_at: datetime | None = None


def put(database: Database, said: Said, at: datetime) -> None:
    """Write what is said in the place of what was said before.

    Raises:
        sqlite3.Error: If it cannot be written.
    """
    with database.transaction(is_durable=False) as connection:
        connection.execute("DELETE FROM said")
        connection.execute(
            "INSERT INTO said (body, said_us) VALUES (?, ?)",
            (msgspec.json.encode(said), to_us(at)),
        )


def read(connection: sqlite3.Connection) -> tuple[Said, datetime] | None:
    """Return what was said last, and when; None if nothing was, or by another release."""
    row = connection.execute("SELECT body, said_us FROM said").fetchone()
    if row is None:
        return None
    try:
        return msgspec.json.decode(row[0], type=Said), from_us(row[1])
    except msgspec.MsgspecError:
        return None


def read_devices(connection: sqlite3.Connection) -> list[DeviceStanding]:
    """Return what is known of each device, also from another process."""
    rows = connection.execute(
        "SELECT device, adapter, seen_us, visited_us, given_us, battery_percent, battery_us"
        " FROM standing ORDER BY device"
    )
    return [
        DeviceStanding(
            id=device,
            adapter=adapter,
            seen_at=_time(seen),
            visited_at=_time(visited),
            given_at=_time(given),
            battery_percent=percent,
            battery_at=_time(battery),
        )
        for device, adapter, seen, visited, given, percent, battery in rows
    ]


def _time(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)
