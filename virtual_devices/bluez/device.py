"""``org.bluez.Device1``: what is known of a device, its connection, its bond, its services."""

# Bumble's emitters and GATT client leave parameters untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from bumble import att, core
from bumble.device import Advertisement, Connection
from bumble.gatt_client import Client
from bumble.hci import Address
from bumble.pairing import PairingConfig
from dbus_fast import DBusError, Variant

from virtual_devices.bluez import advertised, gatt, table
from virtual_devices.bluez.agents import Agents, Questions
from virtual_devices.bluez.central import Central
from virtual_devices.bluez.errors import error, is_security, translated
from virtual_devices.bluez.objects import DONE, Call, Interface, Objects, Reply

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MTU: Final = 517  # what bluetoothd asks for
_HANG_UP_WITHIN_S: Final = 2.0
_BATTERY_INTERFACE: Final = "org.bluez.Battery1"


@dataclass(frozen=True, slots=True)
class Link:
    """One connection; ``is_down`` is set when it has ended."""

    connection: Connection
    is_down: asyncio.Event

    @property
    def client(self) -> Client:
        """Return the GATT client on it."""
        return self.connection.gatt_client


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a device needs of the rest of bluetoothd."""

    objects: Objects
    central: Central
    agents: Agents
    start: Callable[[Coroutine[Any, Any, None]], None]
    monotonic: Callable[[], float]
    adapter_path: str


class DeviceObject:
    """One device, from its first advertisement until it is removed."""

    def __init__(self, around: Surroundings, address: Address, *, is_bonded: bool) -> None:
        text = address.to_string(False)
        self.address = address
        self.path = f"{around.adapter_path}/dev_{text.replace(':', '_')}"
        self.seen_at = around.monotonic()
        self._around = around
        self._link: Link | None = None
        self._table: table.Table | None = None
        self._characteristics: list[gatt.CharacteristicObject] = []
        self._owners: set[str] = set()
        self._pairing_for: str | None = None
        self._opening = asyncio.Lock()
        self._securing = asyncio.Lock()
        self.interface = Interface(
            "org.bluez.Device1",
            {
                "Address": Variant("s", text),
                "AddressType": Variant("s", "public" if address.is_public else "random"),
                "Alias": Variant("s", text.replace(":", "-")),
                "Adapter": Variant("o", around.adapter_path),
                "UUIDs": Variant("as", []),
                "Connected": Variant("b", False),
                "ServicesResolved": Variant("b", False),
                "Paired": Variant("b", is_bonded),
                "Bonded": Variant("b", is_bonded),
                "Trusted": Variant("b", False),
                "Blocked": Variant("b", False),
                "LegacyPairing": Variant("b", False),
            },
            {
                "Connect": ("", self._connect),
                "Disconnect": ("", self._disconnect),
                "Pair": ("", self._pair),
            },
            {"Trusted": _accept},
        )

    @property
    def is_kept(self) -> bool:
        """Tell whether the device stays known while it is not heard."""
        return self._link is not None or self._opening.locked() or self._is("Paired")

    @property
    def connection(self) -> Connection | None:
        """Return the connection, if there is one."""
        return self._link.connection if self._link else None

    def see(self, advertisement: Advertisement) -> None:
        """Take in an advertisement; clients hear of each, for its RSSI."""
        self.seen_at = self._around.monotonic()
        changed = {"RSSI": Variant("n", advertisement.rssi)}
        name = advertised.name_in(advertisement)
        if name is not None:
            changed |= {"Name": Variant("s", name), "Alias": Variant("s", name)}
        changed |= self._with_uuids(advertised.services_in(advertisement))
        self._change(changed)

    def fade(self) -> None:
        """Forget the signal strength, because nobody listens any more."""
        self._change({}, invalidated=["RSSI"])

    def rules(self) -> PairingConfig:
        """Return the rules of a pairing with this device."""
        agents, sender = self._around.agents, self._pairing_for
        return Questions(
            agents, agents.choose(sender), self.path, is_requested=sender is not None
        ).rules()

    async def operate(self, operation: Callable[[Client], Awaitable[T]]) -> T:
        """Do something over the link; where the device insists, secure the link and try again.

        Raises:
            DBusError: If there is no link, or the device refuses.
        """
        link = self._link
        if link is None:
            raise error("Failed", "Not connected")
        with translated():
            try:
                return await operation(link.client)
            except att.ATT_Error as failure:
                if not is_security(failure) or link.connection.is_encrypted:
                    raise
            await self._secure_by_itself(link)
            return await operation(link.client)

    async def client_gone(self, sender: str) -> None:
        """Drop what a client held that has left the bus: its subscriptions and its connection."""
        for characteristic in self._characteristics:
            with contextlib.suppress(DBusError):
                await characteristic.client_gone(sender)
        if sender in self._owners:
            self._owners.discard(sender)
            if not self._owners:
                await self.hang_up()

    async def hang_up(self) -> None:
        """End the connection, or give up making one."""
        self._owners.clear()
        await self._around.central.cancel(self.address)
        link = self._link
        if link is not None:
            with contextlib.suppress(core.BaseBumbleError, TimeoutError):
                async with asyncio.timeout(_HANG_UP_WITHIN_S):
                    await link.connection.disconnect()

    def lose(self) -> None:
        """Count the connection as ended, because the air is gone."""
        if self._link is not None:
            self._on_end(self._link)

    async def _connect(self, call: Call) -> Reply:
        self._owners.add(call.sender)
        await self._open()
        return DONE

    async def _disconnect(self, _call: Call) -> Reply:
        await self.hang_up()
        return DONE

    async def _pair(self, call: Call) -> Reply:
        if self._is("Paired"):
            raise error("AlreadyExists", "Already Exists")
        self._owners.add(call.sender)
        await self._open()
        link = self._link
        try:
            if link is None:
                raise error("Failed", "Not connected")
            await self._secure(link, sender=call.sender)
        except DBusError as failure:
            await self.hang_up()
            raise error("AuthenticationFailed", "Authentication Failed") from failure
        return DONE

    async def _open(self) -> None:
        async with self._opening:
            if self._link is not None:
                return
            connection = await self._around.central.connect(
                self.address, is_wanted=lambda: bool(self._owners)
            )
            if not self._around.central.is_up(connection):
                raise error("Failed", "le-connection-abort-by-local")
            link = self._link = Link(connection, asyncio.Event())
            connection.on(connection.EVENT_DISCONNECTION, partial(self._on_end, link))
            self._change({"Connected": Variant("b", True)})
            if not self._owners:  # given up at the very moment it came about
                await self.hang_up()
                raise error("Failed", "le-connection-abort-by-local")
            if self._is("Paired"):
                try:
                    await self._secure(link, sender=None)
                except DBusError:
                    await self.hang_up()
                    raise
            self._around.start(self._resolve(link))

    async def _resolve(self, link: Link) -> None:
        """Find out what the device serves, and show it; hang up if that fails."""
        try:
            with translated():
                mtu = await link.client.request_mtu(_MTU)
                if self._table is None:
                    self._export(await table.discover(link.client))
                for characteristic in self._characteristics:
                    characteristic.link_up(mtu)
                await self._show_battery(link.client)
        except DBusError as failure:
            logger.info("services not resolved", extra={"reason": failure.text})
            await self.hang_up()
            return
        if self._link is link:
            self._change({"ServicesResolved": Variant("b", True)})

    def _export(self, found: table.Table) -> None:
        self._table = found
        for service in found:
            if service.uuid not in gatt.CLAIMED:
                self._characteristics += gatt.export(self._around.objects, self, service)
        self._change(self._with_uuids(service.uuid for service in found))

    async def _show_battery(self, client: Client) -> None:
        for service in self._table or ():
            for each in service.characteristics:
                if service.uuid == gatt.BATTERY and each.uuid == gatt.BATTERY_LEVEL:
                    value = await client.read_value(each.handle)
                    percentage = {"Percentage": Variant("y", value[0])}
                    self._around.objects.add(self.path, Interface(_BATTERY_INTERFACE, percentage))

    async def _secure_by_itself(self, link: Link) -> None:
        if not self._is("Paired") and self._around.agents.choose(None) is None:
            # With nobody to ask, bluetoothd lets the operation wait for as long as the link lasts.
            await link.is_down.wait()
            raise error("Failed", "Not connected")
        with contextlib.suppress(DBusError):
            await self._secure(link, sender=None)

    async def _secure(self, link: Link, *, sender: str | None) -> None:
        """Encrypt the link with the bond, or make one; ``sender`` is who asked for it.

        Raises:
            DBusError: If either side refuses.
        """
        async with self._securing:
            if link.connection.is_encrypted:
                return
            with translated():
                if self._is("Paired"):
                    await link.connection.encrypt()
                    return
                self._pairing_for = sender
                try:
                    await link.connection.pair()
                finally:
                    self._pairing_for = None
            self._change({"Paired": Variant("b", True), "Bonded": Variant("b", True)})

    def _on_end(self, link: Link, _reason: int = 0) -> None:
        link.is_down.set()
        if self._link is not link:
            return
        self._link = None
        self._owners.clear()
        self.seen_at = self._around.monotonic()
        for characteristic in self._characteristics:
            characteristic.link_down()
        self._around.objects.remove(self.path, [_BATTERY_INTERFACE])
        self._change({"ServicesResolved": Variant("b", False), "Connected": Variant("b", False)})

    def _with_uuids(self, found: Iterable[str]) -> dict[str, Variant]:
        known: list[str] = self.interface.properties["UUIDs"].value
        new = [uuid for uuid in found if uuid not in known]
        return {"UUIDs": Variant("as", known + new)} if new else {}

    def _change(self, changed: dict[str, Variant], invalidated: list[str] | None = None) -> None:
        self._around.objects.change(self.path, self.interface, changed, invalidated or ())

    def _is(self, name: str) -> bool:
        return bool(self.interface.properties[name].value)


async def _accept(_value: object) -> None:
    return
