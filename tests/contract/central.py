"""A client of org.bluez as the gateway is one: bleak for GATT, dbus-fast for the agent."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from tests.support.radio import RadioWorld, VirtualDevice, wait_until

CUFF = "00001810-0000-1000-8000-00805f9b34fb"
PRESSURE = "00002a35-0000-1000-8000-00805f9b34fb"
CUFF_PRESSURE = "00002a36-0000-1000-8000-00805f9b34fb"
DATE_TIME = "00002a08-0000-1000-8000-00805f9b34fb"
SPOT_CHECK = "00002a5e-0000-1000-8000-00805f9b34fb"
CONTINUOUS = "00002a5f-0000-1000-8000-00805f9b34fb"
CONTROL_POINT = "00002a52-0000-1000-8000-00805f9b34fb"

REPORT_ALL, ABORT, COUNT_ALL, DELETE_ALL = b"\x01\x01", b"\x03\x00", b"\x04\x01", b"\x02\x01"
BRISK = ("--linger-s", "0.2", "--advertising-ms", "30")

_numbers = itertools.count(2)


def fresh_address() -> str:
    """Return an address that no test has used: the service remembers devices by it."""
    return f"F0:00:00:00:02:{next(_numbers):02X}"


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
