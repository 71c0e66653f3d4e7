"""The virtual cuff, as bleak's own BlueZ backend sees it."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from bleak import BleakScanner
from bleak.exc import BleakError

from tests.contract.central import (
    BRISK,
    CUFF_PRESSURE,
    DATE_TIME,
    PRESSURE,
    connected,
    fetch_all,
    fresh_address,
    memory,
    until,
)
from tests.support.radio import RadioWorld

pytestmark = [pytest.mark.radio, pytest.mark.asyncio(loop_scope="module")]


async def test_stored_records_come_oldest_first_and_are_deleted_once_confirmed(
    world: RadioWorld,
) -> None:
    cuff = world.cuff(fresh_address(), *BRISK)
    for systolic in range(100, 125):
        cuff.measure(systolic=systolic, diastolic=70)
    await until(lambda: len(cuff.ledger("measured")) == 25, "25 records measured")

    values = await fetch_all(cuff.address)

    assert [int.from_bytes(value[1:3], "little") for value in values] == [*range(100, 125)]
    assert cuff.ledger("given") == values == cuff.ledger("measured")
    assert memory(cuff) == []


async def test_a_cuff_without_records_does_not_advertise(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), *BRISK)

    device = await BleakScanner.find_device_by_address(cuff.address, timeout=0.5)

    assert device is None


async def test_identical_records_are_not_merged(world: RadioWorld) -> None:
    # The cuff's clock shows seconds: all 20 must be measured within one.
    cuff = world.cuff(fresh_address(), *BRISK)
    await asyncio.sleep(1.05 - datetime.now().astimezone().microsecond / 1e6)
    for _ in range(20):
        cuff.measure(systolic=131, diastolic=83)
    await until(lambda: len(cuff.ledger("measured")) == 20, "20 records measured")

    values = await fetch_all(cuff.address)

    assert len(values) == 20
    assert len(set(values)) == 1


async def test_a_cuff_that_hangs_up_gives_the_rest_to_the_next_connection(
    world: RadioWorld,
) -> None:
    cuff = world.cuff(fresh_address(), *BRISK)
    cuff.measure(fault="hang_up", after_records=2)
    for systolic in (101, 102, 103, 104):
        cuff.measure(systolic=systolic)
    await until(lambda: len(cuff.ledger("measured")) == 4, "4 records measured")

    before, after = await fetch_all(cuff.address), await fetch_all(cuff.address)

    assert (len(before), len(after)) == (2, 2)
    assert before + after == cuff.ledger("measured")


async def test_a_doubled_record_comes_twice(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), *BRISK)
    cuff.measure(fault="duplicate")
    cuff.measure(systolic=142)

    values = await fetch_all(cuff.address)

    assert len(values) == 2
    assert values[0] == values[1]


async def test_a_killed_device_is_noticed_and_keeps_what_was_not_confirmed(
    world: RadioWorld,
) -> None:
    address = fresh_address()
    cuff = world.cuff(address, "--linger-s", "30", "--advertising-ms", "30")
    cuff.measure(systolic=150)

    async with connected(address) as received:
        await received.listen(PRESSURE)
        await until(lambda: memory(cuff) == [], "the record confirmed and deleted")
        cuff.kill()
        await received.wait_over()
    again = world.cuff(address, *BRISK)
    again.measure(systolic=151)
    values = await fetch_all(address)

    assert [value[1] for value in values] == [151]


async def test_a_device_out_of_range_comes_back(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), "--linger-s", "30", "--advertising-ms", "30")
    cuff.measure(systolic=150)

    async with connected(cuff.address) as received:
        await received.listen(PRESSURE)
        await until(lambda: memory(cuff) == [], "the record confirmed and deleted")
        cuff.measure(fault="out_of_range", for_s=0.8)
        await received.wait_over()
    cuff.measure(systolic=151)
    async with connected(cuff.address) as received:
        await received.listen(PRESSURE)
        await received.wait(1)

    assert received.values[0][1] == 151


async def test_intermediate_pressure_is_notified_while_measuring(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), "--measuring-s", "0.8", "--advertising-ms", "30")
    cuff.measure(systolic=120)

    async with connected(cuff.address) as received:
        await received.listen(CUFF_PRESSURE)
        await received.listen(PRESSURE)
        cuff.measure(systolic=160)
        await received.wait(10)

    # 160 mmHg at the first look, then less; the other two pressures are NaN (0x07FF).
    assert received.values[1] == bytes.fromhex("00a000ff07ff07")
    assert received.values[9][1:3] == b"\xa0\x00"


async def test_the_clock_of_a_cuff_is_read_and_set(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), "--linger-s", "30", "--advertising-ms", "30")
    cuff.measure(systolic=120)

    async with connected(cuff.address) as received:
        # A&D's own example of a clock write: 2013-08-26 09:10:20.
        await received.client.write_gatt_char(DATE_TIME, bytes.fromhex("dd07081a090a14"), True)
        clock = await received.client.read_gatt_char(DATE_TIME)
        with pytest.raises(BleakError):
            await received.client.write_gatt_char(DATE_TIME, bytes.fromhex("dd070d1a090a14"), True)
        await received.listen(PRESSURE)
        cuff.measure(systolic=121)
        await received.wait(2)

    assert clock[:6] == bytes.fromhex("dd07081a090a")
    assert received.values[1][7:12] == bytes.fromhex("dd07081a09")


async def test_a_cuff_asked_to_end_hangs_up_and_ends(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), "--linger-s", "30", "--advertising-ms", "30")
    cuff.measure(systolic=120)

    async with connected(cuff.address) as received:
        await received.listen(PRESSURE)
        await received.wait(1)
        status = await asyncio.to_thread(cuff.stop)
        await received.wait_over(within_s=0.3)  # sooner than a supervision timeout

    assert status == 0
