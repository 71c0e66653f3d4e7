"""An upgrade rolled back: the release before opens the file, works on it, and this one goes on.

What the release before did to the file is written down here as it was: its tables and the
statements that it ran, of the file's generation 1 without steps.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

from device_adapters import registry
from gateway.decoding import Decoder
from gateway.store import run, schema
from gateway.store.database import FILE_NAME, open_database, to_us
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox
from gateway.store.salvage import open_repaired
from tests.unit.gateway.fakes import BARE_FRAME, BOOT, CUFF, MEASUREMENT, START, FakeClock, keep

HOME = ZoneInfo("Europe/Stockholm")


def opened_by_the_release_before(directory: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(directory / FILE_NAME, isolation_level=None, timeout=5)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA foreign_keys = ON")
    assert connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    assert version <= 1
    if version == 0:
        connection.executescript(f"BEGIN; {schema.TABLES} PRAGMA user_version = 1; COMMIT;")
        connection.execute(
            "INSERT INTO epoch (id, started_us, reason) VALUES (?, ?, 'journal created')",
            ("e0000000-0000-4000-8000-000000000001", to_us(START)),
        )
    return connection


def journal_two_and_send_one(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    (number,) = connection.execute(
        "INSERT INTO connection (adapter, facts) VALUES (?, ?) RETURNING number",
        ("blood-pressure-service", f'{{"device":{{"id":"{CUFF.id}"}}}}'),
    ).fetchone()
    connection.execute("COMMIT")
    for trace in ("1" * 32, "2" * 32):
        connection.execute(
            "INSERT INTO journal (connection, characteristic, raw, received_us, monotonic_ns,"
            " boot_id, is_synchronised, trace_id, is_corrected)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?7)",
            (number, MEASUREMENT, BARE_FRAME, to_us(START), 1, str(BOOT), True, trace),
        )
    connection.execute("UPDATE connection SET is_settled = 1")
    (due,) = connection.execute(
        "SELECT count(*) FROM outbox WHERE delivered_us IS NULL AND due_ns <= 0"
    ).fetchone()
    if due:
        connection.execute(
            "UPDATE outbox SET sent_us = ?, attempts = attempts + 1, due_ns = 30"
            " WHERE epoch = 1 AND number BETWEEN 1 AND 1",
            (to_us(START),),
        )
        connection.execute(
            "UPDATE outbox SET delivered_us = ? WHERE epoch = 1 AND number BETWEEN 1 AND 1"
            " AND delivered_us IS NULL AND sent_us IS NOT NULL",
            (to_us(START),),
        )


def this_release(directory: Path, *values: bytes) -> list[tuple[int, bool]]:
    """Start, keep values, decode all; return each record's number and whether it is delivered."""
    clock = FakeClock()
    database, salvaged = open_repaired(directory, START)
    assert salvaged is None
    with closing(database):
        run.begin(database, clock)
        journal, outbox = Journal(database, clock), Outbox(database, now=clock.now)
        journal.settle_all()
        keep(journal, *values)
        decoder = Decoder(database, journal, outbox, registry.load(), HOME)
        while decoder.decode():
            pass
        return database.connection.execute(
            "SELECT number, delivered_us IS NOT NULL FROM outbox ORDER BY epoch, number"
        ).fetchall()


def test_up_and_back_and_up_again_loses_nothing(tmp_path: Path) -> None:
    with closing(opened_by_the_release_before(tmp_path)) as connection:
        journal_two_and_send_one(connection)

    assert this_release(tmp_path, BARE_FRAME) == [(1, 0), (2, 0), (3, 0)]

    with closing(opened_by_the_release_before(tmp_path)) as connection:
        journal_two_and_send_one(connection)

    assert this_release(tmp_path, BARE_FRAME) == [(1, 1), *((number, 0) for number in range(2, 7))]


def test_a_file_that_a_later_release_has_grown_is_no_damage(tmp_path: Path) -> None:
    open_database(tmp_path, START).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as later:
        later.execute("INSERT INTO step VALUES (?)", (len(schema.STEPS) + 1,))
        later.execute("ALTER TABLE outbox ADD COLUMN mood TEXT")
        later.commit()

    assert this_release(tmp_path, BARE_FRAME) == [(1, 0)]
