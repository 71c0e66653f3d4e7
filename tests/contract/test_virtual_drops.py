"""Devices that drop the link at each point of a session, as bleak's own BlueZ backend sees it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from bleak.exc import BleakError

from tests.contract.central import (
    BRISK,
    CONTROL_POINT,
    DATE_TIME,
    PRESSURE,
    REPORT_ALL,
    SPOT_CHECK,
    Received,
    connected,
    fetch_all,
    fresh_address,
    memory,
    until,
)
from tests.support.radio import RadioWorld

pytestmark = [pytest.mark.radio, pytest.mark.asyncio(loop_scope="module")]

MODEL = "00002a24-0000-1000-8000-00805f9b34fb"


async def hear(address: str) -> list[bytes]:
    """Read a cuff's model and clock, then take records until it hangs up, however it does."""
    received: Received | None = None
    with contextlib.suppress(BleakError, TimeoutError, EOFError):
        async with asyncio.timeout(8), connected(address) as received:
            await received.client.read_gatt_char(MODEL)
            await received.client.read_gatt_char(DATE_TIME)
            await received.listen(PRESSURE)
            await received.wait_over()
    return received.values if received else []


# What the first connection brings; the next one brings all that is not yet given.
@pytest.mark.parametrize(
    ("drop", "heard", "given"),
    [
        ({"at": "connect"}, 0, 0),
        ({"at": "connect", "silent": True}, 0, 0),
        ({"at": "discovery"}, 0, 0),
        ({"at": "discovery", "nth": 3, "silent": True}, 0, 0),
        ({"at": "read"}, 0, 0),
        ({"at": "clock"}, 0, 0),
        ({"at": "clock", "silent": True}, 0, 0),
        ({"at": "subscribe"}, 0, 0),
        ({"at": "indication", "nth": 2}, 1, 1),
        ({"at": "indication", "nth": 2, "silent": True}, 1, 1),
        ({"at": "before_confirmation", "nth": 2}, 2, 1),
        ({"at": "before_confirmation", "nth": 2, "silent": True}, 2, 1),
        ({"at": "after_confirmation", "nth": 2}, 2, 2),
        ({"at": "after_confirmation", "nth": 2, "silent": True}, 2, 2),
    ],
)
async def test_a_cuff_drops_the_link_once_at_each_point(
    world: RadioWorld, drop: dict[str, object], heard: int, given: int
) -> None:
    cuff = world.cuff(fresh_address(), *BRISK)
    cuff.measure(fault="drop", for_s=0.1, **drop)
    for systolic in (101, 102, 103):
        cuff.measure(systolic=systolic)
    await until(lambda: len(cuff.ledger("measured")) == 3, "3 records measured")

    before = await hear(cuff.address)
    given_before = len(cuff.ledger("given"))
    after = await fetch_all(cuff.address)

    assert (len(before), given_before) == (heard, given)
    assert after == cuff.ledger("measured")[given:]
    assert memory(cuff) == []


@pytest.mark.parametrize(
    ("at", "heard"),
    [
        ("request", 0),
        ("indication", 0),
        ("before_confirmation", 1),
        ("after_confirmation", 1),
        ("answer", 2),
    ],
)
async def test_an_oximeter_drops_the_link_in_the_middle_of_a_report(
    world: RadioWorld, at: str, heard: int
) -> None:
    oximeter = world.oximeter(fresh_address(), *BRISK)
    for spo2 in (95, 94):
        oximeter.measure(spo2=spo2)
    await until(lambda: len(oximeter.ledger("measured")) == 2, "2 spot checks")
    oximeter.measure(fault="drop", at=at)

    async with connected(oximeter.address) as received:
        control = Received(received.client)
        await received.listen(SPOT_CHECK)
        await control.listen(CONTROL_POINT)
        with contextlib.suppress(BleakError):
            await received.client.write_gatt_char(CONTROL_POINT, REPORT_ALL, True)
        await received.wait_over()

    assert len(received.values) == heard
    assert control.values == []


async def test_drops_are_used_one_after_the_other(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), *BRISK)
    for _ in range(2):
        cuff.measure(fault="drop", at="before_confirmation")
    cuff.measure(systolic=101)
    await until(lambda: len(cuff.ledger("measured")) == 1, "measured")

    given: list[int] = []
    for _ in range(3):
        await hear(cuff.address)
        given.append(len(cuff.ledger("given")))

    assert given == [0, 0, 1]
