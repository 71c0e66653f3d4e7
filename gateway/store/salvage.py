"""Open the gateway's file; where it is damaged, carry what can be read into a new one.

Pages that the file's own tables lead to are read first, then pages that nothing leads to any more
but whose rows have the shape of one of ours. What nobody has received goes into a new epoch under
new numbers, with its very bytes; an entry whose record is gone is decoded again and keeps the
identity that it had. A row is taken once, and what does not fit its table not at all.

The new file is made beside the old one and takes its place only when it is whole and on the disk,
so a power cut in between begins it again or ends it.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import msgspec

from device_adapters.contract import messages
from device_adapters.contract.elements import Id
from device_adapters.contract.messages import ContractError, Device
from gateway.store.database import (
    FILE_NAME,
    WHOLE_CHECK_BYTES,
    Database,
    flush_directory,
    log_of,
    open_database,
    open_file,
    to_us,
)
from gateway.store.journal import ConnectionFacts
from gateway.store.pages import LEAF, Pages, Value, leaves, rows
from gateway.store.tables import Table, tables_of

logger = logging.getLogger(__name__)

LOST: Final = "lost-connection"  # no adapter's name: the bytes travel as an unsupported frame
_PART: Final = f"{FILE_NAME}.part"
_WHOLE: Final = f"{FILE_NAME}.salvaged"
_ASIDE: Final = f"{FILE_NAME}.damaged-"
_MOST_ASIDE_BYTES: Final = 64 << 20
_LEAST_FREE: Final = 4  # times what is set aside must stay free
_AT_ONCE: Final = 500
# Rows on pages that nothing leads to are known by their shape; these have one of their own.
_SHAPED: Final = ("outbox", "journal", "connection", "epoch", "device", "event", "configuration")

_UNRECEIVED: Final = """
SELECT epoch, number FROM outbox
 WHERE delivered_us IS NULL OR epoch NOT IN (SELECT sequence FROM epoch)
 ORDER BY epoch, number
"""

_AGAIN: Final = """
UPDATE outbox SET epoch = ?, number = ?, sent_us = NULL, attempts = 0, due_ns = 0,
                  delivered_us = NULL
 WHERE epoch = ? AND number = ?
"""

# The epoch that named the record that is gone, so that the same one comes of it.
_DECODE_AGAIN: Final = """
UPDATE journal SET is_decoded = 0, epoch = coalesce(epoch, (
       SELECT id FROM epoch WHERE started_us <= received_us AND sequence < ?
        ORDER BY sequence DESC LIMIT 1))
 WHERE is_decoded = 1
   AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.journal = journal.number)
"""

_GAPS: Final = """
SELECT coalesce(sum(last_number - first + 1 - held), 0)
  FROM (SELECT max(last_number, max(number)) AS last_number, min(number) AS first,
               count(*) AS held
          FROM outbox JOIN epoch ON epoch.sequence = outbox.epoch GROUP BY epoch)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """What came out of a damaged file, and what did not."""

    unreceived: int  # records that the server has not confirmed
    received: int  # records kept for a server that loses its database
    decoded_again: int  # journal entries whose record is gone
    unreadable: int  # rows that were there and could not be read
    missing: int  # numbers between the first and the last that no record was found for

    def __str__(self) -> str:
        """Return a sentence for whoever mends the gateway."""
        return (
            f"saved {self.unreceived} records that wait, {self.received} delivered ones and"
            f" {self.decoded_again} values to decode again; {self.unreadable} rows could not be"
            f" read, {self.missing} numbers have no record"
        )


def open_repaired(directory: Path, now: datetime) -> tuple[Database, Salvaged | None]:
    """Open the gateway's file, make it, or make a new one of what a damaged one still holds.

    Args:
        directory: The gateway's state directory; made if it is not there.
        now: Names the damaged file, which is kept aside: the last one, while there is room.

    Returns:
        The open file, and what was salvaged if it had been damaged.

    Raises:
        DatabaseError: If the file was made by a later release.
        sqlite3.OperationalError: If the file is locked, the disk full or a right missing.
        OSError: If the directory cannot be written.
    """
    results: list[Salvaged] = []
    if (directory / _WHOLE).exists():  # a power cut came between
        _take_its_place(directory, now)

    def repair(directory: Path, now: datetime) -> None:
        results.append(salvage(directory, now))
        _take_its_place(directory, now)
        logger.critical("journal was repaired", extra={"result": str(results[0])})

    database = open_database(directory, now, repair=repair)
    if not results and (garbled := _garbled(database.connection)):
        # SQLite finds nothing wrong with a page whose values are another's.
        database.close()
        logger.critical("journal is damaged", extra={"reason": garbled})
        repair(directory, now)
        database = open_database(directory, now)
    return database, results[0] if results else None


