"""Readings around a clock that is set: journal, decoder and corrections, on a true time line.

The gateway's clock may be wrong at the start, set ahead or back at any moment and put right by
the time service; a device's own clock may be right, wrong or missing. Wherever the true time can
be known, the reading ends with it; wherever it cannot, its quality says so.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters import registry
from device_adapters.contract.messages import (
    ReadingRecord,
    TimeCorrection,
    TimeQuality,
    decode_record,
)
from gateway.clock import Moment
from gateway.decoding import Decoder
from gateway.store import clock as store
from gateway.store.database import Database, open_database
from gateway.store.journal import DeviceClock, Journal
from gateway.store.outbox import Outbox
from gateway.timekeeping import Timekeeping
from gateway.trust import Trust
from tests.unit.gateway.fakes import BARE_FRAME, BOOT, CUFF, MEASUREMENT, START, timed_frame
from tests.unit.gateway.test_trust import World

HOME = ZoneInfo("Europe/Stockholm")
TOLERANCE = timedelta(seconds=4)  # two that are no jump, and a device's whole seconds


@dataclass
class WorldClock:
    """The gateway's clock in such a world."""

    world: World
    boot_id: UUID = BOOT
    doubt: str | None = None

    @property
    def trust(self) -> Trust | None:
        return self.world.trust

    def read(self) -> Moment:
        off_us, is_trusted = self.world.look()
        return Moment(
            at=at(self.world.true_us + off_us),
            monotonic_ns=self.world.count_us * 1000,
            is_synchronised=is_trusted,
        )


