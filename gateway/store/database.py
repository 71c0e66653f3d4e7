"""The gateway's one SQLite file: journal, outbox and what is known of devices.

What is on the disk when:

- A write-ahead log with ``synchronous=FULL``: each commit flushes the log, so what was returned
  from survives a power cut: journal entries, connections, records and their numbers, epochs.
- `Database.transaction` with ``is_durable=False`` does not flush: what was sent or delivered, what
  is forgotten. A power cut takes back the last of these, never one in the middle, and any durable
  commit after them keeps them too. None of them gives a number or takes back one.
- A checkpoint flushes the log before it touches the file, and the file before the log is used
  from its beginning again. It is made aside, so that it never stands between an indication and
  its journal entry.
- The log is laid out ahead: a flush then has no new size to note, and a full disk finds it there.
- A file's name is on the disk before anything is kept in it.

Pages are small because a commit writes whole ones: at one reading a visit a quarter of what pages
of 4 KiB take from a card's life.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from gateway.store import schema

logger = logging.getLogger(__name__)

FILE_NAME: Final = "gateway.sqlite3"
PAGE_BYTES: Final = 1024  # of new files; an older file keeps its own
LOG_BYTES: Final = 1 << 20
WHOLE_CHECK_BYTES: Final = 64 << 20
_QUICK_CHECK_BYTES: Final = 8 << 20
_MOST_GENERATIONS: Final = 255  # what is beyond is no version but damage
_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PRIMARY: Final = 0xFF  # of an extended result code

_Made = TypeVar("_Made")


class DatabaseError(Exception):
    """The file cannot be used by this program; the text says why."""


class Database:
    """An open database; one per process and thread.

    ``make_room`` is called when a write finds the disk full, after it was taken back: it returns
    whether trying again may help.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.make_room: Callable[[], bool] = lambda: False

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

    def keep(self, work: Callable[[sqlite3.Connection], _Made]) -> _Made:
        """Run ``work`` in a durable transaction; where the disk is full, once more with room made.

        Raises:
            sqlite3.Error: If it could not be kept all the same.
        """
        try:
            with self.transaction() as connection:
                return work(connection)
        except sqlite3.Error as error:
            if not (is_full(error) and self.make_room()):
                raise
        with self.transaction() as connection:
            return work(connection)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


def open_database(
    directory: Path, now: datetime, *, repair: Callable[[Path, datetime], object] | None = None
) -> Database:
    """Open the gateway's file in a directory, or make both.

    Args:
        directory: The gateway's state directory.
        now: Handed to ``repair``.
        repair: Puts a sound file in the place of a damaged one.

    Raises:
        DatabaseError: If the file was made by a later release.
        sqlite3.OperationalError: If the file is locked, the disk full or a right missing.
        sqlite3.DatabaseError: If the file is damaged and nobody repairs it.
        OSError: If the directory cannot be written.
    """
    if not directory.exists():
        directory.mkdir(parents=True, mode=0o700)
        flush_directory(directory.parent)
    path = directory / FILE_NAME
    try:
        return open_file(path)
    except sqlite3.DatabaseError as error:
        if repair is None or not is_damage(error):
            raise
        logger.critical("journal is damaged", extra={"reason": str(error)})
    repair(directory, now)
    return open_file(path)


def open_file(path: Path) -> Database:
    """Open the gateway's file, or make it, and look whether it is sound.

    A file of at most 8 MiB, and after an unclean stop one of at most 64 MiB, is looked through
    whole, indexes too; a larger one's pages only.

    Raises:
        DatabaseError: If the file was made by a later release.
        sqlite3.OperationalError: If it is locked, or the disk full, or a right is missing: the
            file may be sound.
        sqlite3.DatabaseError: If it is damaged.
        OSError: If the directory cannot be written.
    """
    is_new = not path.exists()
    connection = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of an empty file
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        connection.execute("PRAGMA foreign_keys = ON")
        _check(connection)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(
                f"BEGIN; {schema.TABLES} PRAGMA user_version = {schema.GENERATION}; COMMIT;"
            )
        _grow(connection)
        _check_tables(connection)
        _lay_out_log(path)
        if is_new:
            flush_directory(path.parent)
    except UnicodeDecodeError as error:
        connection.close()
        raise sqlite3.DatabaseError("a name or a text in it is none") from error
    except BaseException:
        connection.close()
        raise
    return Database(connection)


