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

from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from device_adapters import registry
from device_adapters.contract.configuration import ScanMode
from device_adapters.contract.standing import Problem
from device_adapters.registry import Adapters
from gateway.ble.bluez import BlueZ, attend
from gateway.ble.ear import Ear
from gateway.ble.failures import RADIO_ERRORS
from gateway.ble.ladder import Rung, SilenceLadder, StartLadder, classify
from gateway.ble.rounds import Rounds
from gateway.ble.visit import Sighting, Visitor
from gateway.ble.window import PairingWindow
from gateway.observability import Metrics
from gateway.reporting import Reports
from gateway.store.devices import DeviceBook

logger = logging.getLogger(__name__)

_LOOK_AGAIN_S: Final = 5.0
_LONGEST_VISIT_S: Final = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the radio waits before it tries something else."""

    silence_s: float = 90.0  # nothing heard from anything: the scanner may have died
    retry_s: float = 2.0


class Radio:
    """Hears devices, has them visited, and gets itself out of what it is stuck in.

    Args:
        visitor: Visits one device.
        adapters: The installed ones, by name.
        window: Whether devices may pair.
        metrics: What happened, counted.
        reports: Hears what is wrong with the radio or a device.
        book: What is known of each device.
        devices: The only addresses to talk to, upper case; empty for any that an adapter serves.
        cool_down_s: How long a device is left alone after it gave something new.
        adapter: The machine's Bluetooth adapter, ``hci0``; None for BlueZ's default.
        may_visit: Whether devices may be connected to: not while nothing can be kept.
    """

    def __init__(
        self,
        visitor: Visitor,
        adapters: Adapters,
        window: PairingWindow,
        metrics: Metrics,
        *,
        reports: Reports,
        book: DeviceBook,
        devices: Collection[str],
        cool_down_s: float,
        adapter: str | None,
        may_visit: Callable[[], bool] = lambda: True,
        patience: Patience | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        patience = patience or Patience()
        self._adapters = adapters
        self._window = window
        self._metrics = metrics
        self._reports = reports
        self._book = book
        self._devices = frozenset(devices) or None
        self._adapter = adapter
        self._monotonic_s = monotonic_s
        self._rounds = Rounds(
            visitor,
            window,
            reports,
            book,
            cool_down_s=cool_down_s,
            may_visit=may_visit,
            monotonic_s=monotonic_s,
            ask_for=self._ask_for,
        )
        self._ear = Ear(adapter, self._hear)
        self._starts = StartLadder(shortest_s=patience.retry_s)
        self._silence = SilenceLadder(patience_s=patience.silence_s, now_s=monotonic_s())
        self._scan_mode = ScanMode.ACTIVE
        self._wanted: Rung | None = None
        self._parting: set[str] = set()
        self._is_deaf = False
        self._bluez: BlueZ | None = None
        self.is_listening = False

    @property
    def scan_mode(self) -> ScanMode:
        """Return how the radio really listens: BlueZ may not be able to do so passively."""
        return self._ear.mode

    def configure(self, devices: Collection[str] | None, scan_mode: ScanMode) -> None:
        """Talk to these devices only, or to any that an adapter serves where None is given.

        At once. Whoever is not among them any more is hung up on, and BlueZ forgets its bond.
        """
        known = self._rounds.addresses | {each.id for each in self._book.standings()}
        before = known | (self._devices or frozenset[str]())
        self._devices = None if devices is None else frozenset(devices)
        removed = before - (before if self._devices is None else self._devices)
        for address in removed:
            self._rounds.drop(address)
            self._book.forget(address)
            for problem in (Problem.DEVICE_REFUSED, Problem.BATTERY_LOW):
                self._reports.end(problem, device_id=address)
        self._parting = (
            set() if self._devices is None else (self._parting | removed) - self._devices
        )
        if removed or scan_mode is not self._scan_mode:
            self._scan_mode = scan_mode
            self._interrupt()

    async def run(self) -> None:
        """Listen and visit until cancelled; a radio that fails is tried again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._rounds.run(), name="visits")
            while True:
                try:
                    async with attend(self._window, self._adapter) as bluez:
                        tasks.create_task(bluez.watch_bus(), name="bus")  # ends with the bus
                        await bluez.hang_up(self._is_ours)
                        await self._listen_on(bluez)
                except RADIO_ERRORS as error:
                    self._fail(error)
                finally:
                    self._bluez = self._rounds.bluez = None
                    self._rounds.cancel_all()  # nobody says any more that a device has hung up
                await asyncio.sleep(self._starts.pause_s)

    async def _listen_on(self, bluez: BlueZ) -> None:
        """Listen until BlueZ or the bus is gone."""
        self._bluez = self._rounds.bluez = bluez
        while not bluez.is_lost:
            try:
                bluez.is_troubled.clear()
                await self._part(bluez)
                await self._listen(bluez)
                await self._carry_out(self._take_wanted(), bluez)
            except RADIO_ERRORS as error:
                if bluez.is_lost:
                    raise
                rung = self._fail(error)
                with suppress(*RADIO_ERRORS):
                    await self._carry_out(rung, bluez)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._starts.pause_s):
                        await bluez.is_gone.wait()

    async def _listen(self, bluez: BlueZ) -> None:
        """Listen until the adapter is troubled, or nothing was heard for too long."""
        async with self._ear.listening(self._scan_mode):
            self._started()
            try:
                while (left_s := self._silence.due_s - self._monotonic_s()) > 0:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(left_s):
                            await bluez.is_troubled.wait()
                            return
                    if self._rounds.is_busy:  # a connection keeps the controller from listening
                        await asyncio.sleep(_LOOK_AGAIN_S)
                        self._silence.started(self._monotonic_s())
                self._wanted = self._silence.climb(self._monotonic_s())
            finally:
                self.is_listening = False
        logger.warning("nothing heard for long", extra={"next": self._wanted.value})
        if self._silence.is_exhausted:
            self._deafen("nothing is heard, though the adapter was switched off and on")

    def _started(self) -> None:
        self._starts.reset()
        self._silence.started(self._monotonic_s())
        self.is_listening = True
        if not self._silence.is_exhausted:
            self._is_deaf = False
            self._reports.end(Problem.RADIO_DEAF)

    def _fail(self, error: BaseException) -> Rung:
        trouble = classify(error)
        rung = self._starts.climb(trouble)
        self._metrics.failures.labels("radio").inc()
        logger.warning(
            "radio cannot be used",
            extra={"reason": f"{type(error).__name__}: {error}", "next": rung.value},
        )
        if self._starts.is_exhausted:
            self._deafen(trouble.value)
        return rung

    def _deafen(self, detail: str) -> None:
        self._is_deaf = True
        self._reports.begin(Problem.RADIO_DEAF, detail=detail)

    async def _carry_out(self, rung: Rung | None, bluez: BlueZ) -> None:
        if rung is Rung.POWER_CYCLE:
            async with self._rounds.paused(within_s=_LONGEST_VISIT_S):
                await bluez.power_cycle()
            self._rounds.forgive()  # it may have been the adapter that failed them
        elif rung is Rung.RESTART_SCANNER:
            await self._ear.clear()

    async def _part(self, bluez: BlueZ) -> None:
        for address in sorted(self._parting):
            try:
                await bluez.disconnect(address)
                if address not in self._parting:
                    continue  # it was taken up again meanwhile
                await bluez.remove(address, with_bond=True)
            except RADIO_ERRORS as error:
                # Tried again in the next round: the others' devices are listened to meanwhile.
                logger.warning("not forgotten", extra={"device": address, "reason": f"{error}"})
                continue
            self._parting.discard(address)

    def _ask_for(self, rung: Rung) -> None:
        """Have the whole radio do something that one device's ladder came to."""
        self._wanted = rung
        self._interrupt()

    def _take_wanted(self) -> Rung | None:
        wanted, self._wanted = self._wanted, None
        return wanted

    def _interrupt(self) -> None:
        if self._bluez is not None:
            self._bluez.is_troubled.set()

    def _is_ours(self, address: str, name: str | None, services: Collection[str]) -> bool:
        if self._devices is not None and address not in self._devices:
            return False
        return registry.choose(self._adapters, name, services) is not None

    def _hear(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        self._silence.heard(self._monotonic_s())
        if self._is_deaf:
            self._is_deaf = False
            self._reports.end(Problem.RADIO_DEAF)
        address = device.address.upper()
        if self._devices is not None and address not in self._devices:
            return
        name = advertisement.local_name
        adapter = registry.choose(self._adapters, name, advertisement.service_uuids)
        if adapter is not None:
            self._rounds.sight(
                Sighting(device=device, address=address, name=name, adapter=adapter)
            )
