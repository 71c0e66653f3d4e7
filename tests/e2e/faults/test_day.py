"""A day of ten devices in eight minutes: what the gateway takes must not grow.

The gateway begins with what it has kept of the weeks before, delivered long ago: SQLite's cache of
pages is full from the first hour on. The day is cut into 24 hours of the home's clock, which leaps
to the next hour every nineteen seconds: devices and gateway run by it. In each hour every device
measures twice and is visited, which is more than a patient does in a day, and what happens now and
then in a year happens at some of them: the broker dies, BlueZ is restarted, a device leaves in the
middle. Timers are true: what the gateway does by the minute it does about eight times, not 1440.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from benchmarks.gateway_queue import fill
from deploy.local.footprint import Footprint, footprint
from gateway.store.database import FILE_NAME, to_us
from tests.support.faketime import HomeClock
from tests.support.faults import Site
from tests.support.faults_home import Home
from tests.support.radio import radio_world

pytestmark = [pytest.mark.broker, pytest.mark.radio, pytest.mark.timescale]

_HOURS: Final = 24
_KEPT: Final = 3000  # readings of the weeks before, some 10 MiB
_HOUR_S: Final = 19.0  # in step with no timer of the gateway's: checkpoints come every 20 s
_CUFFS: Final = 7
_OXIMETERS: Final = 3
_GROWTH: Final = 1.05
_BROKER_DIES: Final = (5, 13, 20)
_BLUEZ_RESTARTS: Final = (8, 16)
_DEVICES_LEAVE: Final = (3, 10, 18)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """How the gateway stood at the end of an hour."""

    taken: Footprint
    readings: int
    file_kib: int
    log_kib: int

    def line(self, number: int) -> str:
        """Return it as one line."""
        taken = self.taken
        return (
            f"hour {number:2}: RSS {taken.rss_kib / 1024:.1f} MiB, "
            f"PSS {taken.pss_kib / 1024:.1f} MiB, {taken.files} files, {taken.threads} threads, "
            f"SQLite {self.file_kib} KiB and {self.log_kib} KiB of log, "
            f"{self.readings} readings, CPU {taken.cpu_s:.1f} s"
        )


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_day_of_ten_devices_leaves_the_gateway_as_it_was_after_an_hour(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = HomeClock(tmp_path / "clock", timedelta(hours=-_HOURS))
    hours: list[Hour] = []
    with radio_world() as world:  # its BlueZ is restarted
        home = Home(site, world, "day", clock)
        try:
            for _ in range(_CUFFS):
                home.cuff()
            for _ in range(_OXIMETERS):
                home.oximeter()
            home.register()
            _fill(home.state())
            process = home.start(cool_down_s="1")
            for hour in range(_HOURS):
                _live(home, hour)
                hours.append(_look(home, process.pid))
                with capsys.disabled():
                    print(hours[-1].line(hour + 1), flush=True)  # noqa: T201 - what it is run for
                clock.set(timedelta(hours=hour + 1 - _HOURS))
            found = home.settle()
            home.stop()
        finally:
            home.end()

    home.count("a day of ten devices", found)
    first, last = hours[0].taken, hours[-1].taken
    assert found.is_sound
    assert found.stored == found.given
    assert last.rss_kib <= _GROWTH * first.rss_kib
    assert last.pss_kib <= _GROWTH * first.pss_kib
    assert last.threads <= first.threads + 1  # of checkpoints: it comes with the first one
    assert last.files <= first.files + 1  # a connection to BlueZ may be open just now


def _fill(state: Path) -> None:
    """Give the gateway a file with readings of other devices, receipted by the server."""
    before = datetime.now(UTC) - timedelta(days=2)
    fill(
        state, [f"F0:FA:FF:00:00:{place:02X}" for place in range(10)], records=_KEPT, until=before
    )
    with closing(sqlite3.connect(state / FILE_NAME)) as connection, connection:
        at_us = to_us(before)
        connection.execute("UPDATE outbox SET sent_us = ?1, delivered_us = ?1", [at_us])


def _live(home: Home, hour: int) -> None:
    """Let an hour's events happen, in its nineteen seconds."""
    ends_s = time.monotonic() + _HOUR_S
    home.measure_all()
    if hour in _DEVICES_LEAVE:
        for device in home.devices[::3]:
            device.measure(fault="out_of_range", for_s=2)
    if hour in _BLUEZ_RESTARTS:
        home.world.bluez.kill()
        home.world.start_bluez()
    if hour in _BROKER_DIES:
        home.site.kill_broker()
        home.site.start_broker()
    time.sleep(max(0.0, ends_s - time.monotonic() - _HOUR_S / 2))
    home.measure_all()
    time.sleep(max(0.0, ends_s - time.monotonic()))


def _look(home: Home, pid: int) -> Hour:
    file = home.state() / FILE_NAME
    return Hour(
        taken=footprint(pid),
        readings=len(home.journalled()),
        file_kib=file.stat().st_size // 1024,
        log_kib=file.with_name(f"{FILE_NAME}-wal").stat().st_size // 1024,
    )
