"""A damaged file: what can be read is carried into a new one, once, and the gateway starts.

What can be read is told by SQLite itself, asked for each row by its number in the damaged file.
``HEMVITAL_TEST_SEED`` chooses other damage.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from device_adapters import registry
from device_adapters.contract.messages import ReadingRecord, Receipt, decode_record
from gateway.decoding import Decoder
from gateway.store import run
from gateway.store.database import FILE_NAME, PAGE_BYTES, log_of, open_database
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox
from gateway.store.salvage import Salvaged, open_repaired
from tests.unit.gateway.fakes import BARE_FRAME, CUFF, START, FakeClock, keep, timed_frame

SEED = os.environ.get("HEMVITAL_TEST_SEED", "1")
SERVER = UUID("5e000000-0000-4000-8000-000000000001")
HOME = ZoneInfo("Europe/Stockholm")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gateway's file: 120 records, of which the server has a half, and five values undecoded."""
    directory = tmp_path_factory.mktemp("sound")
    database = open_database(directory, START)
    clock = FakeClock()
    journal, outbox = Journal(database, clock), Outbox(database, now=clock.now)
    decoder = Decoder(database, journal, outbox, registry.load(), HOME)
    for number in range(40):
        shown = START.replace(tzinfo=None) + timedelta(minutes=number)
        keep(journal, timed_frame(shown), timed_frame(shown + timedelta(seconds=9)), BARE_FRAME)
        clock.pass_s(60)
        while decoder.decode():
            pass
        if number == 20:
            while batch := outbox.due(0, max_records=100, max_bytes=65536):
                outbox.sent(batch, 0)
            outbox.receipt(Receipt(incarnation=SERVER, epoch=outbox.epoch, ranges=((1, 60),)))
    keep(journal, *[BARE_FRAME] * 5)
    database.close()
    return directory


def damaged(sound: Path, directory: Path, raw: bytes | bytearray) -> Path:
    directory.mkdir()
    (directory / FILE_NAME).write_bytes(raw)
    return directory


def rows(file: Path, query: str, numbers: Sequence[int]) -> dict[int, tuple[bytes, ...]]:
    """Ask SQLite for each row by itself; what it cannot read is left out."""
    found: dict[int, tuple[bytes, ...]] = {}
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        for number in numbers:
            try:
                row = connection.execute(query, (number,)).fetchone()
            except (sqlite3.Error, UnicodeDecodeError):  # its own message may be garbled
                continue
            if row is not None:
                found[number] = row
    return found


RECORDS = """
SELECT record, epoch, number, journal, trace_id, queued_us, sent_us, attempts, due_ns, delivered_us
  FROM outbox NOT INDEXED WHERE rowid = ?
"""
VALUES = """
SELECT raw, received_us, trace_id, connection, characteristic, monotonic_ns, boot_id,
       is_synchronised, is_decoded, is_corrected
  FROM journal NOT INDEXED WHERE number = ?
"""


def restarted(directory: Path) -> tuple[list[ReadingRecord], list[bytes], Salvaged | None]:
    """Do what the next start does; return all records, read and as bytes, and what it reports."""
    database, salvaged = open_repaired(directory, START)
    with closing(database):
        clock = FakeClock()
        journal, outbox = Journal(database, clock), Outbox(database, now=clock.now)
        journal.settle_all()
        decoder = Decoder(database, journal, outbox, registry.load(), HOME)
        while decoder.decode():
            pass
        kept = [row for (row,) in database.connection.execute("SELECT record FROM outbox")]
        while batch := outbox.due(0, max_records=100, max_bytes=65536):
            outbox.sent(batch, 0)
        assert database.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    decoded = [decode_record(record) for record in kept]
    return [each for each in decoded if isinstance(each, ReadingRecord)], kept, salvaged


