"""Load a history into a database by COPY, in the order of time, as the years would have."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from benchmarks.databases import Database
from benchmarks.history import ROWS_EACH, TABLES, History, Rows

_BATCH: Final = 5000  # readings
_KEPT_IDS: Final = 200
# The random keys of these plain tables would be written page by page, all over a growing index;
# the hypertable's indexes are small, one to a chunk, and stay.
_PLAIN: Final = ("identity", "device_record", "delivery")

_COPY: Final = sql.SQL("COPY {} ({}) FROM STDIN")
_SETTINGS: Final[Sequence[LiteralString]] = (
    "SET synchronous_commit = off",
    "SET maintenance_work_mem = '512MB'",
)
_KEYS: Final = """
SELECT conname, pg_get_constraintdef(oid)
  FROM pg_constraint
 WHERE conrelid = %s::regclass AND contype = 'p'
"""
_INDEXES: Final = """
SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY(%s)
 ORDER BY indexname
"""
_DROP_KEY: Final = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}")
_ADD_KEY: Final = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}")
_DROP_INDEX: Final = sql.SQL("DROP INDEX {}")
_VACUUM: Final = sql.SQL("VACUUM (ANALYZE) {}")


@dataclass(slots=True, kw_only=True)
class Filled:
    """What was loaded, and ids of observations evenly spread over the years."""

    rows: int
    took_s: float
    size_bytes: int
    observation_ids: list[UUID] = field(default_factory=list[UUID])


def fill(
    database: Database, history: History, readings: Iterable[tuple[datetime, int]], *, rows: int
) -> Filled:
    """Load the readings and leave the schema as the migrations made it, vacuumed and analysed.

    Raises:
        RuntimeError: If an index is not as it was before.
    """
    began = time.monotonic()
    ids: list[UUID] = []
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        for statement in _SETTINGS:
            connection.execute(statement)
        before = _indexes(connection)
        with _bare(connection):
            shown, done = rows // 10, 0
            for batch in _batches(history, readings):
                copy(connection, batch)
                done += len(batch.observation_ids) * ROWS_EACH
                ids += batch.observation_ids[:: max(1, rows // ROWS_EACH // _KEPT_IDS)]
                if done >= shown:
                    shown += rows // 10
                    print(f"  {done:,} of {rows:,} rows, {time.monotonic() - began:.0f} s",
                          flush=True)  # fmt: skip
        if _indexes(connection) != before:
            raise RuntimeError("the indexes are not what the migrations made")
        for table in TABLES:
            connection.execute(_VACUUM.format(sql.Identifier(table)))
    return Filled(
        rows=rows,
        took_s=time.monotonic() - began,
        size_bytes=database.size_bytes,
        observation_ids=ids,
    )


def copy(connection: psycopg.Connection, batch: Rows) -> None:
    """Write a batch in one transaction, one COPY to a table."""
    with connection.transaction(), connection.cursor() as cursor:
        for table, lines in batch.lines.items():
            columns = sql.SQL(", ").join(map(sql.Identifier, batch.columns[table]))
            with cursor.copy(_COPY.format(sql.Identifier(table), columns)) as out:
                out.write("".join(lines))


def _batches(history: History, readings: Iterable[tuple[datetime, int]]) -> Generator[Rows]:
    rows = history.rows()
    for at, person in readings:
        history.add(rows, person, at)
        if len(rows.observation_ids) == _BATCH:
            yield rows
            rows = history.rows()
    if rows.observation_ids:
        yield rows


@contextmanager
def _bare(connection: psycopg.Connection) -> Generator[None]:
    """Take the plain tables' keys and indexes away, and make them again."""
    keys = [
        (table, name, definition)
        for table in _PLAIN
        for name, definition in connection.execute(_KEYS, [table]).fetchall()
    ]
    for table, name, _ in keys:
        connection.execute(_DROP_KEY.format(sql.Identifier(table), sql.Identifier(name)))
    others = connection.execute(_INDEXES, [list(_PLAIN)]).fetchall()
    for name, _ in others:
        connection.execute(_DROP_INDEX.format(sql.Identifier(name)))
    yield
    print("  indexes", flush=True)
    for table, name, definition in keys:
        # The definitions are the server's own text, of these very tables.
        key = sql.Identifier(table), sql.Identifier(name), sql.SQL(definition)
        connection.execute(_ADD_KEY.format(*key))
    for _, definition in others:
        connection.execute(definition)


def _indexes(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in connection.execute(_INDEXES, [list(TABLES)]).fetchall()]
