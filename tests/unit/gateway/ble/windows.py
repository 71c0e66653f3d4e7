"""A clock that moves when told, reports that are kept, and a window made of both."""

from __future__ import annotations

from collections.abc import Callable

from device_adapters.contract.standing import Happening, Problem
from gateway.ble.window import PairingWindow


class Seconds:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Reported:
    """Reports as they came."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str | None]] = []

    def begin(
        self, problem: Problem, *, device_id: str | None = None, detail: str | None = None
    ) -> None:
        self.said.append((f"began {problem}: {detail}", device_id))

    def end(self, problem: Problem, *, device_id: str | None = None) -> None:
        self.said.append((f"ended {problem}", device_id))

    def note(
        self, happening: Happening, *, device_id: str | None = None, detail: str | None = None
    ) -> None:
        self.said.append((str(happening), device_id))


def window(
    clock: Seconds, reports: Reported, asked_s: Callable[[], float | None] = lambda: None
) -> PairingWindow:
    return PairingWindow(reports, monotonic_s=clock, asked_s=asked_s)