def damage(raw: bytearray, chance: random.Random) -> bytearray:
    page = chance.randrange(len(raw) // PAGE_BYTES) * PAGE_BYTES
    match chance.choice(["flip", "zeros", "torn", "truncate", "several"]):
        case "flip":
            for _ in range(chance.randint(1, 8)):
                raw[page + chance.randrange(PAGE_BYTES)] ^= 1 << chance.randrange(8)
        case "zeros":
            raw[page : page + PAGE_BYTES] = bytes(PAGE_BYTES)
        case "torn":
            half = PAGE_BYTES // 2
            raw[page + half : page + PAGE_BYTES] = chance.randbytes(half)
        case "several":
            for _ in range(3):
                page = chance.randrange(len(raw) // PAGE_BYTES) * PAGE_BYTES
                raw[page : page + PAGE_BYTES] = bytes(PAGE_BYTES)
        case _:
            del raw[max(page, 1) :]
    return raw


def fuzz(sound: Path, tmp_path: Path, count: int) -> None:
    original = (sound / FILE_NAME).read_bytes()
    numbers = range(1, 140)
    records = rows(sound / FILE_NAME, RECORDS, numbers)
    values = rows(sound / FILE_NAME, VALUES, numbers)
    assert (len(records), len(values)) == (120, 125)
    lost = repaired = 0
    for place in range(count):
        chance = random.Random(f"{SEED}-{place}")  # noqa: S311 - no secret
        directory = damaged(sound, tmp_path / str(place), damage(bytearray(original), chance))
        readable = rows(directory / FILE_NAME, RECORDS, numbers)
        heard = rows(directory / FILE_NAME, VALUES, numbers)

        readings, kept, salvaged = restarted(directory)

        intact = {number for number, row in readable.items() if row == records[number]}
        assert {records[number][0] for number in intact} <= set(kept), place
        # A value that is still in the journal is in a record, kept or made again.
        traces = {reading.trace_id for reading in readings}
        sure = {number for number, row in heard.items() if row == values[number]}
        # A flipped bit that leaves a record readable is not seen: pages carry no checksum.
        sure -= {number for number, row in readable.items() if row != records.get(number)}
        assert {str(values[number][2], "ascii") for number in sure} <= traces, place
        ids = [reading.record_id for reading in readings]
        assert len(ids) == len(set(ids)), place
        lost += len(values) - len(traces)
        repaired += salvaged is not None
        shutil.rmtree(directory)
    said = f"{count} damaged files: {repaired} repaired, {lost} of {count * 125} readings lost"
    print(said)  # noqa: T201 - pytest -s shows what could not be saved


def test_what_can_be_read_of_a_damaged_file_is_kept_once(sound: Path, tmp_path: Path) -> None:
    fuzz(sound, tmp_path, 40)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_what_can_be_read_of_a_thousand_damaged_files(sound: Path, tmp_path: Path) -> None:
    fuzz(sound, tmp_path, 1000)


def test_nothing_is_lost_with_the_first_page(sound: Path, tmp_path: Path) -> None:
    raw = (sound / FILE_NAME).read_bytes()
    directory = damaged(sound, tmp_path / "state", bytes(PAGE_BYTES) + raw[PAGE_BYTES:])

    readings, _, salvaged = restarted(directory)

    assert len(readings) == 125
    assert salvaged is not None
    assert (salvaged.unreceived, salvaged.received) == (60, 60)


def test_what_the_log_holds_is_salvaged_too(sound: Path, tmp_path: Path) -> None:
    directory = tmp_path / "state"
    shutil.copytree(sound, directory)
    database = open_database(directory, START)
    keep(Journal(database, FakeClock()), BARE_FRAME)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in (directory / FILE_NAME, log_of(directory / FILE_NAME)):
        shutil.copy(file, copy)
    database.close()
    raw = bytearray((copy / FILE_NAME).read_bytes())
    raw[-PAGE_BYTES:] = bytes(PAGE_BYTES)
    raw[16 * PAGE_BYTES : 17 * PAGE_BYTES] = bytes(PAGE_BYTES)
    (copy / FILE_NAME).write_bytes(raw)

    database, salvaged = open_repaired(copy, START)

    assert salvaged is not None
    with closing(database):
        number = database.connection.execute("SELECT max(number) FROM journal").fetchone()
    assert number == (126,)


def test_the_damaged_file_is_kept_aside_and_only_the_last(sound: Path, tmp_path: Path) -> None:
    raw = bytes(PAGE_BYTES) + (sound / FILE_NAME).read_bytes()[PAGE_BYTES:]
    directory = damaged(sound, tmp_path / "state", raw)
    for day in range(3):
        (directory / FILE_NAME).write_bytes(raw)
        database, _ = open_repaired(directory, START + timedelta(days=day))
        database.close()

    assert [file.name for file in directory.glob("*damaged*")] == [
        f"{FILE_NAME}.damaged-20261125T071030"
    ]


@pytest.mark.parametrize("is_renamed", [False, True])
def test_a_repair_that_was_cut_off_is_ended(sound: Path, tmp_path: Path, is_renamed: bool) -> None:
    # Whole and on the disk, and not in its place yet: before and after the old one was moved.
    directory = tmp_path / "state"
    directory.mkdir()
    shutil.copy(sound / FILE_NAME, directory / f"{FILE_NAME}.salvaged")
    old = f"{FILE_NAME}.damaged-20261120T000000" if is_renamed else FILE_NAME
    (directory / old).write_bytes(b"damaged" * 1000)

    readings, _, salvaged = restarted(directory)

    assert (len(readings), salvaged) == (125, None)


def test_an_entry_whose_record_is_gone_gives_the_same_record_again(
    sound: Path, tmp_path: Path
) -> None:
    before = {record.record_id for record in restarted_records(sound, tmp_path / "before")}
    directory = tmp_path / "state"
    shutil.copytree(sound, directory)
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        connection.execute("DELETE FROM outbox WHERE number > 100")
        connection.execute("UPDATE epoch SET last_number = 120")
        connection.commit()
    raw = (directory / FILE_NAME).read_bytes()
    (directory / FILE_NAME).write_bytes(bytes(PAGE_BYTES) + raw[PAGE_BYTES:])

    readings, _, salvaged = restarted(directory)

    assert salvaged is not None
    assert salvaged.decoded_again == 20
    # The five that were not decoded yet are named by the new epoch where they have no clock.
    assert len(before & {record.record_id for record in readings}) == 120
    assert {record.device.id for record in readings} == {CUFF.id}


def restarted_records(sound: Path, directory: Path) -> list[ReadingRecord]:
    shutil.copytree(sound, directory)
    return restarted(directory)[0]


def test_what_strange_clocks_wrote_is_no_damage(tmp_path: Path) -> None:
    clock = FakeClock()
    clock.at = clock.at.replace(year=2105)
    database = open_database(tmp_path, clock.at)
    journal, outbox = Journal(database, clock), Outbox(database, now=clock.now)
    shown = START.replace(tzinfo=None)
    keep(journal, *(timed_frame(shown.replace(year=year)) for year in (1950, 2026, 2106)))
    while Decoder(database, journal, outbox, registry.load(), HOME).decode():
        pass
    keep(journal, *[BARE_FRAME] * 2)
    run.begin(database, clock)
    database.close()

    again, salvaged = open_repaired(tmp_path, START)

    with closing(again.connection):
        assert salvaged is None
        assert again.connection.execute("SELECT count(*) FROM journal").fetchone() == (5,)
        assert again.connection.execute("SELECT count(*) FROM outbox").fetchone() == (3,)
