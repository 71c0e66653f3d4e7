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

logger = logging.getLogger(__name__)

FILE_NAME: Final = "gateway.sqlite3"
_VERSION: Final = 1
_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)

_SCHEMA: Final = """
CREATE TABLE epoch (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    last_number INTEGER NOT NULL DEFAULT 0,
    started_us INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE TABLE incarnation (
    id TEXT NOT NULL,                       -- one row: the database that receipts name
    last_receipt_us INTEGER NOT NULL
) STRICT;
CREATE TABLE device (
    id TEXT PRIMARY KEY,
    reset_generation INTEGER NOT NULL DEFAULT 0,
    clock_shown TEXT                        -- its clock when last measured, as it showed
) STRICT;
CREATE TABLE connection (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    adapter TEXT NOT NULL,
    facts TEXT NOT NULL,                    -- JSON of gateway.journal.ConnectionFacts
    is_settled INTEGER NOT NULL DEFAULT 0   -- nothing more will be learnt of it
) STRICT;
CREATE TABLE journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: identities rest on it
    connection INTEGER NOT NULL REFERENCES connection,
    characteristic TEXT NOT NULL,
    raw BLOB NOT NULL,
    received_us INTEGER NOT NULL,
    monotonic_ns INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    is_synchronised INTEGER NOT NULL,
    trace_id TEXT NOT NULL,
    is_decoded INTEGER NOT NULL DEFAULT 0,
    is_corrected INTEGER NOT NULL           -- its time needs no correction, or has got it
) STRICT;
CREATE INDEX journal_undecoded ON journal (number) WHERE is_decoded = 0;
CREATE INDEX journal_uncorrected ON journal (boot_id) WHERE is_corrected = 0;
CREATE INDEX journal_connection ON journal (connection);
CREATE TABLE outbox (
    epoch INTEGER NOT NULL REFERENCES epoch,
    number INTEGER NOT NULL,
    journal INTEGER,                        -- null for a time correction
    record BLOB NOT NULL,                   -- the very bytes that travel, also the second time
    trace_id TEXT NOT NULL,
    queued_us INTEGER NOT NULL,
    sent_us INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_ns INTEGER NOT NULL DEFAULT 0,      -- on the monotonic clock of this run; 0 is at once
    delivered_us INTEGER,
    PRIMARY KEY (epoch, number)
) STRICT;
CREATE INDEX outbox_due ON outbox (due_ns) WHERE delivered_us IS NULL;
CREATE INDEX outbox_undelivered ON outbox (epoch, number) WHERE delivered_us IS NULL;
CREATE INDEX outbox_delivered ON outbox (delivered_us) WHERE delivered_us IS NOT NULL;
CREATE INDEX outbox_journal ON outbox (journal);
"""


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
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > _VERSION:
        raise DatabaseError(f"{FILE_NAME} was made by a later release (version {version})")


def _set_aside(path: Path, now: datetime) -> None:
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(part.with_name(f"{part.name}.damaged-{now:%Y%m%dT%H%M%S}"))
