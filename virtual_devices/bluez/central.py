"""bluetoothd's hands: the host on the air, one connection attempt at a time, and the bonds."""

# Bumble's device leaves parameters untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bumble import core
from bumble.device import Advertisement, Connection, Device
from bumble.hci import Address
from bumble.keys import KeyStore
from bumble.pairing import PairingConfig
from dbus_fast import DBusError

from virtual_devices import host
from virtual_devices.bluez.errors import error, translated

logger = logging.getLogger(__name__)

# The kernel's HCI_LE_CONN_TIMEOUT.
_CONNECT_WITHIN_S: Final = 20.0
_POWER_ON_WITHIN_S: Final = 10.0


class Central:
    """A Bumble host that comes and goes with the air.

    Args:
        address: The adapter's own.
        keys: Where bonds are kept.
    """

    def __init__(self, address: str, *, keys: KeyStore) -> None:
        self.address = address
        self.keys = keys
        self.is_ready = asyncio.Event()
        self.on_advertisement: Callable[[Advertisement], None] = _ignore
        self.on_power: Callable[[bool], None] = _ignore
        self.pairing_rules: Callable[[Connection], PairingConfig] = lambda _: PairingConfig()
        self._device: Device | None = None
        self._attempts = asyncio.Lock()
        self._attempted: Address | None = None

    async def run(self, air: Path) -> None:
        """Stay on the air for ever, attaching again when it is lost."""
        config = host.configuration(self.address, "hemvital-virtual")
        attempt = 0
        while True:
            try:
                async with host.attached(air, config, self.keys) as attachment:
                    await self._power_on(attachment.device)
                    attempt = 0
                    await attachment.lost
            except (OSError, core.BaseBumbleError) as failure:
                logger.info("off the air", extra={"reason": repr(failure)})
            if self._device is not None:
                self._device = None
                self.on_power(False)
            await host.pause(attempt)
            attempt += 1

    @property
    def is_on_air(self) -> bool:
        """Tell whether the host is attached and powered on."""
        return self._device is not None

    async def scan(self, *, is_on: bool) -> None:
        """Start or stop scanning.

        Raises:
            DBusError: If there is no air.
        """
        device = self._powered()
        with translated():
            if is_on and not device.scanning:
                await device.start_scanning(legacy=True)
            elif not is_on and device.scanning:
                await device.stop_scanning(legacy=True)

    async def connect(self, address: Address, *, is_wanted: Callable[[], bool]) -> Connection:
        """Connect, once it is this attempt's turn and if it is still wanted then.

        Raises:
            DBusError: If it is not, if there is no air, or if the device does not answer.
        """
        async with self._attempts:  # a controller has room for one pending connection
            device = self._powered()
            if not is_wanted():
                raise error("Failed", "le-connection-abort-by-local")
            self._attempted = address
            connecting = asyncio.create_task(device.connect(address, timeout=None))
            done, _ = await asyncio.wait({connecting}, timeout=_CONNECT_WITHIN_S)
            if not done:
                await self.cancel(address)
            try:
                with translated():
                    return await connecting
            except DBusError as failure:
                text = "le-connection-abort-by-local" if done else "Operation timed out"
                raise error("Failed", text) from failure
            finally:
                self._attempted = None

    async def cancel(self, address: Address) -> None:
        """Give up connecting to a device, if that is what goes on."""
        if self._device is not None and self._attempted == address:
            with contextlib.suppress(core.BaseBumbleError):
                await self._device.cancel_connection()

    def is_up(self, connection: Connection) -> bool:
        """Tell whether a connection has not ended: its end may come before anybody listens."""
        device = self._device
        return device is not None and device.connections.get(connection.handle) is connection

    async def is_bonded(self, address: Address) -> bool:
        """Tell whether keys of a device are kept."""
        return await self.keys.get(str(address)) is not None

    async def forget(self, address: Address) -> None:
        """Delete a device's keys."""
        with contextlib.suppress(KeyError):
            await self.keys.delete(str(address))

    def _powered(self) -> Device:
        if self._device is None:
            raise error("NotReady", "Resource Not Ready")
        return self._device

    async def _power_on(self, device: Device) -> None:
        device.pairing_config_factory = self.pairing_rules
        device.on(device.EVENT_ADVERTISEMENT, self.on_advertisement)
        async with asyncio.timeout(_POWER_ON_WITHIN_S):
            await device.power_on()
        self._device = device
        self.is_ready.set()
        self.on_power(True)


def _ignore(_: object) -> None:
    return
