"""The pairing window: whether a device may pair now. A person opens it; it closes by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from device_adapters.contract.configuration import MAX_PAIRING_S
from device_adapters.contract.standing import Happening
from gateway.reporting import Reports

logger = logging.getLogger(__name__)

_MOST_NAMED: Final = 64


class PairingWindow:
    """Open for a while, by the monotonic clock; closed at every start.

    Args:
        reports: Hears that it opens and closes, and who was let in or refused.
        monotonic_s: The clock that it is measured by.
        asked_s: Looked at each `tick`: for how long somebody at the box asks to open it.
    """

    def __init__(
        self,
        reports: Reports,
        *,
        monotonic_s: Callable[[], float],
        asked_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._reports = reports
        self._monotonic_s = monotonic_s
        self._asked_s = asked_s
        self._closes_at_s: float | None = None
        self._admitted: set[str] = set()
        self._refused: set[str] = set()
        self.openings = 0

    @property
    def is_open(self) -> bool:
        """Tell whether a device may pair now."""
        return self.left_s > 0

    @property
    def left_s(self) -> float:
        """Return for how long it stays open."""
        if self._closes_at_s is None:
            return 0.0
        return max(self._closes_at_s - self._monotonic_s(), 0.0)

    def open(self, for_s: float) -> None:
        """Let devices pair for so long from now on, `MAX_PAIRING_S` at most."""
        if for_s <= 0:
            return
        for_s = min(for_s, MAX_PAIRING_S)
        self._closes_at_s = self._monotonic_s() + for_s
        self.openings += 1
        logger.info("pairing window opened", extra={"for_s": for_s})
        self._reports.note(Happening.PAIRING_OPENED, detail=f"for {for_s / 60:.0f} min")

    def close(self) -> None:
        """Let nobody pair any more."""
        if self._closes_at_s is not None:
            self._closes_at_s = None
            logger.info("pairing window closed")
            self._reports.note(Happening.PAIRING_CLOSED)

    def tick(self) -> None:
        """Look whether somebody asks to open it, and whether its time is over."""
        asked_s = self._asked_s()
        if asked_s is not None:
            self.open(asked_s)
        if self._closes_at_s is not None and not self.is_open:
            self.close()

    def admit(self, address: str) -> bool:
        """Tell whether a device that wants to pair may, and note what became of it."""
        if not address or not self.is_open:
            logger.warning("pairing refused", extra={"device": address})
            self._reports.note(Happening.PAIRING_REFUSED, device_id=address or None)
            _note(self._refused, address)
            return False
        logger.info("pairing admitted", extra={"device": address})
        _note(self._admitted, address)
        return True

    def take_admitted(self, address: str) -> bool:
        """Tell, once, whether a device was let in since this was last asked."""
        return _take(self._admitted, address)

    def take_refused(self, address: str) -> bool:
        """Tell, once, whether a device was refused since this was last asked."""
        return _take(self._refused, address)


def _note(names: set[str], name: str) -> None:
    if len(names) < _MOST_NAMED:
        names.add(name)


def _take(names: set[str], name: str) -> bool:
    is_there = name in names
    names.discard(name)
    return is_there
