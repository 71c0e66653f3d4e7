"""``org.bluez.GattService1``, ``GattCharacteristic1`` and ``GattDescriptor1`` of one device."""

# Bumble's GATT client leaves its attributes' values untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from bumble.gatt import Characteristic
from bumble.gatt_client import Client
from dbus_fast import Variant

from virtual_devices.bluez.errors import error
from virtual_devices.bluez.objects import DONE, Call, Interface, Objects, Reply
from virtual_devices.bluez.table import (
    CharacteristicEntry,
    DescriptorEntry,
    ServiceEntry,
)

T = TypeVar("T")

_GAP: Final = "00001800-0000-1000-8000-00805f9b34fb"
_GATT: Final = "00001801-0000-1000-8000-00805f9b34fb"
BATTERY: Final = "0000180f-0000-1000-8000-00805f9b34fb"
BATTERY_LEVEL: Final = "00002a19-0000-1000-8000-00805f9b34fb"
_CCCD: Final = "00002902-0000-1000-8000-00805f9b34fb"
# bluetoothd 5.66 keeps these for itself.
CLAIMED: Final = frozenset({_GAP, _GATT, BATTERY})

_NOTIFICATIONS, _INDICATIONS, _NOTHING = b"\x01\x00", b"\x02\x00", b"\x00\x00"
_FLAGS: Final = {
    Characteristic.Properties.BROADCAST: "broadcast",
    Characteristic.Properties.READ: "read",
    Characteristic.Properties.WRITE_WITHOUT_RESPONSE: "write-without-response",
    Characteristic.Properties.WRITE: "write",
    Characteristic.Properties.NOTIFY: "notify",
    Characteristic.Properties.INDICATE: "indicate",
    Characteristic.Properties.AUTHENTICATED_SIGNED_WRITES: "authenticated-signed-writes",
    Characteristic.Properties.EXTENDED_PROPERTIES: "extended-properties",
}


class Operator(Protocol):
    """The device, as far as its characteristics need it."""

    @property
    def path(self) -> str:
        """Return the device's object path."""
        ...

    async def operate(self, operation: Callable[[Client], Awaitable[T]]) -> T:
        """Do something over the link, pairing by itself where the device insists."""
        ...


