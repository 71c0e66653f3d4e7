"""The power goes: the gateway's files are as they were at a seeded moment in mid-write.

The copy holds what the kernel had, written to the disk or not; what a disk may lose beyond that is
simulated sector by sector in tests/unit/gateway/store.
"""

from __future__ import annotations

import time

import pytest

from tests.support import faults
from tests.support.faults_home import Home
from tests.support.radio import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.radio, pytest.mark.timescale]

_RECORDS = 25
_LATEST_S = 0.2


def test_a_copy_taken_in_mid_write_is_started_on_and_loses_nothing(home: Home) -> None:
    _cut(home, cuts=3)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_fifty_copies_taken_in_mid_write_lose_nothing(home: Home) -> None:
    _cut(home, cuts=50)


def _cut(home: Home, cuts: int) -> None:
    seed = faults.seed()
    cuff, oximeter = home.cuff(), home.oximeter()
    home.register()

    chance = faults.chance(seed)
    for number in range(cuts):
        home.measure(cuff, _RECORDS)
        home.measure(oximeter)
        before = cuff.ledger_file.stat().st_size
        home.start()
        wait_until(
            lambda before=before: cuff.ledger_file.stat().st_size > before,
            within_s=20,
            what="a record given",
        )
        time.sleep(chance.uniform(0, _LATEST_S))
        home.cut_power(f"after-cut-{number}")
    home.start()
    home.measure(oximeter)
    found = home.settle()
    home.stop()

    about = f"power cut {cuts} times in mid-write (seed {seed})"
    home.count(about, found)
    assert found.is_sound, about
    assert home.kept_in_window() == 0, about
    assert found.stored + found.in_window == found.given, about