def is_full(error: BaseException) -> bool:
    """Tell whether an error of SQLite means that there is no room on the disk.

    Where a shared memory or a flush finds no room, SQLite speaks of input and output.
    """
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = getattr(error, "sqlite_errorcode", 0)
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Tell whether an error of SQLite means that the file itself is not what it should be."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    # A sector that the card no longer gives is damage too.
    return code & _PRIMARY in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or code in (
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
    )


def checkpoint(directory: Path) -> None:
    """Move what the write-ahead log holds into the file; for a thread of its own."""
    with closing(sqlite3.connect(directory / FILE_NAME, timeout=5)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def has_short_log(directory: Path) -> bool:
    """Tell whether the log is still within the room laid out for it."""
    return log_of(directory / FILE_NAME).stat().st_size <= LOG_BYTES


def flush_directory(directory: Path) -> None:
    """Put names that were made, changed or removed in a directory on the disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_us(time: datetime) -> int:
    """Return a time as whole microseconds since 1970."""
    return (time - _EPOCH_START) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """Return the UTC time of microseconds since 1970."""
    return _EPOCH_START + timedelta(microseconds=us)


def log_of(path: Path) -> Path:
    """Return the path of a file's write-ahead log."""
    return path.with_name(f"{path.name}-wal")


def _lay_out_log(path: Path) -> None:
    """Give the log its size, in zeros: where no frame is, SQLite reads none."""
    with log_of(path).open("r+b") as log:
        size = log.seek(0, os.SEEK_END)
        if size < LOG_BYTES:
            try:
                log.write(bytes(LOG_BYTES - size))
                log.flush()
                os.fsync(log.fileno())
            except OSError as error:
                if not is_full(error):
                    raise
                # Whoever looks after the room will say so.


def _grow(connection: sqlite3.Connection) -> None:
    """Add what this release has and the file has not; an older release passes over it."""
    connection.execute("CREATE TABLE IF NOT EXISTS step (number INTEGER PRIMARY KEY) STRICT")
    (done,) = connection.execute("SELECT coalesce(max(number), 0) FROM step").fetchone()
    for number, script in enumerate(schema.STEPS, start=1):
        if number > done:
            done_too = f"INSERT INTO step VALUES ({number});"  # noqa: S608 a count of ours
            connection.executescript(f"BEGIN; {script} {done_too} COMMIT;")


def _check(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not 0 <= version <= _MOST_GENERATIONS:
        raise sqlite3.DatabaseError(f"version {version} is none")
    if version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise sqlite3.DatabaseError("tables and no version")
    if version > schema.GENERATION:
        raise DatabaseError(f"{FILE_NAME} was made by a later release (version {version})")
    (size,) = connection.execute(
        "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    ).fetchone()
    most = WHOLE_CHECK_BYTES if _was_left_open(connection) else _QUICK_CHECK_BYTES
    is_whole = size <= most
    rows = connection.execute("PRAGMA integrity_check(1)" if is_whole else "PRAGMA quick_check(1)")
    if (found := str(rows.fetchone()[0])) != "ok":
        raise sqlite3.DatabaseError(found)


def _check_tables(connection: sqlite3.Connection) -> None:
    """Compare the tables' texts with ours: SQLite sees no damage in another letter of a name."""
    (done,) = connection.execute("SELECT coalesce(max(number), 0) FROM step").fetchone()
    if done > len(schema.STEPS):
        return  # a later release was here, and what it added is its own
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        model.executescript(schema.TABLES + "".join(schema.STEPS))
        query = "SELECT type, name, tbl_name, sql FROM sqlite_master"
        if lacking := set(model.execute(query)) - set(connection.execute(query)):
            names = ", ".join(sorted(name for _, name, *_ in lacking))
            raise sqlite3.DatabaseError(f"not as they were made: {names}")


def _was_left_open(connection: sqlite3.Connection) -> bool:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'run'").fetchone():
        return False
    row = connection.execute("SELECT ended_us FROM run ORDER BY number DESC LIMIT 1").fetchone()
    return row is not None and row[0] is None
