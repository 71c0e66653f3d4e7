"""A gateway killed by SIGKILL between journal, outbox and broker: a real process each time.

The process writes a line for each step it has completed; the test kills it at a seeded line and
looks at what the file says. A row of kills is a sample: ``HEMVITAL_TEST_SEED`` chooses another.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from device_adapters import registry
from device_adapters.contract.messages import ReadingRecord, decode_record
from gateway.clock import ClockSource, SystemClock
from gateway.decoding import Decoder
from gateway.store.database import Database, open_database
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox

HOME = ZoneInfo("Europe/Stockholm")

# Journals, decodes and sends for ever; says what it has done only once that is done.
_VICTIM = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo
from device_adapters import registry
from device_adapters.contract.messages import Device
from gateway.clock import ClockSource, SystemClock
from gateway.store.database import open_database
from gateway.decoding import Decoder
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox

database = open_database(Path(sys.argv[1]), datetime.now(UTC))
clock = SystemClock(ClockSource.TRUSTED)
journal = Journal(database, clock)
outbox = Outbox(database, now=lambda: datetime.now(UTC))
decoder = Decoder(database, journal, outbox, registry.load(), ZoneInfo("Europe/Stockholm"))
journal.settle_all()
device = Device(id="F0:00:00:00:00:01")
start = int(sys.argv[2])
while True:
    connection = journal.connected("blood-pressure-service", device)
    for number in range(start, start + 5):
        raw = bytes([0]) + number.to_bytes(2, "little") + bytes([80, 0, 90, 0])
        journal.append(connection, "00002a35-0000-1000-8000-00805f9b34fb", raw)
        print("journalled", raw.hex(), flush=True)
        if number % 5 == 2:
            journal.settle(connection, device, None)
            decoder.decode()
    start += 5
    decoder.decode()
    while batch := outbox.due(0, max_records=3, max_bytes=65536):
        outbox.sent(batch, 0)
        for number, record in enumerate(batch.records, start=batch.first):
            print("sent", batch.epoch, number, record.hex(), flush=True)
"""


@pytest.mark.parametrize("run", range(3))
def test_every_journalled_value_is_sent_under_one_number(run: int, tmp_path: Path) -> None:
    seed = f"{os.environ.get('HEMVITAL_TEST_SEED', '1')}-{run}"
    chance = random.Random(seed)  # noqa: S311 - when to kill is no secret
    journalled: list[str] = []
    sent: dict[tuple[UUID, int], str] = {}

    for life in range(4):
        for line in lines_until_killed(tmp_path, life, chance.randint(1, 120)):
            match line.split():
                case ["journalled", raw]:
                    journalled.append(raw)
                case ["sent", epoch, number, record]:
                    assert sent.setdefault((UUID(epoch), int(number)), record) == record
                case _:
                    raise AssertionError(line)
    database = open_database(tmp_path, datetime.now(UTC))
    try:
        kept = finish(database)
    finally:
        database.close()

    # What was journalled when the process died may not have been printed: at most one a kill.
    raws = [record.reception.raw.hex() for record in kept]
    assert [raw for raw in raws if raw in journalled] == journalled
    assert len(raws) - len(journalled) <= 4
    assert len(set(raws)) == len(raws)
    assert {record.reception.raw.hex() for record in decoded(sent)} <= set(raws)


def lines_until_killed(directory: Path, life: int, lines: int) -> list[str]:
    first = 100 + 400 * life  # each value once, and all of them below the special values
    with subprocess.Popen(
        [sys.executable, "-c", _VICTIM, str(directory), str(first)],
        stdout=subprocess.PIPE,
        text=True,
    ) as victim:
        assert victim.stdout is not None
        seen = [victim.stdout.readline() for _ in range(lines)]
        victim.kill()
        rest = victim.stdout.read()
    whole = "".join(seen) + rest
    return whole[: whole.rfind("\n") + 1].splitlines()


def finish(database: Database) -> list[ReadingRecord]:
    """Do what the next start does, and return every record in the outbox."""
    clock = SystemClock(ClockSource.TRUSTED)
    journal, outbox = Journal(database, clock), Outbox(database, now=lambda: datetime.now(UTC))
    journal.settle_all()
    decoder = Decoder(database, journal, outbox, registry.load(), HOME)
    while decoder.decode():
        pass
    rows = database.connection.execute("SELECT record FROM outbox ORDER BY epoch, number")
    records = [decode_record(record) for (record,) in rows]
    return [record for record in records if isinstance(record, ReadingRecord)]


def decoded(sent: dict[tuple[UUID, int], str]) -> list[ReadingRecord]:
    records = [decode_record(bytes.fromhex(record)) for record in sent.values()]
    return [record for record in records if isinstance(record, ReadingRecord)]
