"""Room: what the reserve keeps, what the limit forgets, and who hears of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from uuid import UUID

import pytest

from device_adapters.contract.messages import Receipt
from device_adapters.contract.standing import Happening, Problem
from gateway.store import room as module
from gateway.store import run
from gateway.store.database import Database, open_database
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox
from gateway.store.room import RESERVE_BYTES, RESERVE_NAME, Room
from tests.unit.gateway.fakes import BARE_FRAME, CUFF, MEASUREMENT, START, FakeClock

SERVER = UUID("5e000000-0000-4000-8000-000000000001")
PLENTY = 512 << 20


class Heard:
    """Keeps reports in order."""

    def __init__(self) -> None:
        self.reports: list[object] = []

    def begin(
        self, problem: Problem, *, device_id: str | None = None, detail: str | None = None
    ) -> None:
        self.reports.append(("begin", problem))

    def end(self, problem: Problem, *, device_id: str | None = None) -> None:
        self.reports.append(("end", problem))

    def note(
        self, happening: Happening, *, device_id: str | None = None, detail: str | None = None
    ) -> None:
        self.reports.append((happening, detail))


def roomed(
    database: Database, outbox: Outbox, directory: Path, max_bytes: int = PLENTY
) -> tuple[Room, Heard]:
    heard = Heard()
    return Room(database, outbox, heard, directory=directory, max_bytes=max_bytes), heard


def fill(database: Database, outbox: Outbox, count: int, delivered: int) -> None:
    for _ in range(count // 100):
        with database.transaction(is_durable=False) as connection:
            for _ in range(100):
                outbox.add(connection, b"x" * 900, "0" * 32, None)
    while batch := outbox.due(0, max_records=100, max_bytes=65536):
        outbox.sent(batch, 0)
    outbox.receipt(Receipt(incarnation=SERVER, epoch=outbox.epoch, ranges=((1, delivered),)))


def append_many(journal: Journal, connection: int) -> None:
    for _ in range(20):
        journal.append(connection, MEASUREMENT, BARE_FRAME * 10)


def test_a_reserve_is_held_on_the_disk(database: Database, outbox: Outbox, tmp_path: Path) -> None:
    room, heard = roomed(database, outbox, tmp_path)

    assert room.has_room
    held = (tmp_path / RESERVE_NAME).stat()
    assert held.st_blocks * 512 >= RESERVE_BYTES  # st_blocks: inode(7)
    assert heard.reports == []


def test_the_record_that_finds_the_disk_full_is_kept(
    database: Database, outbox: Outbox, journal: Journal, tmp_path: Path
) -> None:
    room, heard = roomed(database, outbox, tmp_path)
    connection = journal.connected("blood-pressure-service", CUFF)
    (pages,) = database.connection.execute("PRAGMA page_count").fetchone()
    database.connection.execute(f"PRAGMA max_page_count = {pages}")
    release = database.make_room

    def make_room() -> bool:
        database.connection.execute("PRAGMA max_page_count = 100000")
        return release()

    database.make_room = make_room
    append_many(journal, connection)

    assert database.connection.execute("SELECT count(*) FROM journal").fetchone() == (20,)
    assert not room.has_room
    assert not (tmp_path / RESERVE_NAME).exists()
    assert heard.reports == [("begin", Problem.DISK_FULL)]

    room.look()  # the disk has room

    assert room.has_room
    assert (tmp_path / RESERVE_NAME).exists()
    assert heard.reports[1:] == [("end", Problem.DISK_FULL)]


def test_a_record_that_finds_no_reserve_is_refused(database: Database, journal: Journal) -> None:
    connection = journal.connected("blood-pressure-service", CUFF)
    (pages,) = database.connection.execute("PRAGMA page_count").fetchone()
    database.connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(sqlite3.OperationalError, match="full"):
        append_many(journal, connection)


def test_little_space_is_a_full_disk_before_it_is_full(
    database: Database, outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, heard = roomed(database, outbox, tmp_path)
    monkeypatch.setattr(module, "_LEAST_FREE_BYTES", 1 << 60)

    room.look()

    assert not room.has_room
    assert heard.reports == [("begin", Problem.DISK_FULL)]


def test_the_oldest_delivered_records_go_when_the_file_is_too_large(
    database: Database, outbox: Outbox, tmp_path: Path
) -> None:
    fill(database, outbox, 5000, delivered=3000)
    room, heard = roomed(database, outbox, tmp_path, max_bytes=5 << 20)

    forgotten = sum(1 for _ in room.shrinking()) * 100

    numbers = database.connection.execute("SELECT min(number), count(*) FROM outbox").fetchone()
    assert 0 < forgotten < 3000
    assert numbers == (forgotten + 1, 5000 - forgotten)
    assert outbox.standing().undelivered == 2000
    assert [report for report in heard.reports if isinstance(report, tuple)] == [
        (
            Happening.FORGOTTEN_EARLY,
            f"{forgotten} delivered records: the file holds {5 << 20} bytes",
        )
    ]


def test_what_waits_is_never_forgotten_and_devices_wait_instead(
    database: Database, outbox: Outbox, tmp_path: Path
) -> None:
    fill(database, outbox, 5000, delivered=500)
    room, heard = roomed(database, outbox, tmp_path, max_bytes=4 << 20)

    for _ in room.shrinking():
        pass
    room.look()

    assert outbox.standing().undelivered == 4500
    assert not room.has_room
    assert ("begin", Problem.DISK_FULL) in heard.reports


def test_what_was_forgotten_makes_place_in_the_file(
    database: Database, outbox: Outbox, tmp_path: Path
) -> None:
    fill(database, outbox, 1000, delivered=1000)
    (pages,) = database.connection.execute("PRAGMA page_count").fetchone()
    while outbox.forget():
        pass

    fill(database, outbox, 1000, delivered=1)

    (after,) = database.connection.execute("PRAGMA page_count").fetchone()
    assert after <= pages * 1.02


def test_a_start_after_a_run_without_an_end_is_unclean(tmp_path: Path) -> None:
    clock = FakeClock()
    told: list[bool] = []
    for is_ended in (True, False, True):
        database = open_database(tmp_path, START)
        told.append(run.begin(database, clock))
        if is_ended:
            run.end(database, clock)
        database.close()
    assert told == [False, False, True]