class CharacteristicObject:
    """One characteristic; its value travels on once the device has its confirmation."""

    def __init__(
        self, objects: Objects, device: Operator, service_path: str, entry: CharacteristicEntry
    ) -> None:
        # BlueZ numbers the declaration, which stands before the value.
        self.path = f"{service_path}/char{entry.handle - 1:04x}"
        self._objects = objects
        self._device = device
        self._entry = entry
        self._listeners: set[str] = set()
        self.interface = Interface(
            "org.bluez.GattCharacteristic1",
            {
                "UUID": Variant("s", entry.uuid),
                "Service": Variant("o", service_path),
                "Value": Variant("ay", b""),
                "Notifying": Variant("b", False),
                "Flags": Variant(
                    "as", [flag for bit, flag in _FLAGS.items() if bit & entry.properties]
                ),
                "MTU": Variant("q", 23),
            },
            {
                "ReadValue": ("a{sv}", self._read),
                "WriteValue": ("aya{sv}", self._write),
                "StartNotify": ("", self._start_notify),
                "StopNotify": ("", self._stop_notify),
            },
        )

    async def client_gone(self, sender: str) -> None:
        """Stop listening for a client that has left the bus."""
        if sender in self._listeners:
            await self._remove_listener(sender)

    def link_up(self, mtu: int) -> None:
        """Take note of a new connection's MTU."""
        self._objects.change(self.path, self.interface, {"MTU": Variant("q", mtu)})

    def link_down(self) -> None:
        """Forget who listened: the device has forgotten it too."""
        if self._listeners:
            self._listeners.clear()
            self._objects.change(self.path, self.interface, {"Notifying": Variant("b", False)})

    async def _read(self, _call: Call) -> Reply:
        value = await self._device.operate(lambda client: client.read_value(self._entry.handle))
        self._show(value)  # bluetoothd shows listeners what was read, too
        return "ay", [value]

    async def _write(self, call: Call) -> Reply:
        value, options = call.arguments
        is_command = "type" in options and options["type"].value == "command"
        await self._device.operate(
            lambda client: client.write_value(
                self._entry.handle, bytes(value), with_response=not is_command
            )
        )
        return DONE

    async def _start_notify(self, call: Call) -> Reply:
        if call.sender in self._listeners:
            raise error("InProgress", "Operation already in progress")
        if not self._listeners:
            await self._device.operate(self._subscribe)
        self._listeners.add(call.sender)
        self._objects.change(self.path, self.interface, {"Notifying": Variant("b", True)})
        return DONE

    async def _stop_notify(self, call: Call) -> Reply:
        if call.sender not in self._listeners:
            raise error("Failed", "No notify session started")
        await self._remove_listener(call.sender)
        return DONE

    async def _remove_listener(self, sender: str) -> None:
        self._listeners.discard(sender)
        if not self._listeners:
            self._objects.change(self.path, self.interface, {"Notifying": Variant("b", False)})
            await self._device.operate(self._unsubscribe)

    async def _subscribe(self, client: Client) -> None:
        if self._entry.properties & Characteristic.Properties.NOTIFY:
            bits, callbacks = _NOTIFICATIONS, client.notification_subscribers
        elif self._entry.properties & Characteristic.Properties.INDICATE:
            bits, callbacks = _INDICATIONS, client.indication_subscribers
        else:
            raise error("NotSupported", "Operation is not supported")
        # Before the write: the first value may come with its response.
        callbacks[self._entry.handle] = {self._on_value}
        await client.write_value(self._cccd(), bits, with_response=True)

    async def _unsubscribe(self, client: Client) -> None:
        await client.write_value(self._cccd(), _NOTHING, with_response=True)

    def _cccd(self) -> int:
        for descriptor in self._entry.descriptors:
            if descriptor.uuid == _CCCD:
                return descriptor.handle
        raise error("NotSupported", "Operation is not supported")

    def _on_value(self, value: bytes) -> None:
        # Bumble confirms an indication when this returns; bluetoothd confirms before it tells.
        asyncio.get_running_loop().call_soon(self._show, value)

    def _show(self, value: bytes) -> None:
        self._objects.change(self.path, self.interface, {"Value": Variant("ay", value)})


class DescriptorObject:
    """One descriptor."""

    def __init__(self, device: Operator, characteristic_path: str, entry: DescriptorEntry) -> None:
        self.path = f"{characteristic_path}/desc{entry.handle:04x}"
        self._device = device
        self._entry = entry
        self.interface = Interface(
            "org.bluez.GattDescriptor1",
            {
                "UUID": Variant("s", entry.uuid),
                "Characteristic": Variant("o", characteristic_path),
                "Value": Variant("ay", b""),
            },
            {"ReadValue": ("a{sv}", self._read), "WriteValue": ("aya{sv}", self._write)},
        )

    async def _read(self, _call: Call) -> Reply:
        value = await self._device.operate(lambda client: client.read_value(self._entry.handle))
        return "ay", [value]

    async def _write(self, call: Call) -> Reply:
        if self._entry.uuid == _CCCD:
            raise error("NotPermitted", "Write not permitted")  # StartNotify is the way
        value = bytes(call.arguments[0])
        await self._device.operate(
            lambda client: client.write_value(self._entry.handle, value, with_response=True)
        )
        return DONE


def export(objects: Objects, device: Operator, entry: ServiceEntry) -> list[CharacteristicObject]:
    """Add a service and all below it; return its characteristics."""
    path = f"{device.path}/service{entry.handle:04x}"
    properties = {
        "UUID": Variant("s", entry.uuid),
        "Device": Variant("o", device.path),
        "Primary": Variant("b", True),
        "Includes": Variant("ao", []),
    }
    objects.add(path, Interface("org.bluez.GattService1", properties))
    characteristics: list[CharacteristicObject] = []
    for each in entry.characteristics:
        characteristic = CharacteristicObject(objects, device, path, each)
        objects.add(characteristic.path, characteristic.interface)
        characteristics.append(characteristic)
        for below in each.descriptors:
            descriptor = DescriptorObject(device, characteristic.path, below)
            objects.add(descriptor.path, descriptor.interface)
    return characteristics
