"""What is wrong with the gateway or one of its devices, and since when, over restarts."""

from __future__ import annotations

from collections.abc import Iterable

from device_adapters.contract.standing import Condition, Problem
from gateway.store.database import Database, from_us, to_us


def read(database: Database) -> list[Condition]:
    """Return what was wrong when last noted, save what this release does not know."""
    rows = database.connection.execute(
        "SELECT kind, device, since_us, detail FROM condition ORDER BY since_us, kind, device"
    )
    known = set(Problem)
    return [
        Condition(
            kind=Problem(kind), since=from_us(since), device_id=device or None, detail=detail
        )
        for kind, device, since, detail in rows
        if kind in known
    ]


def put(database: Database, condition: Condition) -> None:
    """Note what is wrong; a power cut in the next seconds may take it back."""
    with database.transaction(is_durable=False) as connection:
        connection.execute(
            "INSERT INTO condition (kind, device, since_us, detail) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (kind, device) DO UPDATE SET since_us = excluded.since_us,"
            " detail = excluded.detail",
            _row(condition),
        )


def remove(database: Database, problem: Problem, device_id: str | None) -> None:
    """Note that it is wrong no more."""
    with database.transaction(is_durable=False) as connection:
        connection.execute(
            "DELETE FROM condition WHERE kind = ? AND device = ?", (problem, device_id or "")
        )


def replace_all(database: Database, conditions: Iterable[Condition]) -> None:
    """Note exactly these: after a time in which nothing could be noted."""
    with database.transaction(is_durable=False) as connection:
        connection.execute("DELETE FROM condition")
        connection.executemany(
            "INSERT INTO condition (kind, device, since_us, detail) VALUES (?, ?, ?, ?)",
            [_row(condition) for condition in conditions],
        )


def _row(condition: Condition) -> tuple[str, str, int, str | None]:
    return (
        condition.kind,
        condition.device_id or "",
        to_us(condition.since),
        condition.detail,
    )
