"""The broker is killed, loses its disk in mid-flight, and is away for a week."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support import faults
from tests.support.faketime import HomeClock
from tests.support.faults_home import Home
from tests.support.radio import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.radio, pytest.mark.timescale]

_WEEK = timedelta(days=7)
_RECORDS = 20


def test_a_broker_that_loses_its_disk_in_mid_flight_loses_nothing(home: Home) -> None:
    _kill_broker(home, kills=2)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_broker_that_is_killed_thirty_times_loses_nothing(home: Home) -> None:
    _kill_broker(home, kills=30)


def test_a_week_without_a_broker_loses_nothing(home: Home, tmp_path: Path) -> None:
    _stay_away(home, tmp_path, cuffs=2, each=12, steps=7)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_ten_thousand_readings_of_a_week_without_a_broker_arrive(
    home: Home, tmp_path: Path
) -> None:
    # Ten devices, a burst every six hours: each reading really crosses the radio.
    _stay_away(home, tmp_path, cuffs=10, each=36, steps=28)


def _kill_broker(home: Home, kills: int) -> None:
    """Kill it with messages on their way through it.

    Every second time the worker stands still first: the broker has acknowledged everything to the
    gateway and holds it for the worker, when it dies with its disk.
    """
    seed = faults.seed()
    chance = faults.chance(seed)
    cuff, oximeter = home.cuff(), home.oximeter()
    home.register()
    home.start()
    for number in range(kills):
        with ExitStack() as held:
            is_wiped = number % 2 == 0
            if is_wiped:
                held.enter_context(home.site.worker_held())
            home.measure(cuff, _RECORDS)
            home.measure(oximeter)
            if is_wiped:
                wait_until(home.is_all_sent, within_s=20, what="all of it at the broker")
            time.sleep(chance.uniform(0, 0.5))
            home.site.kill_broker(with_disk=is_wiped)
        time.sleep(chance.uniform(0, 1))
        home.site.start_broker()
    found = home.settle(within_s=90)
    home.stop()

    about = f"broker killed {kills} times, every second time with all it held (seed {seed})"
    home.count(about, found)
    assert found.is_sound, about
    assert found.stored == found.given, about


def _stay_away(home: Home, directory: Path, *, cuffs: int, each: int, steps: int) -> None:
    """Let a home measure for a week by its own clock while the broker is away."""
    clock = home.clock = HomeClock(directory / "clock", -_WEEK)
    for _ in range(cuffs):
        home.cuff()
    home.register()
    home.site.kill_broker()
    try:
        home.start()
        for step in range(1, steps + 1):
            home.measure_all(each)
            wait_until(
                lambda count=step * each * cuffs: home.undelivered() >= count,
                within_s=60,
                what=f"the readings of step {step} queued",
            )
            clock.set(_WEEK * step / steps - _WEEK)
    finally:
        home.site.start_broker()
    began = time.monotonic()
    found = home.settle(within_s=300)
    took_s = time.monotonic() - began
    home.stop()

    about = f"broker away for a week of the home's clock, then drained in {took_s:.1f} s"
    home.count(about, found)
    assert found.given == cuffs * each * steps
    assert found.is_sound, about
    assert found.stored == found.given, about
