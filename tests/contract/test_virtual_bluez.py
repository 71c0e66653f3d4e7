"""bleak's own BlueZ backend and a pairing agent, unchanged, on the virtual radio."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio
from bleak import BleakClient, BleakScanner
from bleak.backends.bluezdbus.manager import get_global_bluez_manager
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakDBusError, BleakError
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from tests.contract.conftest import LOUD
from tests.support.radio import RadioWorld, VirtualDevice, wait_until

pytestmark = [pytest.mark.radio, pytest.mark.asyncio(loop_scope="module")]

CUFF = "00001810-0000-1000-8000-00805f9b34fb"
PRESSURE = "00002a35-0000-1000-8000-00805f9b34fb"
CUFF_PRESSURE = "00002a36-0000-1000-8000-00805f9b34fb"
DATE_TIME = "00002a08-0000-1000-8000-00805f9b34fb"
SPOT_CHECK = "00002a5e-0000-1000-8000-00805f9b34fb"
CONTINUOUS = "00002a5f-0000-1000-8000-00805f9b34fb"
CONTROL_POINT = "00002a52-0000-1000-8000-00805f9b34fb"
MODEL = "00002a24-0000-1000-8000-00805f9b34fb"

REPORT_ALL, ABORT, COUNT_ALL, DELETE_ALL = b"\x01\x01", b"\x03\x00", b"\x04\x01", b"\x02\x01"
BRISK = ("--linger-s", "0.2", "--advertising-ms", "30")

numbers = itertools.count(2)


def fresh_address() -> str:
    """Return an address that no test has used: the service remembers devices by it."""
    return f"F0:00:00:00:02:{next(numbers):02X}"


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def bleak_released(world: RadioWorld) -> AsyncGenerator[None]:
    """Close the connection that bleak keeps for its event loop."""
    yield
    bus = (await get_global_bluez_manager())._bus  # pyright: ignore[reportPrivateUsage] - no other way
    assert bus is not None
    bus.disconnect()
    await bus.wait_for_disconnect()
    await asyncio.sleep(0)


async def find(address: str, *, within_s: float = 5.0) -> BLEDevice:
    device = await BleakScanner.find_device_by_address(address, timeout=within_s)
    assert device is not None, f"{address} not seen"
    return device


class Received:
    """What one connection brought, with the end of it."""

    def __init__(self, client: BleakClient) -> None:
        self.client = client
        self.values: list[bytes] = []
        self.times: list[float] = []
        self.is_over = asyncio.Event()
        self._came = asyncio.Event()

    async def listen(self, characteristic: str) -> None:
        def on_value(_: object, value: bytearray) -> None:
            self.times.append(time.perf_counter())
            self.values.append(bytes(value))
            self._came.set()

        await self.client.start_notify(characteristic, on_value)

    async def wait(self, count: int, *, within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            while len(self.values) < count:
                self._came.clear()
                await self._came.wait()

    async def wait_over(self, *, within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            await self.is_over.wait()


@asynccontextmanager
async def connected(address: str, *, pair: bool = False) -> AsyncGenerator[Received]:
    received: list[Received] = []

    def on_end(_: BleakClient) -> None:
        received[0].is_over.set()

    client = BleakClient(await find(address), on_end, pair=pair)
    received.append(Received(client))
    async with client:
        yield received[0]


async def fetch_all(address: str) -> list[bytes]:
    """Take a cuff's records until it hangs up."""
    async with connected(address) as received:
        await received.listen(PRESSURE)
        await received.wait_over()
        return received.values


def memory(device: VirtualDevice) -> list[str]:
    return json.loads(device.memory_file.read_bytes())["records"]


async def until(condition: Callable[[], bool], what: str, *, within_s: float = 5.0) -> None:
    await asyncio.to_thread(wait_until, condition, within_s=within_s, what=what)


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
        await received.wait(1)
        cuff.measure(fault="out_of_range", for_s=0.8)
        cuff.measure(systolic=151)
        await received.wait_over()
    async with connected(cuff.address) as received:
        await received.listen(PRESSURE)
        await received.wait(1)

    assert received.values[0][1] == 151


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
    await asyncio.sleep(4.5)

    with pytest.raises(BleakError, match="not found"):
        await BleakClient(device, timeout=1.0).connect()


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


async def test_battery_is_a_property_and_no_service(world: RadioWorld) -> None:
    cuff = world.cuff(fresh_address(), "--battery", "41", *BRISK)
    cuff.measure(systolic=120)

    async with connected(cuff.address) as received, bus_of(world) as bus:
        path = "/org/bluez/hci0/dev_" + cuff.address.replace(":", "_")
        level = await get(bus, path, "org.bluez.Battery1", "Percentage")
        services = sorted(service.uuid[4:8] for service in received.client.services)

    assert level == 41
    assert services == ["180a", "1810"]


