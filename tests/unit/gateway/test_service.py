"""The gateway's end: no new readings, what is there goes out, and never waiting for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from device_adapters import registry
from gateway.decoding import Decoder
from gateway.observability import Metrics
from gateway.service import Decoding, Upkeep, serve
from gateway.store.database import Database
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox
from tests.unit.gateway.fakes import BARE_FRAME, FakeClock, keep


class Intake:
    """Gives one value when it is told to stop: the last moment at which one can come."""

    def __init__(self, last_words: Callable[[], object]) -> None:
        self._last_words = last_words

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self._last_words()


class Forwarding:
    """Delivers what is queued, or never."""

    def __init__(self, outbox: Outbox, *, is_reachable: bool) -> None:
        self._outbox = outbox
        self._is_reachable = is_reachable
        self.delivered = 0

    async def run(self) -> None:
        await asyncio.Event().wait()

    def wake(self) -> None:
        if self._is_reachable:
            self.delivered = self._outbox.standing().undelivered

    async def drained(self) -> None:
        if not self._is_reachable:
            await asyncio.Event().wait()


@pytest.fixture
def parts(
    database: Database, journal: Journal, outbox: Outbox, clock: FakeClock, tmp_path: Path
) -> Callable[[Forwarding], tuple[Decoding, Upkeep]]:
    def make(forwarding: Forwarding) -> tuple[Decoding, Upkeep]:
        metrics = Metrics()
        decoder = Decoder(database, journal, outbox, registry.load(), ZoneInfo("Europe/Stockholm"))
        upkeep = Upkeep(outbox, clock, metrics, directory=tmp_path)
        return Decoding(decoder, clock, forwarding, metrics), upkeep

    return make


async def test_what_came_last_is_decoded_and_drained(
    parts: Callable[[Forwarding], tuple[Decoding, Upkeep]], journal: Journal, outbox: Outbox
) -> None:
    forwarding, stop = Forwarding(outbox, is_reachable=True), asyncio.Event()
    decoding, upkeep = parts(forwarding)
    asyncio.get_running_loop().call_later(0.02, stop.set)

    async with asyncio.timeout(2):
        await serve(
            Intake(lambda: keep(journal, BARE_FRAME)),
            decoding,
            forwarding,
            upkeep,
            drain_s=1,
            stop=stop,
        )

    assert forwarding.delivered == 1


async def test_stop_keeps_what_the_broker_does_not_take(
    parts: Callable[[Forwarding], tuple[Decoding, Upkeep]],
    journal: Journal,
    outbox: Outbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    forwarding, stop = Forwarding(outbox, is_reachable=False), asyncio.Event()
    decoding, upkeep = parts(forwarding)
    asyncio.get_running_loop().call_later(0.02, stop.set)

    async with asyncio.timeout(2):
        await serve(
            Intake(lambda: keep(journal, BARE_FRAME)),
            decoding,
            forwarding,
            upkeep,
            drain_s=0.01,
            stop=stop,
        )

    assert outbox.standing().undelivered == 1
    assert "still queued" in caplog.text


async def test_a_part_that_fails_ends_the_gateway(
    parts: Callable[[Forwarding], tuple[Decoding, Upkeep]], outbox: Outbox
) -> None:
    class Failing:
        async def run(self) -> None:
            raise OSError("no radio at all")

    forwarding = Forwarding(outbox, is_reachable=True)
    decoding, upkeep = parts(forwarding)

    with pytest.raises(ExceptionGroup):
        await serve(Failing(), decoding, forwarding, upkeep, drain_s=0, stop=asyncio.Event())
