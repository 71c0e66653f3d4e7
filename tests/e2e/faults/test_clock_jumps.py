"""The gateway's clock jumps before, while and after something is measured, by ±1 h and ±1 day.

The time service is played by its file, touched with the wall clock's time as systemd-timesyncd
does each time it has set or confirmed the clock. The devices keep true time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import faults
from tests.support.faketime import HomeClock
from tests.support.faults_home import Home
from tests.support.radio import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.radio, pytest.mark.timescale]

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_JUMPS = (_DAY, -_DAY, _HOUR, -_HOUR)
_TRUE = timedelta()


class TimeService:
    """The machine's time service: it sets the clock, and says so by touching its file."""

    def __init__(self, clock: HomeClock, file: Path) -> None:
        self.clock = clock
        self.file = file

    def confirm(self) -> None:
        """Say that the clock is right as it is now."""
        at = (datetime.now(UTC) + self.clock.ahead).timestamp()
        self.file.touch()
        os.utime(self.file, (at, at))

    def set(self, ahead: timedelta) -> None:
        """Set the clock, and say so."""
        self.clock.set(ahead)
        self.confirm()


_Go = Callable[[TimeService, timedelta], None]


def _by_somebody(service: TimeService, jump: timedelta) -> None:
    """Somebody sets the clock; the time service notices nothing."""
    service.clock.set(jump)


def _by_a_wrong_service(service: TimeService, jump: timedelta) -> None:
    """The time service itself is wrong, and says that it is right."""
    service.set(jump)


@pytest.mark.parametrize("go", [_by_somebody, _by_a_wrong_service])
def test_a_clock_that_jumps_and_comes_right_leaves_every_reading_at_its_true_time(
    home: Home, tmp_path: Path, go: _Go
) -> None:
    _jump(home, tmp_path, go, rounds=1, each_round=2)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("go", [_by_somebody, _by_a_wrong_service])
def test_a_clock_that_jumps_forty_times_leaves_every_reading_at_its_true_time(
    home: Home, tmp_path: Path, go: _Go
) -> None:
    _jump(home, tmp_path, go, rounds=10, each_round=len(_JUMPS))


@pytest.mark.parametrize("wrong", [_DAY, -_DAY])
def test_readings_from_before_the_first_time_of_a_boot_are_moved_to_their_true_time(
    home: Home, tmp_path: Path, wrong: timedelta
) -> None:
    """A Raspberry Pi has no clock of its own: it starts with the time it had when it stopped."""
    service = TimeService(HomeClock(tmp_path / "clock", wrong), tmp_path / "synchronised")
    cuff, oximeter = home.cuff(), home.oximeter()
    home.register()
    _start(home, service)
    home.measure(cuff, 8)
    home.measure(oximeter, 2)
    wait_until(lambda: not home.compare().held, within_s=20, what="given at a wrong time")
    service.set(_TRUE)
    home.measure(cuff)
    found = home.settle()
    home.stop()

    hours = wrong / _HOUR
    home.count(f"clock {hours:+.0f} h wrong from the boot until the first time service", found)
    assert found.is_sound
    assert found.stored == found.given == 11
    assert home.corrections() >= 10


def _jump(home: Home, directory: Path, go: _Go, *, rounds: int, each_round: int) -> None:
    seed = faults.seed()
    chance = faults.chance(seed)
    service = TimeService(HomeClock(directory / "clock"), directory / "synchronised")
    cuff, oximeter = home.cuff(), home.oximeter()
    home.register()
    service.confirm()
    _start(home, service)

    jumps = [jump for _ in range(rounds) for jump in chance.sample(_JUMPS, each_round)]
    for jump in jumps:
        home.measure(cuff, 2)
        home.measure(oximeter)
        home.settle()
        home.measure(cuff, 15)
        time.sleep(chance.uniform(0, 0.3))  # in a transfer, or a moment before or after it
        go(service, jump)
        home.measure(cuff, 3)
        home.measure(oximeter)
        wait_until(lambda: not home.compare().held, within_s=20, what="given at a wrong time")
        service.set(_TRUE)
        home.measure(cuff)
        home.settle()
    found = home.settle()
    home.stop()

    who = (go.__doc__ or "").partition(";")[0].partition(",")[0].lower()
    shown = ", ".join(f"{jump / _HOUR:+.0f} h" for jump in jumps[:4])
    about = f"clock jumps {len(jumps)} times ({shown}{' …' if rounds > 1 else ''}): {who}"
    home.count(f"{about} (seed {seed})", found)
    assert found.is_sound, about
    assert found.stored == found.given, about
    assert home.corrections() >= len(jumps), about  # else nothing was received at a wrong time


def _start(home: Home, service: TimeService) -> None:
    environment = service.clock.environment
    home.start(environment=environment, clock="file", clock_file=str(service.file))
