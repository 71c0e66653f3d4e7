"""Bonds between the virtual org.bluez and virtual devices, through a gateway's own agent."""

from __future__ import annotations

import asyncio

import pytest
from bleak import BleakClient
from bleak.exc import BleakDBusError, BleakError

from tests.contract.central import (
    BRISK,
    PRESSURE,
    agent,
    connected,
    fetch_all,
    find,
    fresh_address,
)
from tests.support.radio import RadioWorld

pytestmark = [pytest.mark.radio, pytest.mark.asyncio(loop_scope="module")]


async def test_just_works_pairing_bonds_and_later_connections_need_no_agent(
    world: RadioWorld,
) -> None:
    cuff = world.cuff(fresh_address(), "--security", "just-works", *BRISK)
    cuff.measure(systolic=120)

    async with (
        agent(world, "NoInputNoOutput") as asked,
        connected(cuff.address, pair=True) as received,
    ):
        await received.listen(PRESSURE)
        await received.wait_over()
    cuff.measure(systolic=121)
    later = await fetch_all(cuff.address)

    assert len(received.values) == 1
    assert asked.asked == []  # Pair was called: nothing was left to authorise
    assert len(later) == 1


async def test_subscribing_a_protected_value_pairs_by_itself_with_leave(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), "--security", "just-works", *BRISK)
    cuff.measure(systolic=120)

    async with agent(world, "NoInputNoOutput") as asked:
        values = await fetch_all(cuff.address)

    assert len(values) == 1
    assert asked.asked == ["RequestAuthorization"]


async def test_a_protected_value_without_an_agent_hangs_and_pairing_fails(
    world: RadioWorld,
) -> None:
    cuff = world.cuff(fresh_address(), "--security", "just-works", *BRISK)
    cuff.measure(systolic=120)

    async with connected(cuff.address) as received:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await received.listen(PRESSURE)
        with pytest.raises(BleakDBusError, match="AuthenticationFailed"):
            await received.client.pair()


async def test_a_passkey_is_read_off_the_device_and_typed(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), "--security", "passkey", *BRISK)
    cuff.measure(systolic=120)

    def read_display() -> int:
        return int(cuff.wait_line("passkey").split()[1])

    async with (
        agent(world, "KeyboardDisplay", read_display) as asked,
        connected(cuff.address, pair=True) as received,
    ):
        await received.listen(PRESSURE)
        await received.wait_over()

    assert len(received.values) == 1
    assert asked.asked == ["RequestPasskey"]


async def test_a_device_that_lost_its_bond_refuses_until_it_is_removed(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), "--security", "just-works", *BRISK)
    cuff.measure(systolic=120)

    async with agent(world, "NoInputNoOutput"):
        async with connected(cuff.address, pair=True) as received:
            await received.listen(PRESSURE)
            await received.wait_over()
        cuff.measure(fault="drop_bond")
        cuff.measure(systolic=121)
        with pytest.raises(BleakError):
            await BleakClient(await find(cuff.address), timeout=3.0).connect()
        await BleakClient(cuff.address).unpair()
        async with connected(cuff.address, pair=True) as again:
            await again.listen(PRESSURE)
            await again.wait_over()

    assert len(again.values) == 1
