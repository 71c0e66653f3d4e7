"""bleak's own BlueZ backend, unchanged, on the virtual org.bluez: discovery, absence, clients."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError

from tests.contract.central import (
    BRISK,
    CUFF,
    PRESSURE,
    bus_of,
    connected,
    fetch_all,
    find,
    fresh_address,
    get,
    memory,
    until,
)
from tests.contract.conftest import LOUD
from tests.support.radio import RadioWorld, VirtualDevice

ADAPTER = "/org/bluez/hci0"

pytestmark = [pytest.mark.radio, pytest.mark.asyncio(loop_scope="module")]


def path_of(device: VirtualDevice) -> str:
    return f"{ADAPTER}/dev_{device.address.replace(':', '_')}"


async def test_scan_sees_name_service_and_signal_strength(world: RadioWorld) -> None:
    cuff = world.cuff(LOUD, "--name", "Kitchen cuff", *BRISK)
    cuff.measure(systolic=120)
    seen: asyncio.Queue[AdvertisementData] = asyncio.Queue()

    def on_advertisement(device: BLEDevice, data: AdvertisementData) -> None:
        if device.address == LOUD:
            seen.put_nowait(data)

    async with BleakScanner(on_advertisement), asyncio.timeout(5):
        data = await seen.get()

    assert data.local_name == "Kitchen cuff"
    assert data.service_uuids == [CUFF]
    assert data.rssi == -77


async def test_battery_is_a_property_and_no_service(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), "--battery", "41", *BRISK)
    cuff.measure(systolic=120)

    async with connected(cuff.address) as received, bus_of(world) as bus:
        level = await get(bus, path_of(cuff), "org.bluez.Battery1", "Percentage")
        services = sorted(service.uuid[4:8] for service in received.client.services)

    assert level == 41
    assert services == ["180a", "1810"]


async def test_connecting_to_an_absent_device_times_out_and_hinders_nobody(
    world: RadioWorld,
) -> None:
    absent, present = world.cuff(fresh_address(), *BRISK), world.cuff(fresh_address(), *BRISK)
    for each in (absent, present):
        each.measure(systolic=120)
    device = await find(absent.address)
    absent.kill()

    with pytest.raises(TimeoutError):
        await BleakClient(device, timeout=1.0).connect()

    assert len(await fetch_all(present.address)) == 1


async def test_a_device_unheard_of_is_removed(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), *BRISK)
    cuff.measure(systolic=120)
    device = await find(cuff.address)
    cuff.kill()
    await asyncio.sleep(3.5)

    with pytest.raises(BleakError, match="not found"):
        await BleakClient(device, timeout=1.0).connect()


async def becomes(world: RadioWorld, path: str, name: str, *, is_on: bool) -> None:
    """Wait until an object's property has this value, at most five seconds."""
    interface, _, member = name.rpartition(".")
    async with bus_of(world) as bus:
        for _ in range(250):
            if await get(bus, path, interface, member) == is_on:
                return
            await asyncio.sleep(0.02)
    pytest.fail(f"{name} did not become {is_on}")


KILLED_CLIENT = """
import asyncio, sys
from bleak import BleakClient, BleakScanner
async def main():
    async with BleakScanner():
        if sys.argv[1] == "scan":
            print("scanning", flush=True)
            await asyncio.sleep(60)
    client = BleakClient(await BleakScanner.find_device_by_address(sys.argv[1]))
    await client.connect()
    await client.start_notify(sys.argv[2], lambda *_: print("got", flush=True))
    await asyncio.sleep(60)
asyncio.run(main())
"""


def kill_client_once_it_said(world: RadioWorld, argument: str, word: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_CLIENT, argument, PRESSURE],
        env=world.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            assert word in process.stdout.readline()
        finally:
            process.kill()


async def test_a_client_killed_while_discovering_leaves_no_discovery(world: RadioWorld) -> None:
    await asyncio.to_thread(kill_client_once_it_said, world, "scan", "scanning")

    await becomes(world, ADAPTER, "org.bluez.Adapter1.Discovering", is_on=False)


async def test_a_client_killed_while_connected_loses_its_connection_to_the_next(
    world: RadioWorld,
) -> None:
    cuff = world.cuff(fresh_address(), "--linger-s", "30", "--advertising-ms", "30")
    cuff.measure(systolic=120)

    await asyncio.to_thread(kill_client_once_it_said, world, cuff.address, "got")
    await becomes(world, path_of(cuff), "org.bluez.Device1.Connected", is_on=False)
    cuff.measure(systolic=121)
    async with connected(cuff.address) as received:
        await received.listen(PRESSURE)
        await received.wait(1)

    assert received.values[0][1] == 121


async def test_devices_and_org_bluez_come_back_when_the_air_does(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), "--linger-s", "30", "--advertising-ms", "30")
    cuff.measure(systolic=120)

    async with connected(cuff.address) as received:
        await received.listen(PRESSURE)
        await until(lambda: memory(cuff) == [], "the record confirmed and deleted")
        world.radio.kill()
        await received.wait_over()
    cuff.measure(systolic=121)
    world.start_radio("--supervision-s", "0.5")
    await becomes(world, ADAPTER, "org.bluez.Adapter1.Powered", is_on=True)
    async with connected(cuff.address) as received:
        await received.listen(PRESSURE)
        await received.wait(1)

    assert received.values[0][1] == 121


async def test_org_bluez_killed_and_started_again_serves_the_same_clients(
    world: RadioWorld,
) -> None:
    cuff = world.cuff(fresh_address(), *BRISK)

    world.bluez.kill()
    world.start_bluez("--expire-s", "2")
    cuff.measure(systolic=120)

    assert len(await fetch_all(cuff.address)) == 1
