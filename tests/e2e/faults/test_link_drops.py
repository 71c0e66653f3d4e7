"""A device drops its link at every step of its session, with a goodbye and without a word."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest

from tests.support import faults
from tests.support.faults_home import Home
from tests.support.radio import VirtualDevice, wait_until
from virtual_devices.drops import POINTS

pytestmark = [pytest.mark.broker, pytest.mark.radio, pytest.mark.timescale]

# A cuff has no control point, an oximeter no clock to read.
_CUFFS = tuple(each for each in POINTS if each not in {"request", "answer"})
_OXIMETERS = tuple(each for each in POINTS if each != "clock")
_RECORDS = 4
_AWAY_S = 1.0
_TRIES = 6

_Drop = tuple[bool, str, int, bool]  # an oximeter's, where, the how many-th time, without a word

# What happens once in a session cannot happen a third time in it; what is asked of a device that
# is known already is little.
_OFTEN = ("indication", "before_confirmation", "after_confirmation")
_EVERY: Sequence[_Drop] = [
    (is_oximeter, point, nth, is_silent)
    for is_oximeter, points in ((False, _CUFFS), (True, _OXIMETERS))
    for point in points
    for nth in ((1, 3) if point in _OFTEN else (1,))
    for is_silent in (False, True)
]


def test_a_link_that_is_dropped_somewhere_in_a_session_loses_nothing(home: Home) -> None:
    seed = faults.seed()
    chance = faults.chance(seed)
    drops = [
        *chance.sample([each for each in _EVERY if not each[-1]], 4),
        chance.choice([each for each in _EVERY if each[-1]]),
    ]

    _drop(home, drops, f"links dropped at {len(drops)} of {len(_EVERY)} steps (seed {seed})")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_link_that_is_dropped_at_every_step_of_a_session_loses_nothing(home: Home) -> None:
    _drop(home, _EVERY, f"links dropped at all {len(_EVERY)} steps")


def _drop(home: Home, drops: Sequence[_Drop], about: str) -> None:
    cuff, oximeter = home.cuff(), home.oximeter()
    home.register()
    home.start()
    for is_oximeter, point, nth, is_silent in drops:
        device = oximeter if is_oximeter else cuff
        before = _dropped(device)
        device.measure(fault="drop", at=point, nth=nth, silent=is_silent, for_s=_AWAY_S)
        for _ in range(_TRIES):
            # A connection that still lasts may take what was meant for the next one.
            home.measure(device, _RECORDS)
            with suppress(AssertionError):
                wait_until(
                    lambda device=device, before=before: _dropped(device) > before,
                    within_s=5,
                    what="dropped",
                )
                break
        assert _dropped(device) > before, (is_oximeter, point, nth, is_silent)
        home.settle()
    home.measure(oximeter)  # it gives all that it keeps
    found = home.settle()
    home.stop()

    home.count(about, found)
    assert found.is_sound, about
    assert found.stored == found.given, about


def _dropped(device: VirtualDevice) -> int:
    return device.log.read_text(encoding="utf-8").count("link dropped, as asked")
