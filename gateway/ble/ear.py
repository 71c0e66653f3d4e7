"""The ear: bleak's scanner, started and stopped with a deadline, actively or passively."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from bleak import BleakScanner
from bleak.args.bluez import BlueZScannerArgs, OrPattern
from bleak.assigned_numbers import AdvertisementDataType
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from bleak_retry_connector.bluez import stop_discovery

from device_adapters.contract.configuration import ScanMode
from gateway.ble.failures import RADIO_ERRORS

logger = logging.getLogger(__name__)

_CALL_S: Final = 20.0
# BlueZ's monitors want a pattern: every value of the flags that a device may begin with, which
# a device that can be connected to must send (Core Specification Supplement, Part A, 1.3).
_ANYTHING: Final = [
    OrPattern(0, AdvertisementDataType.FLAGS, bytes([flags])) for flags in range(0x20)
]


class Ear:
    """Listens for advertisements.

    Args:
        adapter: The machine's adapter, ``hci0``; None for BlueZ's default.
        hear: Called with each advertisement.
    """

    def __init__(
        self, adapter: str | None, hear: Callable[[BLEDevice, AdvertisementData], None]
    ) -> None:
        self._adapter = adapter
        self._hear = hear
        self.mode = ScanMode.ACTIVE

    @asynccontextmanager
    async def listening(self, mode: ScanMode) -> AsyncGenerator[None]:
        """Listen while the context is open; actively where BlueZ cannot do so passively."""
        try:
            scanner = await self._started(mode)
        except BleakError as error:
            if mode is not ScanMode.PASSIVE:
                raise
            logger.warning("passive scan is not possible here", extra={"reason": str(error)})
            scanner = await self._started(ScanMode.ACTIVE)
        try:
            yield
        finally:
            with suppress(*RADIO_ERRORS):
                async with asyncio.timeout(_CALL_S):
                    await scanner.stop()

    async def clear(self) -> None:
        """Have BlueZ end a discovery of ours that it may still hold."""
        with suppress(*RADIO_ERRORS):
            async with asyncio.timeout(_CALL_S):
                await stop_discovery(self._adapter or "hci0")

    async def _started(self, mode: ScanMode) -> BleakScanner:
        arguments: BlueZScannerArgs = {}
        if self._adapter is not None:
            arguments["adapter"] = self._adapter
        if mode is ScanMode.PASSIVE:
            arguments["or_patterns"] = list(_ANYTHING)
        scanner = BleakScanner(self._hear, scanning_mode=mode.value, bluez=arguments)
        async with asyncio.timeout(_CALL_S):
            await scanner.start()
        self.mode = mode
        return scanner
