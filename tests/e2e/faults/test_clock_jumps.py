"""The gateway's clock jumps before, while and after something is measured.

A kernel whose clock is set says from then on that it is not synchronised, until a time service has
looked at it (ntp_clear() in the kernel's do_settimeofday64). So a jump away from the true time
comes with that flag down, and the jump back with it up.
"""

from __future__ import annotations

import time
from datetime import timedelta
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


def test_a_clock_that_jumps_and_comes_right_leaves_every_reading_at_its_true_time(
    home: Home, tmp_path: Path
) -> None:
    _jump(home, tmp_path, rounds=1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_clock_that_jumps_forty_times_leaves_every_reading_at_its_true_time(
    home: Home, tmp_path: Path
) -> None:
    _jump(home, tmp_path, rounds=10)


def _jump(home: Home, directory: Path, rounds: int) -> None:
    seed = faults.seed()
    chance = faults.chance(seed)
    clock, synchronised = HomeClock(directory / "clock"), directory / "synchronised"
    cuff, oximeter = home.cuff(), home.oximeter()  # by the true clock
    home.register()
    _say(synchronised, is_so=True)
    home.start(environment=clock.environment, clock="file", clock_file=str(synchronised))

    jumps = [jump for _ in range(rounds) for jump in chance.sample(_JUMPS, len(_JUMPS))]
    for jump in jumps:
        home.measure(cuff, 2)
        home.measure(oximeter)
        home.settle()
        # While a transfer is under way, or a moment before or after it.
        home.measure(cuff, 15)
        time.sleep(chance.uniform(0, 0.3))
        _say(synchronised, is_so=False)
        clock.set(jump)
        home.measure(cuff, 3)
        home.measure(oximeter)
        wait_until(lambda: not home.compare().held, within_s=20, what="given at a wrong time")
        clock.set(_TRUE)
        _say(synchronised, is_so=True)
        home.measure(cuff)
        home.settle()
    found = home.settle()
    home.stop()

    shown = ", ".join(f"{jump.total_seconds() / 3600:+.0f} h" for jump in jumps[:4])
    about = f"clock jumped {len(jumps)} times ({shown}{' …' if rounds > 1 else ''}; seed {seed})"
    home.count(about, found)
    assert found.is_sound, about
    assert found.stored == found.given, about
    assert home.corrections() >= len(jumps), about  # else nothing was received at a wrong time


def _say(file: Path, *, is_so: bool) -> None:
    file.write_text("synchronised\n" if is_so else "unsynchronised\n")
