"""The journal keeps what came, in order, and knows which device lost its clock."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from device_adapters.contract.messages import Device
from gateway.clock import Moment
from gateway.store.database import Database, open_database
from gateway.store.journal import DeviceClock, Journal, has_lost_clock
from tests.unit.gateway.fakes import (
    BARE_FRAME,
    CUFF,
    MEASUREMENT,
    START,
    FakeClock,
    keep,
)


def test_equal_bytes_are_entries_of_their_own(journal: Journal) -> None:
    keep(journal, BARE_FRAME, BARE_FRAME)

    entries = journal.pending(10)

    assert [entry.raw for entry in entries] == [BARE_FRAME, BARE_FRAME]
    assert entries[0].trace_id != entries[1].trace_id
    assert entries[0].received.at == START


def test_entries_wait_until_their_connection_is_settled(journal: Journal) -> None:
    connection = journal.connected("blood-pressure-service", CUFF)
    journal.append(connection, MEASUREMENT, BARE_FRAME)

    before = journal.pending(10)
    journal.settle_all()

    assert before == []
    assert [entry.raw for entry in journal.pending(10)] == [BARE_FRAME]


def test_an_appended_value_is_there_after_the_process_died(
    tmp_path: Path, database: Database, journal: Journal
) -> None:
    connection = journal.connected("blood-pressure-service", CUFF)
    journal.append(connection, MEASUREMENT, BARE_FRAME)

    other = open_database(tmp_path, START)  # the first is still open, as after SIGKILL
    rows = other.connection.execute("SELECT raw FROM journal").fetchall()
    other.close()

    assert rows == [(BARE_FRAME,)]
    assert database.connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


@pytest.mark.parametrize(
    ("before", "shown", "expected"),
    [
        (None, "2000-01-01T00:00:00", False),
        ("2026-11-20T08:00:00", "2026-11-23T08:00:00", False),
        ("2026-11-23T08:00:00", "2026-11-22T08:00:00", False),
        ("2026-11-23T08:00:00", "2026-11-22T07:59:59", True),
        ("2020-01-01T00:00:00", "2019-12-31T23:59:59", True),
        ("2000-01-01T00:00:00", "2026-11-23T08:00:00", False),
        ("2000-01-05T00:00:00", "2000-01-01T00:00:00", True),
        ("0001-01-01T00:00:00", "0001-01-01T00:00:00", False),  # the calendar's first day
    ],
)
def test_a_clock_that_jumped_back_was_lost(before: str | None, shown: str, expected: bool) -> None:
    found = has_lost_clock(
        datetime.fromisoformat(before) if before else None, datetime.fromisoformat(shown)
    )

    assert found is expected


def test_records_after_a_reset_are_another_generation(journal: Journal, clock: FakeClock) -> None:
    good = shown_clock(datetime(2026, 11, 23, 8, 10), clock)  # noqa: DTZ001 - a device's clock
    reset = shown_clock(datetime(2000, 1, 1), clock)  # noqa: DTZ001 - a device's clock

    keep(journal, b"1", clock=good)
    keep(journal, b"2")
    keep(journal, b"3", clock=reset)
    keep(journal, b"4", clock=shown_clock(reset.shown + timedelta(hours=1), clock))
    keep(journal, b"5")

    generations = [entry.facts.reset_generation for entry in journal.pending(10)]
    assert generations == [0, 0, 1, 1, 1]


def test_a_moment_before_the_clock_was_set_is_moved_by_the_count_since_boot() -> None:
    early = Moment(
        at=datetime.fromisoformat("1970-01-01T00:01:00Z"),
        monotonic_ns=60_000_000_000,
        is_synchronised=False,
    )
    truth = Moment(at=START, monotonic_ns=90_000_000_000, is_synchronised=True)

    assert early.rebased(truth).at == START - timedelta(seconds=30)


def shown_clock(shown: datetime, clock: FakeClock) -> DeviceClock:
    return DeviceClock(shown=shown, read=clock.read())


def fill(journal: Journal) -> None:
    while True:
        journal.connected("blood-pressure-service", CUFF)


def test_what_a_full_disk_kept_from_being_settled_is_settled_once_there_is_room(
    database: Database, journal: Journal
) -> None:
    connection = journal.connected("blood-pressure-service", CUFF)
    journal.append(connection, MEASUREMENT, BARE_FRAME)
    described = Device(id=CUFF.id, name="n" * 128, manufacturer="m" * 128, model="o" * 128)
    (pages,) = database.connection.execute("PRAGMA page_count").fetchone()
    database.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        fill(journal)

    journal.settle(connection, described, None)

    assert journal.pending(10) == []
    database.connection.execute("PRAGMA max_page_count = 1000000")
    journal.settle_late()
    assert [entry.facts.device for entry in journal.pending(10)] == [described]