async def test_spot_checks_are_counted_reported_again_and_never_deleted(
    world: RadioWorld,
) -> None:
    oximeter = world.oximeter(fresh_address(), "--capacity", "3", *BRISK)
    for spo2 in (95, 94, 93, 92):
        oximeter.measure(spo2=spo2, pulse=70)
    await until(lambda: len(oximeter.ledger("measured")) == 4, "4 spot checks")

    async with connected(oximeter.address) as first:
        control = Received(first.client)
        await first.listen(SPOT_CHECK)
        await control.listen(CONTROL_POINT)
        for number, request in enumerate((COUNT_ALL, DELETE_ALL, REPORT_ALL), start=1):
            await first.client.write_gatt_char(CONTROL_POINT, request, True)
            await control.wait(number)
        await first.wait_over()
    oximeter.measure(spo2=91, pulse=70)
    async with connected(oximeter.address) as second:
        control_again = Received(second.client)
        await second.listen(SPOT_CHECK)
        await control_again.listen(CONTROL_POINT)
        await second.client.write_gatt_char(CONTROL_POINT, REPORT_ALL, True)
        await second.wait_over()

    # Response codes: Bluetooth SIG, GATT Specification Supplement, Record Access Control Point.
    assert control.values == [
        bytes.fromhex("05000300"),
        bytes.fromhex("06000202"),
        bytes.fromhex("06000101"),
    ]
    assert [value[1] for value in first.values] == [94, 93, 92]
    assert second.values[:2] == first.values[1:]
    assert len(oximeter.ledger("dropped")) == 2


async def test_a_report_can_be_aborted(world: RadioWorld) -> None:
    oximeter = world.oximeter(fresh_address(), "--capacity", "500", *BRISK)
    for _ in range(500):
        oximeter.measure(spo2=95)
    await until(lambda: len(oximeter.ledger("measured")) == 500, "500 spot checks", within_s=20)

    async with connected(oximeter.address) as received:
        control = Received(received.client)
        await received.listen(SPOT_CHECK)
        await control.listen(CONTROL_POINT)
        await received.client.write_gatt_char(CONTROL_POINT, REPORT_ALL, True)
        await received.wait(1)
        with pytest.raises(BleakError):  # a procedure is under way
            await received.client.write_gatt_char(CONTROL_POINT, COUNT_ALL, True)
        await received.client.write_gatt_char(CONTROL_POINT, ABORT, True)
        await control.wait(1)

    assert control.values == [bytes.fromhex("06000301")]
    assert len(received.values) < 500


async def test_a_live_oximeter_shows_the_pulse_and_gives_the_fresh_value(
    world: RadioWorld,
) -> None:
    oximeter = world.oximeter(fresh_address(), "--live", "--finger-s", "2.5", *BRISK)
    oximeter.measure(spo2=88, pulse=101)

    async with connected(oximeter.address) as received:
        stream = Received(received.client)
        await stream.listen(CONTINUOUS)
        await received.listen(SPOT_CHECK)
        await received.wait(1)

    assert stream.values[0] == bytes.fromhex("04580065002000")
    assert received.values[0][:5] == bytes.fromhex("0358006500")
    assert received.values[0][-2:] == b"\x00\x01"  # fully qualified, not from storage
    assert oximeter.ledger("given") == received.values


@asynccontextmanager
async def bus_of(world: RadioWorld) -> AsyncGenerator[MessageBus]:
    bus = await MessageBus(bus_address=world.bus_address).connect()
    try:
        yield bus
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()


async def call(bus: MessageBus, path: str, member: str, signature: str, *body: str) -> list[Any]:
    interface, _, name = member.rpartition(".")
    reply = await bus.call(
        Message(
            destination="org.bluez",
            path=path,
            interface=interface,
            member=name,
            signature=signature,
            body=list(body),
        )
    )
    assert reply.message_type is MessageType.METHOD_RETURN, reply.body
    return reply.body


async def get(bus: MessageBus, path: str, interface: str, name: str) -> Any:
    reply = await call(bus, path, "org.freedesktop.DBus.Properties.Get", "ss", interface, name)
    return reply[0].value


class Agent:
    """A pairing agent that agrees, types what it is told and remembers what it was asked."""

    def __init__(self, bus: MessageBus, passkey: Callable[[], int]) -> None:
        self.asked: list[str] = []
        self._bus = bus
        self._passkey = passkey
        self._answers: set[asyncio.Task[None]] = set()
        bus.add_message_handler(self._on_message)

    def _on_message(self, message: Message) -> bool:
        if message.interface != "org.bluez.Agent1":
            return False
        self.asked.append(message.member or "")
        self._answers.add(asyncio.get_running_loop().create_task(self._answer(message)))
        return True

    async def _answer(self, message: Message) -> None:
        if message.member == "RequestPasskey":
            reply = Message.new_method_return(
                message, "u", [await asyncio.to_thread(self._passkey)]
            )
        else:
            reply = Message.new_method_return(message)
        await self._bus.send(reply)  # pyright: ignore[reportUnknownMemberType] - dbus-fast's


@asynccontextmanager
async def agent(
    world: RadioWorld, capability: str, passkey: Callable[[], int] = lambda: 0
) -> AsyncGenerator[Agent]:
    manager = "org.bluez.AgentManager1"
    async with bus_of(world) as bus:
        served = Agent(bus, passkey)
        await call(bus, "/org/bluez", f"{manager}.RegisterAgent", "os", "/test/agent", capability)
        await call(bus, "/org/bluez", f"{manager}.RequestDefaultAgent", "o", "/test/agent")
        yield served


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

    async with bus_of(world) as bus:
        for _ in range(100):
            if not await get(bus, "/org/bluez/hci0", "org.bluez.Adapter1", "Discovering"):
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("still discovering two seconds after the only client was killed")


async def test_a_client_killed_while_connected_loses_its_connection_to_the_next(
    world: RadioWorld,
) -> None:
    cuff = world.cuff(fresh_address(), "--linger-s", "30", "--advertising-ms", "30")
    cuff.measure(systolic=120)

    await asyncio.to_thread(kill_client_once_it_said, world, cuff.address, "got")
    cuff.measure(systolic=121)
    async with connected(cuff.address) as received:
        await received.listen(PRESSURE)
        await received.wait(1)

    assert received.values[0][1] == 121
