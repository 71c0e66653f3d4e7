"""What waits on this gateway, read from its file: for the person who was sent to look."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from gateway.store.database import FILE_NAME
from gateway.store.outbox import Standing, standing


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway's file says of it."""

    epoch: str
    last_number: int
    undelivered: int
    oldest_undelivered_at: datetime | None
    last_receipt_at: datetime | None
    undecoded: int
    size_bytes: int


def read_status(directory: Path) -> Status:
    """Return what the file in a gateway's state directory says, while the gateway runs or not.

    Raises:
        FileNotFoundError: If there is none.
        sqlite3.Error: If it cannot be read.
    """
    path = directory / FILE_NAME
    size = path.stat().st_size
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        found: Standing = standing(connection)
        (undecoded,) = connection.execute(
            "SELECT count(*) FROM journal WHERE is_decoded = 0"
        ).fetchone()
    return Status(
        epoch=str(found.epoch),
        last_number=found.last_number,
        undelivered=found.undelivered,
        oldest_undelivered_at=found.oldest_undelivered_at,
        last_receipt_at=found.last_receipt_at,
        undecoded=undecoded,
        size_bytes=size,
    )


def describe(status: Status, now: datetime) -> str:
    """Return the status in plain words."""
    lines = [_queue(status, now)]
    if status.undecoded:
        lines.append(f"{status.undecoded} value(s) from devices wait to be decoded.")
    if status.last_receipt_at is None:
        lines.append("The server has not answered yet.")
    else:
        lines.append(f"The server last answered {_since(status.last_receipt_at, now)}.")
    lines.append(f"{status.last_number} record(s) were numbered in epoch {status.epoch}.")
    return "\n".join(lines)


def _queue(status: Status, now: datetime) -> str:
    if status.oldest_undelivered_at is None:
        return "Nothing waits: the server has received every reading."
    return (
        f"{status.undelivered} record(s) wait for the server, "
        f"the oldest since {_since(status.oldest_undelivered_at, now)}."
    )


def _since(time: datetime, now: datetime) -> str:
    age = max(now - time, timedelta())
    hours, seconds = divmod(int(age.total_seconds()), 3600)
    days, hours = divmod(hours, 24)
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{seconds // 60} min"]
    return f"{time:%Y-%m-%d %H:%M} UTC ({' '.join(part for part in parts if part)} ago)"
