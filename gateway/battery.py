"""Devices' batteries: how full each says it is, and when to change one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from device_adapters.contract.standing import Problem
from gateway.reporting import Reports
from gateway.store.devices import DeviceBook

# A battery's voltage recovers while it rests: only a fuller one ends the condition.
_RECOVERED_PERCENT: Final = 5


class Batteries:
    """Notes what devices say, and reports those that are low.

    Args:
        book: What is known of each device.
        reports: Hears of batteries that are low.
        low_percent: Below how much one is.
    """

    def __init__(self, book: DeviceBook, reports: Reports, low_percent: Callable[[], int]) -> None:
        self._book = book
        self._reports = reports
        self._low_percent = low_percent

    def seen(self, address: str, percent: int) -> None:
        """Note that a device says how full its battery is."""
        self._book.battery(address, percent)
        low_percent = self._low_percent()
        if percent < low_percent:
            self._reports.begin(Problem.BATTERY_LOW, device_id=address, detail=f"{percent} %")
        elif percent >= min(low_percent + _RECOVERED_PERCENT, 100):
            self._reports.end(Problem.BATTERY_LOW, device_id=address)