def at(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


class Home:
    """A gateway's file and what works on it, until the process ends."""

    def __init__(self, directory: Path, world: World) -> None:
        self.world = world
        self.clock = WorldClock(world)
        self.made_at: list[datetime] = []
        self._directory = directory
        self._open()

    def _open(self) -> None:
        self.database: Database = open_database(self._directory, START)
        self.journal = Journal(self.database, self.clock)
        self.outbox = Outbox(self.database, now=lambda: START)
        self.decoder = Decoder(self.database, self.journal, self.outbox, registry.load(), HOME)
        self.timekeeping = Timekeeping(self.database, self.clock, self.decoder)

    def restart(self, jump_s: int = 0) -> None:
        """End the process and start it anew in the same boot; maybe the clock was set between."""
        self.database.close()
        self.world.pass_s(20)
        self.world.jump_s(jump_s)
        self.world.trust = None
        self._open()
        self.world.trust = store.read(self.database, BOOT)

    def measure(self, device_error_s: int | None, age_s: int) -> None:
        """Receive a reading made ``age_s`` ago by a device whose clock is off by so much."""
        made = at(self.world.true_us) - timedelta(seconds=0 if device_error_s is None else age_s)
        connection = self.journal.connected("blood-pressure-service", CUFF)
        clock = None
        if device_error_s is None:
            self.journal.append(connection, MEASUREMENT, BARE_FRAME)
        else:
            shown = self.device_clock(made, device_error_s)
            self.journal.append(connection, MEASUREMENT, timed_frame(shown))
            self.world.pass_s(1)
            now = self.device_clock(at(self.world.true_us), device_error_s)
            clock = DeviceClock(shown=now.replace(microsecond=0), read=self.clock.read())
        self.journal.settle(connection, CUFF, clock)
        self.made_at.append(made)

    def device_clock(self, time: datetime, error_s: int) -> datetime:
        home = time.astimezone(HOME).replace(tzinfo=None)
        return home + timedelta(seconds=error_s)

    def keep_time(self) -> None:
        """Do what the gateway does every few seconds."""
        self.timekeeping.keep()
        while self.decoder.decode():
            pass
        truth = self.clock.read()
        while truth.is_synchronised and self.decoder.correct(truth, BOOT):
            pass

    def times(self) -> list[tuple[datetime, TimeQuality]]:
        """Return each reading's last word on its time, in order."""
        rows = self.database.connection.execute("SELECT record FROM outbox ORDER BY number")
        found: dict[UUID, tuple[datetime, TimeQuality]] = {}
        for (encoded,) in rows:
            record = decode_record(encoded)
            if isinstance(record, ReadingRecord | TimeCorrection):
                found[record.record_id] = record.effective_at, record.time_quality
        return list(found.values())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 600)),
        st.tuples(st.just("jump"), st.sampled_from([-86_400, -3600, 3600, 86_400])),
        st.tuples(st.just("synchronise"), st.just(0)),
        st.tuples(st.just("restart"), st.sampled_from([0, 0, 3600, -86_400])),
        st.tuples(st.just("measure"), st.sampled_from([None, 0, -3600, 86_400, 7])),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(
    steps=STEPS,
    start_error_s=st.sampled_from([0, -86_400, -3600, 3600, 86_400]),
    is_put_right=st.booleans(),
)
def test_every_reading_ends_with_its_true_time_or_says_that_it_is_unknown(
    steps: list[tuple[str, int | None]], start_error_s: int, is_put_right: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(error_us=start_error_s * 1_000_000)
        home = Home(Path(directory), world)
        home.keep_time()
        for step, value in [*steps, *([("synchronise", 0)] if is_put_right else [])]:
            world.pass_s(5)  # the gateway looks every five seconds
            home.keep_time()
            match step:
                case "pass":
                    world.pass_s(value or 0)
                case "jump":
                    world.jump_s(value or 0)
                case "synchronise":
                    world.synchronise()
                case "restart":
                    home.restart(value or 0)
                case _:
                    home.measure(value, age_s=30)
            home.keep_time()

        times = home.times()
        home.database.close()

    assert len(times) == len(home.made_at)
    for (found, quality), made in zip(times, home.made_at, strict=True):
        if is_put_right:
            assert quality is not TimeQuality.UNKNOWN
        if quality is not TimeQuality.UNKNOWN:
            assert abs(found - made) <= TOLERANCE


@pytest.mark.parametrize("jump_s", [-86_400, -3600, 3600, 86_400])
@pytest.mark.parametrize("device_error_s", [None, 0, -3600, 86_400])
def test_a_clock_set_by_hand_spoils_no_time(
    tmp_path: Path, jump_s: int, device_error_s: int | None
) -> None:
    world = World()
    world.synchronise()
    home = Home(tmp_path, world)
    home.keep_time()
    world.pass_s(5)
    world.jump_s(jump_s)

    home.measure(device_error_s, age_s=30)
    home.keep_time()
    ((found, quality),) = home.times()
    home.database.close()

    # Never confirmed again, and right all the same: the confirmed time went on.
    assert quality is TimeQuality.UNKNOWN
    assert abs(found - home.made_at[0]) <= TOLERANCE


def test_a_time_server_that_was_wrong_is_made_good_once_it_is_right(tmp_path: Path) -> None:
    world = World(error_us=1800 * 1_000_000)
    world.mark_us = world.true_us + world.error_us
    home = Home(tmp_path, world)
    home.keep_time()
    world.pass_s(60)
    home.measure(0, age_s=30)
    home.measure(None, age_s=0)
    home.keep_time()
    before = [quality for _, quality in home.times()]

    world.pass_s(5)
    world.synchronise()
    home.keep_time()
    times = home.times()
    home.database.close()

    assert TimeQuality.UNKNOWN not in before
    for (found, _), made in zip(times, home.made_at, strict=True):
        assert abs(found - made) <= TOLERANCE


@pytest.mark.parametrize("is_seen_between", [False, True])
@pytest.mark.parametrize("error_s", [-86_400, -3600, 3600, 86_400])
def test_a_time_server_that_is_wrong_for_a_while_leaves_nothing_wrong_behind(
    tmp_path: Path, error_s: int, is_seen_between: bool
) -> None:
    world = World()
    world.synchronise()
    home = Home(tmp_path, world)
    home.keep_time()
    for word_s in (0, error_s, error_s, 0):
        world.pass_s(60)
        home.measure(0, age_s=30)
        world.pass_s(5)
        home.measure(None, age_s=0)
        home.keep_time()
        world.pass_s(600)
        home.keep_time()
        world.error_us = word_s * 1_000_000
        if is_seen_between:  # the service sets the clock first and touches its file then
            home.keep_time()
        world.mark_us = world.true_us + world.error_us
        home.keep_time()

    times = home.times()
    home.database.close()

    assert len(times) == 8
    for (found, quality), made in zip(times, home.made_at, strict=True):
        assert abs(found - made) <= TOLERANCE
        assert quality is not TimeQuality.UNKNOWN


def test_one_word_of_a_time_server_moves_nothing_that_it_had_confirmed_before(
    tmp_path: Path,
) -> None:
    world = World()
    world.synchronise()
    home = Home(tmp_path, world)
    home.keep_time()
    home.measure(0, age_s=30)
    home.keep_time()
    world.pass_s(2000)
    world.synchronise()
    home.keep_time()
    world.pass_s(2000)

    world.error_us = 86_400 * 1_000_000
    world.mark_us = world.true_us + world.error_us
    home.keep_time()
    ((found, _),) = home.times()
    home.database.close()

    assert abs(found - home.made_at[0]) <= TOLERANCE


def test_another_boots_trust_is_not_taken_over(tmp_path: Path) -> None:
    world = World()
    world.synchronise()
    home = Home(tmp_path, world)
    home.keep_time()

    kept = store.read(home.database, BOOT), store.read(home.database, UUID(int=7))
    home.database.close()

    assert kept[0] is not None
    assert kept[0].is_trusted
    assert kept[1] is None
