"""The radio: listens all the time, and visits a device when it advertises.

Cuffs advertise for seconds after a measurement and sleep again: there is no list of devices to
poll, only an ear that must never close.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from bleak import BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from device_adapters import registry
from device_adapters.contract.configuration import ScanMode
from device_adapters.registry import Adapters
from gateway.ble.agent import PairingWindow
from gateway.ble.bluez import BlueZ, attend
from gateway.ble.failures import RADIO_ERRORS
from gateway.ble.visit import Outcome, Sighting, Visitor
from gateway.observability import Metrics

logger = logging.getLogger(__name__)

_CALL_S: Final = 20.0
_SILENCE_S: Final = 90.0  # nothing heard from anything for so long: the scanner may have died
_RETRY_S: Final = 2.0
_SETTLE_S: Final = 1.0  # changes that BlueZ tells after a disconnect look like advertisements
_STALE_S: Final = 30.0  # a device heard so long ago sleeps again
_LONGEST_COOL_DOWN_S: Final = 300.0
_MOST_VISITS: Final = 8
_MOST_DEVICES: Final = 256
_TICK_S: Final = 0.5  # how late the end of a cool-down may be seen


class CoolDown:
    """How long one device is left alone after a visit.

    A device may advertise on with nothing new to say, or fail again and again: from the second
    such visit on each doubles the pause, so that it cannot drain its battery or crowd the others
    out.
    """

    def __init__(self, shortest_s: float) -> None:
        self._shortest_s = shortest_s
        self._fruitless = 0
        self._given: frozenset[bytes] = frozenset()
        self.until_s = 0.0

    def visited(self, outcome: Outcome, now_s: float) -> None:
        """Note how a visit ended."""
        has_news = bool(outcome.given - self._given)
        self._given = outcome.given or self._given
        self._fruitless = 0 if has_news else self._fruitless + 1
        pause_s = self._shortest_s * 2 ** min(max(self._fruitless - 1, 0), 10)
        self.until_s = now_s + min(pause_s, max(_LONGEST_COOL_DOWN_S, self._shortest_s))


@dataclass(slots=True)
class _Known:
    """What is remembered of a device between its visits."""

    cool_down: CoolDown
    sighting: Sighting | None = None
    seen_s: float = 0.0
    settled_s: float = 0.0
    is_visited: bool = False


class Radio:
    """Hears devices and has them visited.

    Args:
        visitor: Visits one device.
        adapters: The installed ones, by name.
        devices: The only addresses to talk to, upper case; empty for any that an adapter serves.
        window: Which devices may pair.
        cool_down_s: How long a device is left alone after it gave something new.
        may_visit: Whether what a device gives can be kept now; if not, it is left alone.
        adapter: The machine's Bluetooth adapter, ``hci0``; None for BlueZ's default.
        metrics: What happened, counted.
    """

    def __init__(
        self,
        visitor: Visitor,
        adapters: Adapters,
        window: PairingWindow,
        metrics: Metrics,
        *,
        devices: Collection[str],
        cool_down_s: float,
        adapter: str | None,
        may_visit: Callable[[], bool] = lambda: True,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._visitor = visitor
        self._adapters = adapters
        self._window = window
        self._metrics = metrics
        self._devices = frozenset(devices) or None
        self._cool_down_s = cool_down_s
        self._adapter = adapter
        self._may_visit = may_visit
        self._monotonic_s = monotonic_s
        self._known: dict[str, _Known] = {}
        self._heard_s = 0.0
        self._sighted = asyncio.Event()
        self._visits: set[asyncio.Task[None]] = set()
        self.is_listening = False

    def configure(self, devices: Collection[str] | None, scan_mode: ScanMode) -> None:
        """Talk to these devices only, or to any that an adapter serves where None is given."""
        del scan_mode  # active until the radio can be told
        self._devices = None if devices is None else frozenset(devices)

    async def run(self) -> None:
        """Listen and visit until cancelled; a radio that fails is tried again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._visit_all(), name="visits")
            while True:
                try:
                    async with attend(self._window) as bluez:
                        tasks.create_task(bluez.watch_bus(), name="bus")  # ends with the bus
                        await bluez.hang_up(self._is_ours)
                        while not bluez.is_lost:
                            await self._listen(bluez)
                    # Nobody says any more that a device has hung up.
                    for visit in self._visits:
                        visit.cancel()
                except RADIO_ERRORS as error:
                    self._metrics.failures.labels("radio").inc()
                    logger.warning(
                        "radio cannot be used",
                        extra={"reason": f"{type(error).__name__}: {error}"},
                    )
                await asyncio.sleep(_RETRY_S)

    async def _listen(self, bluez: BlueZ) -> None:
        """Listen until nothing was heard for a long time, the adapter is deaf or BlueZ gone."""
        scanner = BleakScanner(
            self._hear,
            scanning_mode="active",
            bluez={"adapter": self._adapter} if self._adapter else {},
        )
        bluez.is_troubled.clear()
        async with asyncio.timeout(_CALL_S):
            await scanner.start()
        self._heard_s = self._monotonic_s()
        self.is_listening = True
        try:
            while (left_s := self._heard_s + _SILENCE_S - self._monotonic_s()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await bluez.is_troubled.wait()
                        return
            logger.info("nothing heard for long: scanner started anew")
        finally:
            self.is_listening = False
            with suppress(*RADIO_ERRORS):
                async with asyncio.timeout(_CALL_S):
                    await scanner.stop()

    def _is_ours(self, address: str, name: str | None, services: Collection[str]) -> bool:
        if self._devices is not None and address not in self._devices:
            return False
        return registry.choose(self._adapters, name, services) is not None

    def _hear(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        now_s = self._heard_s = self._monotonic_s()
        address = device.address.upper()
        if self._devices is not None and address not in self._devices:
            return
        name = advertisement.local_name
        adapter = registry.choose(self._adapters, name, advertisement.service_uuids)
        if adapter is None:
            return
        known = self._known.get(address)
        if known is None:
            self._forget_idle(now_s)
            known = self._known[address] = _Known(CoolDown(self._cool_down_s))
        if known.is_visited or now_s < known.settled_s:
            return
        known.sighting = Sighting(device=device, address=address, name=name, adapter=adapter)
        known.seen_s = now_s
        self._sighted.set()

    def _forget_idle(self, now_s: float) -> None:
        # Random addresses change: what is remembered of them must not grow for ever.
        if len(self._known) >= _MOST_DEVICES:
            self._known = {
                address: known
                for address, known in self._known.items()
                if known.is_visited or known.cool_down.until_s > now_s
            }

    async def _visit_all(self) -> None:
        places = asyncio.Semaphore(_MOST_VISITS)
        async with asyncio.TaskGroup() as visits:
            while True:
                self._sighted.clear()
                for known in list(self._known.values()):
                    if self._is_due(known) and not places.locked():
                        known.is_visited = True
                        await places.acquire()
                        visit = visits.create_task(self._visit(known, places))
                        self._visits.add(visit)
                        visit.add_done_callback(self._visits.discard)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_S):
                        await self._sighted.wait()

    def _is_due(self, known: _Known) -> bool:
        now_s = self._monotonic_s()
        if known.is_visited or known.sighting is None or now_s < known.cool_down.until_s:
            return False
        if not self._may_visit():
            return False
        return now_s - known.seen_s < _STALE_S

    async def _visit(self, known: _Known, places: asyncio.Semaphore) -> None:
        sighting, known.sighting = known.sighting, None
        try:
            if sighting is not None:
                outcome = await self._visitor.visit(sighting)
                known.cool_down.visited(outcome, self._monotonic_s())
        finally:
            known.settled_s = self._monotonic_s() + _SETTLE_S
            known.is_visited = False
            places.release()
