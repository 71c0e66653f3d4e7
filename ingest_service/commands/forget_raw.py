"""``hemvital-ingest forget-raw``: empty the bytes of old records; first only counted."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from ingest_service.commands.database import OK, USAGE, Clock, Commands, as_owner
from ingest_service.store import raw_bytes
from ingest_service.store.connections import Connection
from ingest_service.store.raw_bytes import OldBytes

_TEN_YEARS: Final = 3653  # with as many leap days as ten years can have
_FEWEST: Final = 400  # a device's record older than that is no longer believed in its own time
_BATCH: Final = 1000


def add(commands: Commands, clock: Clock) -> None:
    """Add ``forget-raw``."""
    about = (
        "Empty the raw bytes of old device records and of quarantine entries that ended long ago; "
        "resources stay, and so does what is on hold. Without --execute only count."
    )
    parser = commands.add_parser("forget-raw", help=about, description=about)
    parser.add_argument(
        "--older-than-days",
        type=int,
        default=_TEN_YEARS,
        help=f"{_TEN_YEARS} (ten years) unless given; {_FEWEST} at least",
    )
    parser.add_argument("--execute", action="store_true", help="do it; it cannot be undone")
    parser.set_defaults(run=partial(_forget, clock))


def _forget(clock: Clock, arguments: argparse.Namespace) -> int:
    if arguments.older_than_days < _FEWEST:
        print(f"--older-than-days: {_FEWEST} at least", file=sys.stderr)
        return USAGE
    now = clock()
    before = now - timedelta(days=arguments.older_than_days)

    async def count(connection: Connection) -> None:
        _tell("device_record", await raw_bytes.old_records(connection, before=before))
        _tell("quarantine", await raw_bytes.old_entries(connection, before=before))
        print("Nothing was changed. With --execute these are emptied: what has no bytes any more")
        print("can neither be replayed through a newer mapping nor corrected.")

    async def empty(connection: Connection) -> None:
        await _empty(connection, before, now)

    as_owner(empty if arguments.execute else count)
    return OK


async def _empty(connection: Connection, before: datetime, now: datetime) -> None:
    """Empty batch by batch, each committed by itself: it may be broken off and repeated."""
    records = entries = 0
    record_id = entry_id = None
    while True:
        batch = await raw_bytes.forget_records(
            connection, before=before, at=now, after=record_id, most=_BATCH
        )
        await connection.commit()
        records += batch.rows
        if (record_id := batch.last) is None:
            break
    while True:
        ended = await raw_bytes.forget_entries(
            connection, before=before, at=now, after=entry_id, most=_BATCH
        )
        await connection.commit()
        entries += ended.rows
        if (entry_id := ended.last) is None:
            break
    print(f"Emptied: device_record {records}, quarantine {entries}.")


def _tell(table: str, old: OldBytes) -> None:
    span = f", {old.first_at:%Y-%m-%d} to {old.last_at:%Y-%m-%d}" if old.first_at else ""
    print(f"{table}: {old.rows} with bytes{span}; {old.held} on hold")
