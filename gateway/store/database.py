"""The gateway's one SQLite file: journal, outbox and what is known of devices.

WAL with synchronous=FULL: a statement that has returned survives a power cut. Transactions that
only note what can be found out again (sent, delivered) skip the disk's flush, so that they never
stand between an indication and its journal entry; checkpoints are made aside for the same reason.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.store import schema

logger = logging.getLogger(__name__)

FILE_NAME: Final = "gateway.sqlite3"
_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


class DatabaseError(Exception):
    """The file cannot be used by this program; the text says why."""


class Database:
    """An open database; one per process and thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    @contextmanager
    def transaction(self, *, is_durable: bool = True) -> Generator[sqlite3.Connection]:
        """Run a transaction; on an error nothing of it stays.

        Args:
            is_durable: Whether it must survive a power cut once it has returned. Without, it
                survives the process's death, and a power cut may take it back.
        """
        connection = self.connection
        if not is_durable:
            connection.execute("PRAGMA synchronous = NORMAL")
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # On a full disk SQLite has rolled back by itself; a commit that failed may have
                # left it open, and what is journalled next would not be on the disk.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        finally:
            if not is_durable:
                connection.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


def open_database(directory: Path, now: datetime) -> Database:
    """Open the gateway's file, or make it.

    A damaged file is set aside under a name that says so, and a new one is made: with it begins
    a new epoch, and the home is read again from today on.

    Raises:
        DatabaseError: If the file was made by a later release.
        OSError: If the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / FILE_NAME
    try:
        return Database(_opened(path))
    except sqlite3.OperationalError:
        raise  # a lock, a missing right: the file may be sound
    except sqlite3.DatabaseError as error:
        _set_aside(path, now)
        logger.critical("journal was damaged and set aside", extra={"reason": str(error)})
        return Database(_opened(path))


def checkpoint(directory: Path) -> None:
    """Move what the write-ahead log holds into the file; for a thread of its own."""
    with closing(sqlite3.connect(directory / FILE_NAME, timeout=5)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def to_us(time: datetime) -> int:
    """Return a time as whole microseconds since 1970."""
    return (time - _EPOCH_START) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """Return the UTC time of microseconds since 1970."""
    return _EPOCH_START + timedelta(microseconds=us)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA foreign_keys = ON")
        _check(connection)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(
                f"BEGIN; {schema.TABLES} PRAGMA user_version = {schema.GENERATION}; COMMIT;"
            )
        _grow(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _grow(connection: sqlite3.Connection) -> None:
    """Add what this release has and the file has not; an older release passes over it."""
    connection.execute("CREATE TABLE IF NOT EXISTS step (number INTEGER PRIMARY KEY) STRICT")
    (done,) = connection.execute("SELECT coalesce(max(number), 0) FROM step").fetchone()
    for number, script in enumerate(schema.STEPS, start=1):
        if number > done:
            done_too = f"INSERT INTO step VALUES ({number});"  # noqa: S608 a count of ours
            connection.executescript(f"BEGIN; {script} {done_too} COMMIT;")


def _check(connection: sqlite3.Connection) -> None:
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > schema.GENERATION:
        raise DatabaseError(f"{FILE_NAME} was made by a later release (version {version})")


def _set_aside(path: Path, now: datetime) -> None:
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(part.with_name(f"{part.name}.damaged-{now:%Y%m%dT%H%M%S}"))
