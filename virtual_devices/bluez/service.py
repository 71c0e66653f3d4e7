"""The service itself: a name on a bus, objects, callers that come and go, an air beneath."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from dbus_fast import Message, MessageFlag, MessageType, RequestNameReply
from dbus_fast.aio import MessageBus

from virtual_devices import host, schedule
from virtual_devices.bluez import adapter, agents
from virtual_devices.bluez.adapter import Adapter
from virtual_devices.bluez.agents import Agents
from virtual_devices.bluez.central import Central
from virtual_devices.bluez.faults import Fault, Faults
from virtual_devices.bluez.objects import Objects

logger = logging.getLogger(__name__)

_NAME: Final = "org.bluez"
_BUS: Final = "org.freedesktop.DBus"
_SWEEP_EVERY_S: Final = 1.0
# dbus-fast answers these itself.
_GENERIC: Final = ("org.freedesktop.DBus.Peer", "org.freedesktop.DBus.Introspectable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where and as what the service runs."""

    bus_address: str
    air: Path
    address: str
    keys: Path | None
    expire_s: float
    script: str | None = None


async def run(settings: Settings, *, on_ready: Callable[[], None]) -> None:
    """Serve ``org.bluez`` until the bus goes away.

    Raises:
        OSError: If the bus cannot be reached.
        ExceptionGroup: Of `OSError`, if the bus has the name already, or is lost.
    """
    address = settings.bus_address
    try:
        bus = await MessageBus(bus_address=address).connect()
    except OSError as error:
        raise ConnectionRefusedError(f"no bus at {address}: {error}") from error
    async with asyncio.TaskGroup() as tasks:
        service = Service(bus, settings, tasks)
        await service.open()
        tasks.create_task(service.central.run(settings.air), name="air")
        tasks.create_task(service.sweep(), name="sweep")
        tasks.create_task(service.say_when_ready(on_ready), name="ready")
        tasks.create_task(service.follow(settings.script), name="faults")
        with contextlib.suppress(EOFError, OSError):  # dbus-fast raises what ended the bus
            await bus.wait_for_disconnect()
        raise ConnectionResetError(f"the bus at {address} is gone")


class Service:
    """All of bluetoothd that there is."""

    def __init__(self, bus: MessageBus, settings: Settings, tasks: asyncio.TaskGroup) -> None:
        self._bus = bus
        self._tasks = tasks
        self._objects = Objects(bus)
        self._agents = Agents(bus)
        keys = host.key_store(settings.address, settings.keys)
        self._faults = Faults()
        self.central = Central(settings.address, keys=keys)
        self._adapter = Adapter(
            self._objects,
            self.central,
            self._agents,
            expire_s=settings.expire_s,
            monotonic=time.monotonic,
            start=self._start,
            faults=self._faults,
        )

    async def follow(self, script: str | None) -> None:
        """Let go wrong what a script's lines say; ``-`` is standard input."""
        if script is None:
            return
        async for line in schedule.lines(None if script == "-" else Path(script)):
            try:
                schedule.check_length(line)
                fault = msgspec.json.decode(line, type=Fault)
            except (ValueError, msgspec.DecodeError) as error:
                logger.warning("script line left out", extra={"reason": str(error)})
                continue
            await asyncio.sleep(fault.after_s)
            self._faults.suffer(fault)

    async def open(self) -> None:
        """Show the objects and take the name.

        Raises:
            OSError: If somebody has the name already.
        """
        self._objects.add(agents.PATH, self._agents.interface)
        self._objects.add(adapter.PATH, self._adapter.interface)
        await self._adapter.load()
        self._bus.add_message_handler(self._on_message)
        rule = f"type='signal',sender='{_BUS}',interface='{_BUS}',member='NameOwnerChanged'"
        await self._bus.call(
            Message(
                destination=_BUS,
                path="/org/freedesktop/DBus",
                interface=_BUS,
                member="AddMatch",
                signature="s",
                body=[rule],
            )
        )
        if await self._bus.request_name(_NAME) is not RequestNameReply.PRIMARY_OWNER:
            raise FileExistsError(f"{_NAME} is taken on this bus")

    async def sweep(self) -> None:
        """Remove devices that are no longer heard, for ever."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            self._adapter.expire()

    async def say_when_ready(self, on_ready: Callable[[], None]) -> None:
        """Tell once that clients may come and the air is there."""
        await self.central.is_ready.wait()  # for ever: the air may come late
        on_ready()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.create_task(work)

    def _on_message(self, message: Message) -> bool:
        """Take calls and departures; leave everything else to dbus-fast."""
        if message.message_type is MessageType.METHOD_CALL:
            if message.interface in _GENERIC:
                return False
            self._start(self._answer(message))
            return True
        if message.member == "NameOwnerChanged" and message.sender == _BUS:
            name, _, owner = message.body
            if not owner:
                self._agents.client_gone(name)
                self._start(self._adapter.client_gone(name))
        return False

    async def _answer(self, message: Message) -> None:
        reply = await self._objects.answer(message)
        if not message.flags & MessageFlag.NO_REPLY_EXPECTED:
            self._bus.send(reply)  # pyright: ignore[reportUnknownMemberType] - dbus-fast's
