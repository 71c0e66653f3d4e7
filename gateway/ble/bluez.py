"""BlueZ beside bleak: the agent, what it still holds of devices, the adapter's power."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError, DBusFastError
from dbus_fast.unpack import unpack_variants

from gateway.ble.agent import CAPABILITY, PATH, Agent
from gateway.ble.window import PairingWindow

logger = logging.getLogger(__name__)

_CALL_S: Final = 10.0
_BLUEZ: Final = "org.bluez"
_DEVICE: Final = "org.bluez.Device1"
_ADAPTER: Final = "org.bluez.Adapter1"
_BATTERY: Final = "org.bluez.Battery1"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_OFF_S: Final = 1.0  # without power for so long, a controller forgets
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

    Args:
        bus: The system bus, connected.
        adapter: The machine's adapter, ``hci0``; None for the first one.
    """

    def __init__(self, bus: MessageBus, adapter: str | None) -> None:
        self._bus = bus
        self._adapter = adapter
        self.is_gone = asyncio.Event()
        self.is_troubled = asyncio.Event()
        bus.add_message_handler(self._watch)

    @property
    def is_lost(self) -> bool:
        """Tell whether BlueZ or the bus has ended."""
        return self.is_gone.is_set()

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
        self.is_gone.set()
        self.is_troubled.set()

    async def hang_up(self, is_ours: Callable[[str, str | None, Collection[str]], bool]) -> None:
        """End connections that a gateway before us left open.

        BlueZ keeps a connection when the program that made it dies. A connected device does not
        advertise, so it would not be heard of again until it hangs up by itself.

        Args:
            is_ours: Tells by address, name and services whether the gateway may talk to a device.
        """
        for path, device in (await self._devices()).items():
            if not device.get("Connected"):
                continue
            if is_ours(device["Address"].upper(), device.get("Name"), device.get("UUIDs", [])):
                logger.info("stale connection ended", extra={"device": device["Address"]})
                await self._call(_to_device(path, "Disconnect"))

    async def disconnect(self, address: str) -> None:
        """End a device's connection, or the attempt at one that BlueZ still makes."""
        for path in await self._paths(address):
            await self._call(_to_device(path, "Disconnect"))

    async def remove(self, address: str, *, with_bond: bool) -> bool:
        """Have BlueZ forget a device; one that is bonded only ``with_bond``.

        Returns:
            Whether anything was removed.
        """
        is_removed = False
        for path, device in (await self._devices()).items():
            if device["Address"].upper() != address or (_is_bonded(device) and not with_bond):
                continue
            logger.info("device removed from BlueZ", extra={"device": address})
            await self._call(
                Message(
                    destination=_BLUEZ,
                    path=path.rpartition("/")[0],
                    interface=_ADAPTER,
                    member="RemoveDevice",
                    signature="o",
                    body=[path],
                )
            )
            is_removed = True
        return is_removed

    async def is_bonded(self, address: str) -> bool:
        """Tell whether BlueZ keeps keys of a device."""
        devices = (await self._devices()).values()
        return any(_is_bonded(each) for each in devices if each["Address"].upper() == address)

    async def battery(self, path: str) -> int | None:
        """Return the battery level that BlueZ read itself: it claims the Battery service."""
        try:
            (percentage,) = await self._call(
                Message(
                    destination=_BLUEZ,
                    path=path,
                    interface=_PROPERTIES,
                    member="Get",
                    signature="ss",
                    body=[_BATTERY, "Percentage"],
                )
            )
        except DBusError:  # it has none, or has not read it
            return None
        return int(percentage.value)

    async def power_cycle(self) -> None:
        """Switch the adapter off and on again: what it was stuck in is forgotten."""
        path = await self._adapter_path()
        logger.warning("Bluetooth adapter is switched off and on", extra={"adapter": path})
        with suppress(DBusFastError, TimeoutError):  # one that is off already
            await self._power(path, is_on=False)
        await asyncio.sleep(_OFF_S)
        await self._power(path, is_on=True)

    async def _adapter_path(self) -> str:
        if self._adapter is not None:
            return f"/org/bluez/{self._adapter}"
        adapters = [path for path, all_ in (await self._objects()).items() if _ADAPTER in all_]
        if not adapters:
            raise DBusError("org.bluez.Error.NotAvailable", "No Bluetooth adapters found")
        return min(adapters)

    async def _power(self, path: str, *, is_on: bool) -> None:
        await self._call(
            Message(
                destination=_BLUEZ,
                path=path,
                interface=_PROPERTIES,
                member="Set",
                signature="ssv",
                body=[_ADAPTER, "Powered", Variant("b", is_on)],
            )
        )

    async def _paths(self, address: str) -> list[str]:
        devices = (await self._devices()).items()
        return [path for path, each in devices if each["Address"].upper() == address]

    async def _devices(self) -> dict[str, dict[str, Any]]:
        objects = (await self._objects()).items()
        return {path: all_[_DEVICE] for path, all_ in objects if _DEVICE in all_}

    async def _objects(self) -> dict[str, dict[str, dict[str, Any]]]:
        (objects,) = await self._call(
            Message(
                destination=_BLUEZ,
                path="/",
                interface="org.freedesktop.DBus.ObjectManager",
                member="GetManagedObjects",
            )
        )
        return unpack_variants(objects)

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
                self.is_gone.set()
            case "PropertiesChanged" if body[0] == _ADAPTER and "Powered" in body[1]:
                logger.warning("Bluetooth adapter's power changed")
            case "InterfacesRemoved" if _ADAPTER in body[1]:
                logger.warning("Bluetooth adapter was removed")
            case _:
                return
        self.is_troubled.set()


@asynccontextmanager
async def attend(window: PairingWindow, adapter: str | None) -> AsyncGenerator[BlueZ]:
    """Be BlueZ's pairing agent for as long as the context is open.

    Raises:
        dbus_fast.errors.DBusFastError: If BlueZ refuses.
        OSError: If there is no bus, or BlueZ does not answer in time.
    """
    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        async with asyncio.timeout(_CALL_S):
            await bus.connect()
        bluez = BlueZ(bus, adapter)
        await bluez.register(window)
        yield bluez
    finally:
        bus.disconnect()


def _is_bonded(device: dict[str, Any]) -> bool:
    # BlueZ before 5.65 knows no Bonded; Paired is all it tells then.
    return bool(device.get("Bonded", device.get("Paired")))


def _to_device(path: str, member: str) -> Message:
    return Message(destination=_BLUEZ, path=path, interface=_DEVICE, member=member)


def _to_manager(member: str, signature: str, body: list[Any]) -> Message:
    return Message(
        destination=_BLUEZ,
        path="/org/bluez",
        interface="org.bluez.AgentManager1",
        member=member,
        signature=signature,
        body=body,
    )
