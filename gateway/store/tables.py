"""What the rows of each of our tables look like, for whoever has rows and no table."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.store.pages import Value

#: What a time may be, or who reads it fails: the years 1 to 9999 of a calendar, and a count that
#: never runs backwards. No stricter than who writes them: clocks may show anything.
_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "_us": (-62_135_596_800_000_000, 253_402_300_800_000_000),
    "_ns": (0, 2**63),
}
_TYPES: Final[Mapping[str, type]] = {"INTEGER": int, "TEXT": str, "BLOB": bytes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column; ``is_row`` is the one that SQLite keeps as the row's own number."""

    name: str
    kind: type
    may_be_null: bool
    is_row: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table's columns in their order; ``least`` of them were there from the beginning."""

    name: str
    columns: Sequence[Column]
    least: int

    def takes(self, row: int, values: Sequence[Value]) -> bool:
        """Tell whether a row fits: an older one lacks columns that were added behind."""
        if not self.least <= len(values) <= len(self.columns):
            return False
        pairs = zip(self.columns, values, strict=False)
        return row > 0 and all(_fits(column, value) for column, value in pairs)

    def as_stored(self, place: int, value: Value) -> Value:
        """Return what a page holds for a column's value; texts come as bytes, which they may be.

        Raises:
            UnicodeDecodeError: If a text is none.
        """
        column = self.columns[place]
        if column.is_row:
            return None
        return value.decode() if isinstance(value, bytes) and column.kind is str else value

    def insertion(self, count: int) -> str:
        """Return the statement that adds a row of so many columns, unless its key is there."""
        names = ", ".join(column.name for column in self.columns[:count])
        marks = ", ".join("?" * count)
        return f"INSERT OR IGNORE INTO {self.name} ({names}) VALUES ({marks})"  # noqa: S608 ours

    def bound(self, row: int, values: Sequence[Value]) -> Sequence[Value]:
        """Return the values to bind."""
        pairs = zip(self.columns, values, strict=False)
        return [row if column.is_row else value for column, value in pairs]


def tables_of(connection: sqlite3.Connection) -> Mapping[str, Table]:
    """Return the tables of an open file of this release, but for what each start makes itself."""
    names = connection.execute(
        "SELECT CAST(name AS BLOB) FROM sqlite_master WHERE type = 'table'"
        " AND name NOT LIKE 'sqlite_%' AND name <> 'step'"
    ).fetchall()
    return {name.decode(): _table(connection, name.decode()) for (name,) in names}


def _table(connection: sqlite3.Connection, name: str) -> Table:
    found = connection.execute(
        'SELECT CAST(name AS BLOB), CAST(type AS BLOB), "notnull", pk FROM pragma_table_info(?)',
        (name,),
    ).fetchall()
    keys = sum(bool(key) for *_, key in found)
    columns = [
        Column(
            name=column.decode(),
            kind=_TYPES.get(kind.decode(), object),  # a later release may know more kinds
            may_be_null=not is_needed and not key,
            is_row=bool(key) and keys == 1 and kind == b"INTEGER",
        )
        for column, kind, is_needed, key in found
    ]
    return Table(name=name, columns=columns, least=len(columns) - _ADDED.get(name, 0))


#: How many columns were added to a table that an earlier release made.
_ADDED: Final[Mapping[str, int]] = {"journal": 1}


def _fits(column: Column, value: Value) -> bool:
    if column.is_row:
        return value is None
    if value is None:
        return column.may_be_null
    if isinstance(value, int) and column.name.endswith(tuple(_BOUNDS)):
        least, beyond = _BOUNDS[column.name[-3:]]
        return least <= value < beyond
    return isinstance(value, column.kind)