def _garbled(connection: sqlite3.Connection) -> str | None:
    """Return the first row that its readers could not understand."""
    connection.text_factory = bytes
    try:
        for name, table in tables_of(connection).items():
            # Of a very large file only what waits; "journal" has no such column.
            large = name == "outbox" and _is_large(connection)
            query = f"SELECT rowid, * FROM {name}"  # noqa: S608 a name of ours
            for row, *values in connection.execute(
                query + " WHERE delivered_us IS NULL" if large else query
            ):
                if not _can_be_used(table, row, values):
                    return f"{name}, row {row}"
    finally:
        connection.text_factory = str
    return None


def _is_large(connection: sqlite3.Connection) -> bool:
    (size,) = connection.execute(
        "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    ).fetchone()
    return int(size) > WHOLE_CHECK_BYTES


def _can_be_used(table: Table, row: int, found: Sequence[Value]) -> bool:
    try:
        values = [table.as_stored(place, value) for place, value in enumerate(found)]
    except UnicodeDecodeError:
        return False
    return table.takes(row, values) and _is_sound(table.name, values)


def salvage(directory: Path, now: datetime) -> Salvaged:
    """Make a new file, whole and on the disk, of what the damaged one holds."""
    part = directory / _PART
    for left_over in (part, log_of(part), part.with_name(f"{part.name}-shm")):
        left_over.unlink(missing_ok=True)
    made = open_file(part)
    with closing(made):
        connection = made.connection
        connection.execute("PRAGMA foreign_keys = OFF")
        with Pages(directory / FILE_NAME, log_of(directory / FILE_NAME)) as pages:
            unreadable = _carry_over(pages, connection)
        with made.transaction():
            result = _put_in_order(connection, now, unreadable)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    log_of(part).unlink(missing_ok=True)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.rename(directory / _WHOLE)
    flush_directory(directory)
    return result


def _carry_over(pages: Pages, connection: sqlite3.Connection) -> int:
    """Copy every row that can be read; return how many were there and could not be."""
    tables = tables_of(connection)
    connection.execute("PRAGMA synchronous = OFF")  # nobody looks at it until it is whole
    taken = set(leaves(pages, 1))
    for name in ("sqlite_sequence", "step"):  # the new file has its own
        taken.update(leaves(pages, _root(pages, name)))
    unreadable = 0
    for name, table in tables.items():
        for leaf in leaves(pages, _root(pages, name)):
            if leaf not in taken and (found := _take(pages, leaf, {name: table}, connection)):
                # A page that is not of this table was come to by a damaged branch.
                taken.add(leaf)
                unreadable += found.unreadable
    left = pages.free() | taken
    shaped = {name: tables[name] for name in _SHAPED}
    for number in range(2, pages.count + 1):
        if number not in left and pages.page(number)[0] == LEAF:
            unreadable += _take(pages, number, shaped, connection).unreadable
    connection.execute("PRAGMA synchronous = FULL")
    return unreadable


def _root(pages: Pages, name: str) -> int:
    """Return the page that the file's own list of tables gives for one; 0 if it gives none."""
    for leaf in leaves(pages, 1):
        for row in rows(pages, leaf):
            match row:
                case (_, ["table", str(found), str(), int(root), *_]) if found == name:
                    return root
                case _:
                    pass
    return 0


@dataclass(slots=True)
class _Found:
    """What one page held; false if nothing of it was of use and something was there."""

    taken: int = 0
    unreadable: int = 0

    def __bool__(self) -> bool:
        return bool(self.taken) or not self.unreadable


def _take(
    pages: Pages, leaf: int, tables: Mapping[str, Table], connection: sqlite3.Connection
) -> _Found:
    found = _Found()
    connection.execute("BEGIN")
    for row in rows(pages, leaf):
        table = None if row is None else _table_of(tables, *row)
        if row is None or table is None:
            found.unreadable += 1
        else:
            connection.execute(table.insertion(len(row[1])), table.bound(*row))
            found.taken += 1
    connection.execute("COMMIT")
    return found


def _table_of(tables: Mapping[str, Table], row: int, values: Sequence[Value]) -> Table | None:
    for name, table in tables.items():
        if table.takes(row, values) and _is_sound(name, values):
            return table
    return None


def _is_sound(name: str, values: Sequence[Value]) -> bool:
    """Tell whether what a row holds can be understood by those who will read it."""
    try:
        match name, values:
            case "outbox", [_, _, _, bytes(record), *_]:
                messages.decode_record(record)
            case "connection", [_, str(adapter), str(facts), *_]:
                msgspec.convert(adapter, Id)
                msgspec.json.decode(facts, type=ConnectionFacts)
            case "epoch", [_, str(epoch), *_]:
                UUID(epoch)
            case "journal", [_, _, str(characteristic), _, _, _, str(boot_id), _, str(trace), *_]:
                UUID(boot_id)
                UUID(characteristic)
                return UUID(trace).hex == trace
            case "device", [_, _, str(shown)]:
                datetime.fromisoformat(shown)
            case _:
                pass
    except (ContractError, ValueError):  # msgspec's errors are ValueErrors too
        return False
    return True


def _put_in_order(connection: sqlite3.Connection, now: datetime, unreadable: int) -> Salvaged:
    """Number what nobody has received anew, and find a place for what has lost its own."""
    (missing,) = connection.execute(_GAPS).fetchone()
    waiting = connection.execute(_UNRECEIVED).fetchall()
    (sequence,) = connection.execute(
        "INSERT INTO epoch (sequence, id, last_number, started_us, reason)"
        " SELECT max(coalesce(max(sequence), 0), ?) + 1, ?, ?, ?, 'journal salvaged' FROM epoch"
        " RETURNING sequence",
        (
            max((epoch for epoch, _ in waiting), default=0),
            str(uuid4()),
            len(waiting),
            to_us(now),
        ),
    ).fetchone()
    connection.executemany(
        _AGAIN,
        ((sequence, number, *old) for number, old in enumerate(waiting, start=1)),
    )
    again = connection.execute(_DECODE_AGAIN, (sequence,)).rowcount
    facts = msgspec.json.encode(ConnectionFacts(device=Device(id=LOST))).decode()
    connection.execute(
        "INSERT INTO connection (number, adapter, facts, is_settled)"
        " SELECT DISTINCT connection, ?, ?, 1 FROM journal"
        "  WHERE connection NOT IN (SELECT number FROM connection)",
        (LOST, facts),
    )
    (received,) = connection.execute(
        "SELECT count(*) FROM outbox WHERE delivered_us IS NOT NULL"
    ).fetchone()
    return Salvaged(
        unreceived=len(waiting),
        received=received,
        decoded_again=again,
        unreadable=unreadable,
        missing=missing,
    )


def _take_its_place(directory: Path, now: datetime) -> None:
    """Set the damaged file aside, its log first, and put the whole new one in its place.

    A log without its file is harmless; a file would take a log of another one for its own.
    """
    path = directory / FILE_NAME
    aside = directory / f"{_ASIDE}{now:%Y%m%dT%H%M%S}"
    for old, kept in ((log_of(path), log_of(aside)), (path, aside)):
        if old.exists():
            old.rename(kept)
            flush_directory(directory)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    (directory / _WHOLE).rename(path)
    flush_directory(directory)
    _keep_few(directory, aside)


def _keep_few(directory: Path, last: Path) -> None:
    """Keep the last damaged file, and not even that where it would fill the card."""
    kept = {last, log_of(last)}
    size = sum(file.stat().st_size for file in kept if file.exists())
    is_small = size <= _MOST_ASIDE_BYTES
    if not is_small or shutil.disk_usage(directory).free < _LEAST_FREE * size:
        kept.clear()
    for file in _set_aside(directory):
        if file not in kept:
            file.unlink()


def _set_aside(directory: Path) -> Generator[Path]:
    yield from sorted(directory.glob(f"{_ASIDE}*"))
