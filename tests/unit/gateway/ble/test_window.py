"""The pairing window opens for a person and closes by itself."""

from __future__ import annotations

import pytest

from tests.unit.gateway.ble.windows import Reported, Seconds, window

CUFF = "F0:00:00:00:00:01"


def test_it_is_closed_until_somebody_opens_it_and_after_its_time() -> None:
    clock = Seconds()
    pairing = window(clock, Reported())

    seen = [pairing.is_open]
    pairing.open(60)
    for now_s in (100.0, 159.9, 160.0):
        clock.now_s = now_s
        seen.append(pairing.is_open)

    assert seen == [False, True, True, False]


def test_who_may_pair_follows_it_to_the_second() -> None:
    clock = Seconds()
    pairing = window(clock, Reported())
    pairing.open(60)

    clock.now_s = 159.9
    early = pairing.admit(CUFF)
    clock.now_s = 160.0
    late = pairing.admit(CUFF)

    assert (early, late) == (True, False)


# The contract's MAX_PAIRING_S: half an hour.
@pytest.mark.parametrize(
    ("asked_s", "left_s"), [(600, 600), (86_400, 1800), (1e12, 1800), (-5, 0)]
)
def test_it_is_open_for_half_an_hour_at_most(asked_s: float, left_s: float) -> None:
    pairing = window(Seconds(), Reported())

    pairing.open(asked_s)

    assert pairing.left_s == left_s


def test_opening_and_closing_are_told_once() -> None:
    clock, reports = Seconds(), Reported()
    pairing = window(clock, reports)

    pairing.open(60)
    pairing.tick()
    clock.now_s = 161.0
    pairing.tick()
    pairing.tick()
    pairing.close()

    assert reports.said == [("pairing_opened", None), ("pairing_closed", None)]


def test_who_stands_at_the_box_can_open_it() -> None:
    asked = [None, 120.0, None]
    pairing = window(Seconds(), Reported(), lambda: asked.pop(0))

    left_s: list[float] = []
    for _ in range(3):
        pairing.tick()
        left_s.append(pairing.left_s)

    assert left_s == [0, 120, 120]


def test_what_became_of_a_device_is_asked_once() -> None:
    pairing = window(Seconds(), Reported())
    pairing.admit(CUFF)
    pairing.open(60)
    pairing.admit(CUFF)

    answers = [
        pairing.take_refused(CUFF),
        pairing.take_refused(CUFF),
        pairing.take_admitted(CUFF),
        pairing.take_admitted(CUFF),
    ]

    assert answers == [True, False, True, False]
