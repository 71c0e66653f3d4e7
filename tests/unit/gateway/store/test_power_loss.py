"""Power lost at any instant: what a returned call promised is there, and no number comes twice.

The gateway's own code works on a recorded disk (tests/support/power.py); at seeded instants the
disk is cut off and the file opened again by the gateway's own code. ``HEMVITAL_TEST_SEED`` chooses
other instants.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from device_adapters import registry
from device_adapters.contract.messages import Receipt
from gateway.decoding import Decoder
from gateway.store import run
from gateway.store.database import Database, checkpoint, open_database
from gateway.store.journal import Journal
from gateway.store.outbox import KEPT, Outbox
from tests.support.power import Disk, Mark, recording
from tests.unit.gateway.fakes import CUFF, MEASUREMENT, START, FakeClock, timed_frame

SEED = os.environ.get("HEMVITAL_TEST_SEED", "1")
SERVER = UUID("5e000000-0000-4000-8000-000000000001")
HOME = ZoneInfo("Europe/Stockholm")


class Life:
    """A gateway that visits, decodes, sends, hears receipts and forgets, in a seeded order."""

    def __init__(self, directory: Path, disk: Disk, chance: random.Random) -> None:
        self._directory, self._disk, self._chance = directory, disk, chance
        self._clock = FakeClock()
        self._given = 0
        self._open()

    def _open(self) -> None:
        self.database = open_database(self._directory, START)
        run.begin(self.database, self._clock)
        self._journal = Journal(self.database, self._clock)
        self._outbox = Outbox(self.database, now=self._clock.now)
        self._decoder = Decoder(self.database, self._journal, self._outbox, registry.load(), HOME)
        self._journal.settle_all()

    def live(self, steps: int) -> None:
        """Do so many things, each followed by a mark of what has been promised."""
        things: list[Callable[[], None]] = [self._visit] * 4 + [self._decode, self._send] * 3
        things += [self._receive, self._receive, self._checkpoint, self._forget, self._restart]
        for _ in range(steps):
            self._clock.pass_s(1)
            self._chance.choice(things)()

    def _visit(self) -> None:
        connection = self._journal.connected("blood-pressure-service", CUFF)
        for _ in range(self._chance.randint(1, 4)):
            self._given += 1
            value = timed_frame(START.replace(tzinfo=None) + timedelta(seconds=self._given))
            self._journal.append(connection, MEASUREMENT, value)
            self._disk.mark("appended", self._given, value)
            if self._chance.random() < 0.2:
                self._checkpoint()
        self._journal.settle(connection, CUFF, None)

    def _decode(self) -> None:
        self._decoder.decode()

    def _send(self) -> None:
        while batch := self._outbox.due(0, max_records=3, max_bytes=65536):
            for number, record in enumerate(batch.records, start=batch.first):
                self._disk.mark(f"sent {batch.epoch}", number, record)
            self._outbox.sent(batch, 0)

    def _receive(self) -> None:
        last = self._outbox.standing().last_number
        self._outbox.receipt(
            Receipt(
                incarnation=SERVER,
                epoch=self._outbox.epoch,
                ranges=((1, last),) if last else (),
                conflicts=(last,) if last and self._chance.random() < 0.1 else (),
            )
        )

    def _checkpoint(self) -> None:
        checkpoint(self._directory)

    def _forget(self) -> None:
        self._clock.pass_s((KEPT / 20).total_seconds())
        for (number,) in self.database.connection.execute(
            "SELECT journal FROM outbox WHERE delivered_us IS NOT NULL"
        ).fetchall():
            self._disk.mark("forgotten", number)  # or may be
        self._outbox.prune()

    def _restart(self) -> None:
        run.end(self.database, self._clock)
        self.database.close()
        self._open()


def lived(directory: Path, seed: str, steps: int) -> Disk:
    with recording(directory) as disk:
        life = Life(directory, disk, random.Random(seed))  # noqa: S311 - no secret
        try:
            life.live(steps)
        finally:
            life.database.close()
    return disk


def assert_promises_kept(disk: Disk, instant: int, chance: random.Random) -> None:
    with tempfile.TemporaryDirectory() as name:
        marks = disk.cut(instant, chance, Path(name))
        database = open_database(Path(name), START)
        try:
            look(database, marks)
        finally:
            database.close()


def look(database: Database, marks: Sequence[Mark]) -> None:
    connection = database.connection
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    forgotten = {number for kind, number, _ in marks if kind == "forgotten"}
    appended = [raw for kind, _, raw in marks if kind == "appended"]
    rows = connection.execute("SELECT number, raw FROM journal ORDER BY number").fetchall()
    # The entry that was being written may be there too, or one that was being forgotten.
    expected = [raw for number, raw in enumerate(appended, start=1) if number not in forgotten]
    kept = [raw for number, raw in rows if number <= len(appended) and number not in forgotten]
    assert kept == expected
    assert len(rows) <= len(appended) + 1

    lacking = connection.execute(
        "SELECT count(*) FROM journal WHERE is_decoded = 1"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE journal = journal.number)"
    ).fetchone()
    assert lacking == (0,)

    # Every number that was sent stands for the same bytes, and none is given once more.
    for kind, number, record in marks:
        if kind.startswith("sent "):
            epoch = kind.removeprefix("sent ")
            found = connection.execute(
                "SELECT record FROM outbox JOIN epoch ON sequence = epoch WHERE id = ?"
                " AND number = ?",
                (epoch, number),
            ).fetchone()
            assert found is None or found == (record,)
            last = connection.execute("SELECT last_number FROM epoch WHERE id = ?", (epoch,))
            assert last.fetchone()[0] >= number


def look_at(disk: Disk, instants: int, chance: random.Random) -> None:
    for _ in range(instants):
        assert_promises_kept(disk, chance.randrange(len(disk.events) + 1), chance)


def sample(tmp_path: Path, lives: int, instants: int, steps: int) -> None:
    for life in range(lives):
        directory = tmp_path / f"life-{life}"
        directory.mkdir()
        disk = lived(directory, f"{SEED}-{life}", steps)
        chance = random.Random(f"{SEED}-{life}-cut")  # noqa: S311 - no secret
        look_at(disk, instants, chance)


def test_power_lost_at_any_instant_takes_nothing_that_was_promised(tmp_path: Path) -> None:
    sample(tmp_path, lives=4, instants=75, steps=60)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_power_lost_at_thousands_of_instants_takes_nothing(tmp_path: Path) -> None:
    sample(tmp_path, lives=20, instants=250, steps=120)


def test_the_simulation_sees_a_flush_that_is_not_made(tmp_path: Path) -> None:
    # What the suite is for: a log that is not flushed at each commit must fail it.
    disk = lived(tmp_path, SEED, 60)
    disk.events = [
        event for event in disk.events if event[0] != "sync" or not event[1].endswith("-wal")
    ]

    chance = random.Random(SEED)  # noqa: S311 - no secret
    with pytest.raises(AssertionError):
        look_at(disk, 200, chance)
