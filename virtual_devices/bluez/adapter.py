"""``org.bluez.Adapter1``: power, discovery by client, and the devices it knows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from bumble.device import Advertisement, Connection
from bumble.hci import Address
from bumble.pairing import PairingConfig
from dbus_fast import DBusError, Variant

from virtual_devices.bluez.agents import Agents
from virtual_devices.bluez.central import Central
from virtual_devices.bluez.device import DeviceObject, Surroundings
from virtual_devices.bluez.errors import error
from virtual_devices.bluez.faults import Faults
from virtual_devices.bluez.objects import DONE, Call, Interface, Objects, Reply

PATH: Final = "/org/bluez/hci0"


class Adapter:
    """The one adapter.

    Args:
        expire_s: How long a device that is neither paired nor connected stays known unheard.
        monotonic: Seconds that only grow.
        start: Runs something beside everything else.
        faults: What is to go wrong.
    """

    def __init__(
        self,
        objects: Objects,
        central: Central,
        agents: Agents,
        *,
        expire_s: float,
        monotonic: Callable[[], float],
        start: Callable[[Coroutine[Any, Any, None]], None],
        faults: Faults,
    ) -> None:
        self._objects = objects
        self._central = central
        self._expire_s = expire_s
        self._monotonic = monotonic
        self._faults = faults
        self._start = start
        self._held: set[str] = set()
        faults.hold = self._hold
        self._around = Surroundings(objects, central, agents, start, monotonic, PATH, faults)
        self._devices: dict[Address, DeviceObject] = {}
        self._discoverers: set[str] = set()
        central.on_advertisement = self._see
        central.on_power = self._on_power
        central.pairing_rules = self._rules
        self.interface = Interface(
            "org.bluez.Adapter1",
            {
                "Address": Variant("s", central.address),
                "AddressType": Variant("s", "random"),
                "Name": Variant("s", "hemvital-virtual"),
                "Alias": Variant("s", "hemvital-virtual"),
                "Powered": Variant("b", False),
                "Discovering": Variant("b", False),
                "Pairable": Variant("b", True),
                "Roles": Variant("as", ["central"]),
                "UUIDs": Variant("as", []),
            },
            {
                "SetDiscoveryFilter": ("a{sv}", self._set_filter),
                "StartDiscovery": ("", self._start_discovery),
                "StopDiscovery": ("", self._stop_discovery),
                "RemoveDevice": ("o", self._remove_device),
            },
            {"Powered": self._set_powered},
        )

    async def load(self) -> None:
        """Show the devices that bonds are kept of."""
        for name, _keys in await self._central.keys.get_all():
            self._add(Address(name), is_bonded=True)

    async def client_gone(self, sender: str) -> None:
        """Drop what a client held that has left the bus."""
        with contextlib.suppress(DBusError):
            await self._leave_discovery(sender)
        for device in list(self._devices.values()):
            await device.client_gone(sender)

    def expire(self) -> None:
        """Remove devices that were not heard for long."""
        limit = self._monotonic() - self._expire_s
        for device in [*self._devices.values()]:
            if device.seen_at < limit and not device.is_kept:
                self._remove(device)

    async def _set_filter(self, _call: Call) -> Reply:
        return DONE  # the air is small: everything is reported, which a filter may not promise

    async def _start_discovery(self, call: Call) -> Reply:
        self._need_power()
        if call.sender in self._discoverers:
            raise error("InProgress", "Operation already in progress")
        if self._faults.is_in_progress("scan"):
            raise error("InProgress", "Operation already in progress")
        await self._central.scan(is_on=True)
        self._discoverers.add(call.sender)
        self._change("Discovering", is_on=True)
        return DONE

    async def _stop_discovery(self, call: Call) -> Reply:
        self._need_power()
        if call.sender not in self._discoverers:
            raise error("Failed", "No discovery started")
        await self._leave_discovery(call.sender)
        return DONE

    async def _leave_discovery(self, sender: str) -> None:
        if sender not in self._discoverers:
            return
        self._discoverers.discard(sender)
        if not self._discoverers:
            self._change("Discovering", is_on=False)
            for device in self._devices.values():
                device.fade()
            await self._central.scan(is_on=False)

    async def _remove_device(self, call: Call) -> Reply:
        for device in self._devices.values():
            if device.path == call.arguments[0]:
                break
        else:
            raise error("DoesNotExist", "Does Not Exist")
        await device.hang_up()
        await self._central.forget(device.address)
        self._remove(device)
        return DONE

    async def _set_powered(self, is_on: bool) -> None:
        if is_on:
            if not self._central.is_on_air:
                raise error("Failed", "Failed")
            return
        self._faults.power_off()
        await self._stop_everything()

    async def _stop_everything(self) -> None:
        for device in list(self._devices.values()):
            await device.hang_up()
        for sender in list(self._discoverers):
            await self._leave_discovery(sender)

    def _need_power(self) -> None:
        if not self.interface.properties["Powered"].value:
            raise error("NotReady", "Resource Not Ready")

    def _on_power(self, is_on: bool) -> None:
        """Follow the air: without it nothing is connected, and nobody discovers any more."""
        if not is_on:
            for device in self._devices.values():
                device.lose()
            self._discoverers.clear()
            self._change("Discovering", is_on=False)
        self._change("Powered", is_on=is_on)

    def _hold(self, address: str) -> None:
        self._held.add(address)

    def _see(self, advertisement: Advertisement) -> None:
        if self._faults.is_deaf:
            return
        device = self._devices.get(advertisement.address)
        is_new = device is None
        if device is None:
            device = self._devices[advertisement.address] = DeviceObject(
                self._around, advertisement.address, is_bonded=False
            )
        device.see(advertisement)
        if is_new:
            self._objects.add(device.path, device.interface)
        if device.address.to_string(False) in self._held:
            self._held.discard(device.address.to_string(False))
            self._start(device.hold())

    def _add(self, address: Address, *, is_bonded: bool) -> None:
        device = DeviceObject(self._around, address, is_bonded=is_bonded)
        self._devices[address] = device
        self._objects.add(device.path, device.interface)

    def _remove(self, device: DeviceObject) -> None:
        self._devices.pop(device.address, None)
        for path in self._objects.under(device.path):
            self._objects.remove(path)
        self._objects.remove(device.path)

    def _rules(self, connection: Connection) -> PairingConfig:
        for device in self._devices.values():
            if device.connection is connection:
                return device.rules()
        raise error("DoesNotExist", "Does Not Exist")

    def _change(self, name: str, *, is_on: bool) -> None:
        if self.interface.properties[name].value != is_on:
            self._objects.change(PATH, self.interface, {name: Variant("b", is_on)})
