"""The rounds: which of the devices that advertise is visited when, and what follows from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from device_adapters.contract.standing import Happening, Problem
from gateway.ble.bluez import BlueZ
from gateway.ble.breaker import Breaker
from gateway.ble.failures import RADIO_ERRORS
from gateway.ble.ladder import ConnectLadder, Rung, Trouble
from gateway.ble.outcome import Outcome
from gateway.ble.visit import Sighting, Visitor
from gateway.ble.window import PairingWindow
from gateway.reporting import Reports
from gateway.store.devices import DeviceBook

logger = logging.getLogger(__name__)

_SETTLE_S: Final = 1.0  # changes that BlueZ tells after a disconnect look like advertisements
_STALE_S: Final = 30.0  # a device heard so long ago sleeps again
_MOST_VISITS: Final = 8
_MOST_DEVICES: Final = 256
_TICK_S: Final = 0.5  # how late the end of a pause, or a request for a window, may be seen
_WIDE: Final = frozenset({Rung.RESTART_SCANNER, Rung.POWER_CYCLE})
_BOND: Final = frozenset({Trouble.BOND_LOST, Trouble.BOND_DOUBTED})
_CUT: Final = frozenset({Trouble.HUNG_UP, Trouble.ABORTED, Trouble.UNRESOLVED})
_UNBONDED: Final = frozenset({Trouble.NOT_PAIRED, Trouble.BOND_LOST})


@dataclass(slots=True)
class _Known:
    """What is remembered of a device between its visits."""

    breaker: Breaker
    ladder: ConnectLadder = field(default_factory=ConnectLadder)
    sighting: Sighting | None = None
    seen_s: float = 0.0
    settled_s: float = 0.0
    visit: asyncio.Task[None] | None = None


class Rounds:
    """Has devices visited, several at a time.

    Args:
        visitor: Visits one device.
        window: Whether devices may pair.
        reports: Hears of devices that do not let us in.
        book: What is known of each device.
        cool_down_s: How long a device is left alone after it gave something new.
        may_visit: Whether devices may be connected to at all.
        monotonic_s: The clock of pauses.
        ask_for: Takes a rung that concerns the whole radio.
    """

    def __init__(
        self,
        visitor: Visitor,
        window: PairingWindow,
        reports: Reports,
        book: DeviceBook,
        *,
        cool_down_s: float,
        may_visit: Callable[[], bool],
        monotonic_s: Callable[[], float],
        ask_for: Callable[[Rung], None],
    ) -> None:
        self._visitor = visitor
        self._window = window
        self._reports = reports
        self._book = book
        self._cool_down_s = cool_down_s
        self._may_visit = may_visit
        self._monotonic_s = monotonic_s
        self._ask_for = ask_for
        self._known: dict[str, _Known] = {}
        self._sighted = asyncio.Event()
        self._is_paused = False
        self._openings = 0
        self._attended_s = 0.0
        self.bluez: BlueZ | None = None

    @property
    def is_busy(self) -> bool:
        """Tell whether a device is being visited."""
        return any(known.visit for known in self._known.values())

    @property
    def addresses(self) -> frozenset[str]:
        """Return the devices that were heard lately."""
        return frozenset(self._known)

    def sight(self, sighting: Sighting) -> None:
        """Note that a device advertised."""
        now_s = self._monotonic_s()
        self._book.heard(sighting.address, sighting.adapter)
        known = self._known.get(sighting.address)
        if known is None:
            self._forget_idle(now_s)
            known = self._known[sighting.address] = _Known(Breaker(self._cool_down_s))
        if known.visit is None and now_s >= known.settled_s:
            known.sighting, known.seen_s = sighting, now_s
            self._sighted.set()

    def drop(self, address: str) -> None:
        """Leave a device alone from now on, and end its visit."""
        known = self._known.pop(address, None)
        if known is not None and known.visit is not None:
            known.visit.cancel()

    def cancel_all(self) -> None:
        """End all visits."""
        for known in self._known.values():
            if known.visit is not None:
                known.visit.cancel()

    def forgive(self) -> None:
        """Let every device be visited at once, whatever went wrong with it."""
        for known in self._known.values():
            known.breaker.reset()

    @asynccontextmanager
    async def paused(self, *, within_s: float) -> AsyncGenerator[None]:
        """Begin no visit while the context is open, which it is once the others have ended."""
        self._is_paused = True
        try:
            visits = [known.visit for known in self._known.values() if known.visit]
            if visits:
                await asyncio.wait(visits, timeout=within_s)
            yield
        finally:
            self._is_paused = False

    async def run(self) -> None:
        """Visit whoever advertises, until cancelled."""
        places = asyncio.Semaphore(_MOST_VISITS)
        async with asyncio.TaskGroup() as visits:
            while True:
                self._sighted.clear()
                self._attend_window()
                for known in list(self._known.values()):
                    if self._is_due(known) and not places.locked():
                        await places.acquire()
                        known.visit = visits.create_task(self._visit(known, places))
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_S):
                        await self._sighted.wait()

    def _attend_window(self) -> None:
        now_s = self._monotonic_s()
        if now_s < self._attended_s + _TICK_S:
            return  # each advertisement comes by here
        self._attended_s = now_s
        self._window.tick()
        if self._openings != self._window.openings:
            self._openings = self._window.openings
            self.forgive()  # a person stands beside them

    def _is_due(self, known: _Known) -> bool:
        now_s = self._monotonic_s()
        if known.visit or known.sighting is None or now_s < known.breaker.until_s:
            return False
        is_fresh = now_s - known.seen_s < _STALE_S
        return is_fresh and self.bluez is not None and not self._is_paused and self._may_visit()

    def _forget_idle(self, now_s: float) -> None:
        # Random addresses change: what is remembered of them must not grow for ever.
        if len(self._known) >= _MOST_DEVICES:
            self._known = {
                address: known
                for address, known in self._known.items()
                if known.visit or known.breaker.until_s > now_s
            }

    async def _visit(self, known: _Known, places: asyncio.Semaphore) -> None:
        sighting, known.sighting = known.sighting, None
        bluez = self.bluez
        try:
            if sighting is not None and bluez is not None:
                outcome = await self._visitor.visit(sighting, bluez)
                await self._conclude(sighting.address, known, outcome, bluez)
        finally:
            known.settled_s = self._monotonic_s() + _SETTLE_S
            known.visit = None
            places.release()

    async def _conclude(self, address: str, known: _Known, outcome: Outcome, bluez: BlueZ) -> None:
        """Tell how a visit ended, and do what may help the next one."""
        if outcome.is_our_fault:
            return  # nothing is learnt of the device
        has_news = known.breaker.visited(outcome, self._monotonic_s())
        if outcome.problem is None or has_news:
            self._book.visited(address, has_given=has_news)
        try:
            is_bonded = await self._note_pairing(address, outcome, bluez)
            if outcome.trouble is None:
                known.ladder.reset()
                self._reports.end(Problem.DEVICE_REFUSED, device_id=address)
                return
            trouble = self._judged(address, known, outcome, is_bonded=is_bonded)
            if known.breaker.is_worth_reporting:
                self._reports.begin(
                    Problem.DEVICE_REFUSED, device_id=address, detail=trouble.value
                )
            if is_bonded and self._window.is_open and trouble in _BOND:
                await bluez.remove(address, with_bond=True)
                known.breaker.reset()
                return
            await self._climb(known.ladder.climb(trouble), address, bluez)
        except RADIO_ERRORS as error:
            logger.warning("could not mend", extra={"device": address, "reason": f"{error}"})

    async def _note_pairing(self, address: str, outcome: Outcome, bluez: BlueZ) -> bool:
        is_admitted = self._window.take_admitted(address)
        if not is_admitted and outcome.trouble is None:
            return False  # nobody asks
        is_bonded = await bluez.is_bonded(address)
        if is_admitted and is_bonded:
            logger.info("paired", extra={"device": address})
            self._reports.note(Happening.PAIRED, device_id=address)
        return is_bonded

    def _judged(
        self, address: str, known: _Known, outcome: Outcome, *, is_bonded: bool
    ) -> Trouble:
        """Return what the trouble is, by what else is known of the device."""
        trouble = outcome.trouble or Trouble.CONVERSATION
        if self._window.take_refused(address):
            return Trouble.PAIRING_REFUSED
        if trouble in _UNBONDED:
            return Trouble.BOND_LOST if is_bonded else Trouble.NOT_PAIRED
        # bluetoothd does not always say why: a link whose encryption fails just ends.
        is_cut = not outcome.is_met and trouble in _CUT
        if is_bonded and is_cut and known.breaker.is_worth_reporting:
            return Trouble.BOND_DOUBTED
        return trouble

    async def _climb(self, rung: Rung, address: str, bluez: BlueZ) -> None:
        logger.info("next for device", extra={"device": address, "next": rung.value})
        if rung in _WIDE:
            self._ask_for(rung)
        elif rung is Rung.DISCONNECT:
            await bluez.disconnect(address)
        elif rung is Rung.FORGET:
            await bluez.remove(address, with_bond=False)
