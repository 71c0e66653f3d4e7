"""The gateway's radio in this process, on a radio world: real BlueZ client, real journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from device_adapters import registry
from device_adapters.contract.standing import Happening, Problem
from gateway.battery import Batteries
from gateway.ble.radio import Patience, Radio
from gateway.ble.visit import Visitor
from gateway.ble.window import PairingWindow
from gateway.clock import ClockSource, SystemClock
from gateway.observability import Metrics
from gateway.store.database import Database, open_database
from gateway.store.devices import DeviceBook
from gateway.store.journal import Journal
from tests.support.radio import RadioWorld, VirtualDevice, on_bus

_WITHIN_S: Final = 20.0
QUICK: Final = Patience(silence_s=2.0, retry_s=0.1)


@dataclass(slots=True)
class Heard:
    """Reports as they came: what is wrong now, and all that was said."""

    wrong: dict[tuple[Problem, str | None], str | None] = field(
        default_factory=dict[tuple[Problem, str | None], str | None]
    )
    said: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])

    def begin(
        self, problem: Problem, *, device_id: str | None = None, detail: str | None = None
    ) -> None:
        if (problem, device_id) not in self.wrong:
            self.said.append((f"began {problem}", device_id))
        self.wrong[problem, device_id] = detail

    def end(self, problem: Problem, *, device_id: str | None = None) -> None:
        if (problem, device_id) in self.wrong:
            del self.wrong[problem, device_id]
            self.said.append((f"ended {problem}", device_id))

    def note(
        self, happening: Happening, *, device_id: str | None = None, detail: str | None = None
    ) -> None:
        self.said.append((str(happening), device_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A radio that listens, and what can be seen of it."""

    radio: Radio
    window: PairingWindow
    reports: Heard
    book: DeviceBook
    database: Database

    def journalled(self) -> list[bytes]:
        """Return what the journal holds, in order."""
        rows = self.database.connection.execute("SELECT raw FROM journal ORDER BY number")
        return [raw for (raw,) in rows]

    async def wait_for(
        self, condition: Callable[[], bool], what: str, *, within_s: float = _WITHIN_S
    ) -> None:
        """Wait until something holds, or fail."""
        deadline_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline_s, f"not within {within_s} s: {what}; {self}"
            await asyncio.sleep(0.02)

    async def wait_emptied(self, cuff: VirtualDevice) -> None:
        """Wait until all that a cuff measured is journalled."""
        await self.wait_for(
            lambda: set(cuff.ledger("measured")) <= set(self.journalled()), "everything journalled"
        )


@asynccontextmanager
async def home(
    world: RadioWorld,
    directory: Path,
    *,
    devices: Sequence[str] = (),
    cool_down_s: float = 0.2,
    battery_low_percent: int = 20,
    patience: Patience = QUICK,
    may_visit: Callable[[], bool] = lambda: True,
    **options: Any,
) -> AsyncGenerator[Home]:
    """Have a radio listen for as long as the context is open."""
    with on_bus(world):
        database = open_database(directory, datetime.now(UTC))
        clock, metrics, adapters = SystemClock(ClockSource.TRUSTED), Metrics(), registry.load()
        reports = Heard()
        book = DeviceBook(database, lambda: clock.read().at)
        batteries = Batteries(book, reports, lambda: battery_low_percent)
        window = PairingWindow(reports, monotonic_s=time.monotonic)
        journal = Journal(database, clock)
        radio = Radio(
            Visitor(journal, adapters, clock, metrics, lambda: None, on_battery=batteries.seen),
            adapters,
            window,
            metrics,
            reports=reports,
            book=book,
            devices=devices,
            cool_down_s=cool_down_s,
            adapter=None,
            may_visit=may_visit,
            patience=patience,
            **options,
        )
        running = asyncio.ensure_future(radio.run())
        try:
            yield Home(radio=radio, window=window, reports=reports, book=book, database=database)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            database.close()
