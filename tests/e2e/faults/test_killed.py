"""The gateway is killed by SIGKILL at seeded random moments of a transfer, again and again."""

from __future__ import annotations

import time
from random import Random

import pytest

from tests.support import faults
from tests.support.faults_home import Home
from tests.support.radio import VirtualDevice, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.radio, pytest.mark.timescale]

_RECORDS = 25  # in the cuff, before each start
_LATEST_S = 0.25  # after the first value: a transfer takes about as long, and the sending after it
_FIRST_S = 20


def test_a_gateway_killed_at_any_moment_loses_nothing_that_it_was_given(home: Home) -> None:
    _kill(home, moments=8)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_gateway_killed_at_two_hundred_moments_loses_nothing(home: Home) -> None:
    _kill(home, moments=200)


def _kill(home: Home, moments: int) -> None:
    seed = faults.seed()
    cuff, oximeter = home.cuff(), home.oximeter()
    home.register()

    kills = hits = 0
    chance = faults.chance(seed)
    while hits < moments:
        home.measure(cuff, max(1, _RECORDS - cuff.held))
        home.measure(oximeter)
        hits += _kill_once(home, chance, chance.choice((cuff, oximeter)))
        kills += 1
    home.start()
    home.measure(oximeter)  # it gives all that it keeps, the last time too
    found = home.settle()
    home.stop()

    about = f"gateway killed {kills} times, {hits} of them in a transfer (seed {seed})"
    home.count(about, found)
    assert found.is_sound, about
    assert home.kept_in_window() == 0, about
    assert found.stored + found.in_window == found.given, about
    # BlueZ confirms until it notices that its client is dead: on this radio, a hundred times
    # faster than a real one, each kill costs a cuff some records.
    assert found.in_window <= 5 * kills, about


def _kill_once(home: Home, chance: Random, device: VirtualDevice) -> bool:
    """Start the gateway and kill it; tell whether something was on its way just then."""
    before = device.ledger_file.stat().st_size
    process = home.start()
    wait_until(
        lambda: device.ledger_file.stat().st_size > before,
        within_s=_FIRST_S,
        what=f"a record given; the gateway's log:\n{process.text()[-3000:]}",
    )
    time.sleep(chance.uniform(0, _LATEST_S))
    home.kill()
    return bool(home.compare().held or home.undelivered())
