"""BlueZ beside bleak: the agent's registration, stale connections, and BlueZ's own restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError, DBusFastError
from dbus_fast.unpack import unpack_variants

from gateway.ble.agent import CAPABILITY, PATH, Agent, PairingWindow

logger = logging.getLogger(__name__)

_CALL_S: Final = 10.0
_BLUEZ: Final = "org.bluez"
_DEVICE: Final = "org.bluez.Device1"
_ADAPTER: Final = "org.bluez.Adapter1"
_SIGNALS: Final = (
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.bluez'",
    f"type='signal',sender='org.bluez',member='PropertiesChanged',arg0='{_ADAPTER}'",
    "type='signal',sender='org.bluez',member='InterfacesRemoved'",
)


class BlueZ:
    """A connection to the system bus on which our agent is registered.

    ``is_lost`` says that BlueZ or the bus has ended. ``is_troubled`` is set then, and when an
    adapter's power changes or it is unplugged: BlueZ forgets that it was asked to listen;
    whoever asks again clears it.
    """

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self.is_lost = False
        self.is_troubled = asyncio.Event()
        bus.add_message_handler(self._watch)

    async def register(self, window: PairingWindow) -> None:
        """Register the pairing agent, and make it the default one."""
        self._bus.export(PATH, Agent(window))
        for rule in _SIGNALS:
            await self._call(
                Message(
                    destination="org.freedesktop.DBus",
                    path="/org/freedesktop/DBus",
                    interface="org.freedesktop.DBus",
                    member="AddMatch",
                    signature="s",
                    body=[rule],
                )
            )
        await self._call(_to_manager("RegisterAgent", "os", [PATH, CAPABILITY]))
        await self._call(_to_manager("RequestDefaultAgent", "o", [PATH]))

    async def watch_bus(self) -> None:
        """Return when the bus is gone: nobody else would say that BlueZ went with it."""
        with suppress(DBusFastError, OSError, EOFError):
            await self._bus.wait_for_disconnect()  # no deadline: a bus may live for years
        self.is_lost = True
        self.is_troubled.set()

    async def hang_up(self, is_ours: Callable[[str, str | None, Collection[str]], bool]) -> None:
        """End connections that a gateway before us left open.

        BlueZ keeps a connection when the program that made it dies. A connected device does not
        advertise, so it would not be heard of again until it hangs up by itself.

        Args:
            is_ours: Tells by address, name and services whether the gateway may talk to a device.
        """
        (objects,) = await self._call(
            Message(
                destination=_BLUEZ,
                path="/",
                interface="org.freedesktop.DBus.ObjectManager",
                member="GetManagedObjects",
            )
        )
        for path, interfaces in unpack_variants(objects).items():
            device = interfaces.get(_DEVICE)
            if not device or not device.get("Connected"):
                continue
            if is_ours(device["Address"].upper(), device.get("Name"), device.get("UUIDs", [])):
                logger.info("stale connection ended", extra={"device": device["Address"]})
                await self._call(
                    Message(destination=_BLUEZ, path=path, interface=_DEVICE, member="Disconnect")
                )

    async def _call(self, message: Message) -> list[Any]:
        async with asyncio.timeout(_CALL_S):
            reply = await self._bus.call(message)
        if reply.message_type is MessageType.ERROR:
            raise DBusError(reply.error_name or "", f"{message.member}: {reply.body}")
        return reply.body

    def _watch(self, message: Message) -> None:
        body = message.body
        match message.member:
            case "NameOwnerChanged" if body[0] == _BLUEZ:
                logger.warning("BlueZ was restarted or has ended")
                self.is_lost = True
            case "PropertiesChanged" if body[0] == _ADAPTER and "Powered" in body[1]:
                logger.warning("Bluetooth adapter's power changed")
            case "InterfacesRemoved" if _ADAPTER in body[1]:
                logger.warning("Bluetooth adapter was removed")
            case _:
                return
        self.is_troubled.set()


@asynccontextmanager
async def attend(window: PairingWindow) -> AsyncGenerator[BlueZ]:
    """Be BlueZ's pairing agent for as long as the context is open.

    Raises:
        dbus_fast.errors.DBusFastError: If BlueZ refuses.
        OSError: If there is no bus, or BlueZ does not answer in time.
    """
    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        async with asyncio.timeout(_CALL_S):
            await bus.connect()
        bluez = BlueZ(bus)
        await bluez.register(window)
        yield bluez
    finally:
        bus.disconnect()


def _to_manager(member: str, signature: str, body: list[Any]) -> Message:
    return Message(
        destination=_BLUEZ,
        path="/org/bluez",
        interface="org.bluez.AgentManager1",
        member=member,
        signature=signature,
        body=body,
    )
