"""The gateway's file: what a damaged or newer one does to the start."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.store.database import (
    FILE_NAME,
    DatabaseError,
    checkpoint,
    from_us,
    is_damage,
    open_database,
    to_us,
)
from tests.unit.gateway.fakes import START


def test_a_file_that_is_none_is_damage(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database at all, but long enough to be one" * 100)

    with pytest.raises(sqlite3.DatabaseError) as raised:
        open_database(tmp_path, START)

    assert is_damage(raised.value)


def test_a_page_of_zeros_in_the_middle_is_damage(tmp_path: Path) -> None:
    open_database(tmp_path, START).close()
    file = tmp_path / FILE_NAME
    raw = bytearray(file.read_bytes())
    raw[4096:8192] = bytes(4096)
    file.write_bytes(raw)

    with pytest.raises(sqlite3.DatabaseError) as raised:
        open_database(tmp_path, START)

    assert is_damage(raised.value)


def test_another_letter_in_a_table_of_ours_is_damage(tmp_path: Path) -> None:
    # SQLite's own check finds nothing wrong with a column of another name.
    open_database(tmp_path, START).close()
    file = tmp_path / FILE_NAME
    raw = file.read_bytes()
    assert raw.count(b"battery_percent") == 1
    file.write_bytes(raw.replace(b"battery_percent", b"battery_perceot"))

    with pytest.raises(sqlite3.DatabaseError, match="standing") as raised:
        open_database(tmp_path, START)

    assert is_damage(raised.value)


def test_a_locked_file_is_no_damage(tmp_path: Path) -> None:
    database = open_database(tmp_path, START)
    database.connection.execute("BEGIN EXCLUSIVE")
    other = sqlite3.connect(tmp_path / FILE_NAME, timeout=0)

    with pytest.raises(sqlite3.OperationalError) as raised:
        other.execute("BEGIN IMMEDIATE")

    assert not is_damage(raised.value)
    other.close()
    database.close()


def test_a_file_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    database = open_database(tmp_path, START)
    database.connection.execute("PRAGMA user_version = 99")
    database.close()

    with pytest.raises(DatabaseError, match="later release"):
        open_database(tmp_path, START)
    assert [path.name for path in tmp_path.glob("*damaged*")] == []


def test_an_error_takes_the_whole_transaction_back(tmp_path: Path) -> None:
    database = open_database(tmp_path, START)

    def fail_after_writing() -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO device (id) VALUES ('x')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_writing()

    assert database.connection.execute("SELECT count(*) FROM device").fetchone() == (0,)
    database.close()


def test_a_full_disk_is_named_and_leaves_no_transaction_open(tmp_path: Path) -> None:
    # An entry written into a transaction that was left open would not be on the disk.
    database = open_database(tmp_path, START)
    (pages,) = database.connection.execute("PRAGMA page_count").fetchone()
    database.connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    def fill() -> None:
        with database.transaction(is_durable=False) as connection:
            for number in range(100):
                connection.execute("INSERT INTO device (id) VALUES (?)", (f"{number:4000}",))

    with pytest.raises(sqlite3.OperationalError, match="full"):
        fill()
    assert not database.connection.in_transaction
    assert database.connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    database.close()


def test_a_commit_that_fails_is_taken_back(tmp_path: Path) -> None:
    database = open_database(tmp_path, START)

    def break_a_rule_that_is_looked_at_in_the_end() -> None:
        with database.transaction(is_durable=False) as connection:
            connection.execute("PRAGMA defer_foreign_keys = ON")
            connection.execute(
                "INSERT INTO outbox (epoch, number, record, trace_id, queued_us)"
                " VALUES (99, 1, x'', '', 0)"
            )

    with pytest.raises(sqlite3.IntegrityError):
        break_a_rule_that_is_looked_at_in_the_end()
    assert not database.connection.in_transaction
    assert database.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    database.close()


def test_a_checkpoint_beside_the_open_file_moves_the_log_into_it(tmp_path: Path) -> None:
    database = open_database(tmp_path, START)
    before = (tmp_path / FILE_NAME).stat().st_size

    checkpoint(tmp_path)

    assert (tmp_path / FILE_NAME).stat().st_size > before
    database.close()


def test_times_survive_to_the_microsecond() -> None:
    time = START.replace(microsecond=123_457)

    assert from_us(to_us(time)) == time
