"""The gateway's life: everything started together, and ended in the order that loses nothing."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol

from gateway.clock import Clock
from gateway.decoding import Decoder
from gateway.observability import Metrics
from gateway.store.database import checkpoint, has_short_log, is_full
from gateway.store.outbox import Outbox
from gateway.store.room import Room

logger = logging.getLogger(__name__)

_STATUS_S: Final = 60.0
_MEASURE_S: Final = 5.0
_LOOK_S: Final = 5.0
_CHECKPOINT_S: Final = 300.0
_LOG_S: Final = 5.0
_ROOM_S: Final = 5.0
_PRUNE_S: Final = 3600.0
_CLOCK_S: Final = 5.0
_PAUSE_S: Final = 0.02
_MOST_PAUSES: Final = 10
_SHUTDOWN_S: Final = 15.0  # a visit's own farewell, at most


class Intake(Protocol):
    """Takes readings in until cancelled."""

    async def run(self) -> None:
        """Listen to devices."""
        ...


class Forwarding(Protocol):
    """Sends what the outbox holds."""

    async def run(self) -> None:
        """Send and listen until cancelled."""
        ...

    def wake(self) -> None:
        """Look again at once."""
        ...

    async def drained(self) -> None:
        """Wait until everything is delivered."""
        ...


async def serve(
    intake: Intake,
    decoding: Decoding,
    forwarding: Forwarding,
    upkeep: Upkeep,
    *,
    drain_s: float,
    stop: asyncio.Event,
) -> None:
    """Run the gateway until ``stop`` is set, then drain for at most ``drain_s`` seconds.

    The order at the end is the point: no new readings, what is journalled is decoded, then a
    bounded chance for it to leave, then cancellation. What is still queued is on the disk and
    goes out at the next start.

    Raises:
        ExceptionGroup: If a part fails; the supervisor restarts the process.
    """
    async with asyncio.TaskGroup() as tasks:
        taking_in = tasks.create_task(intake.run(), name="intake")
        making = tasks.create_task(decoding.run(), name="decoding")
        sending = tasks.create_task(forwarding.run(), name="forwarding")
        keeping = tasks.create_task(upkeep.run(), name="upkeep")
        await stop.wait()
        logger.info("stopping")
        taking_in.cancel()
        await asyncio.wait([taking_in], timeout=_SHUTDOWN_S)
        decoding.decode_all()
        try:
            async with asyncio.timeout(drain_s):
                await forwarding.drained()
        except TimeoutError:
            logger.warning("stopped with readings still queued", extra={"drain_s": drain_s})
        for task in (making, sending, keeping):
            task.cancel()


def _nothing() -> None:
    """Stand in for what nobody gave."""


class Decoding:
    """Decodes when there is something to decode, and corrects times when the clock comes right.

    Args:
        decoder: Does both.
        clock: Says whether it is right.
        forwarding: Is told that there is something to send.
        metrics: What happened, counted.
        keep_time: Called every few seconds, before times are corrected.
    """

    def __init__(
        self,
        decoder: Decoder,
        clock: Clock,
        forwarding: Forwarding,
        metrics: Metrics,
        keep_time: Callable[[], None] = _nothing,
    ) -> None:
        self._decoder = decoder
        self._clock = clock
        self._forwarding = forwarding
        self._metrics = metrics
        self._keep_time = keep_time
        self._journalled = asyncio.Event()
        self._passes = 0

    def wake(self) -> None:
        """There are entries to decode."""
        self._journalled.set()

    def pulse(self) -> int:
        """Ask for one more pass and return how many there were; it grows while this lives."""
        self.wake()
        return self._passes

    async def run(self) -> None:
        """Decode and correct until cancelled."""
        while True:
            self._journalled.clear()
            self._passes += 1
            try:
                while count := self._decoder.decode():
                    self._note(count)
                    self._passes += 1
                    await asyncio.sleep(0)  # an indication may be waiting
                await self._correct_all()
            except sqlite3.Error as error:
                self._survive(error)
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOCK_S):
                    await self._journalled.wait()
                    await self._pause()

    def decode_all(self) -> None:
        """Decode everything that can be decoded now."""
        try:
            while count := self._decoder.decode():
                self._note(count)
        except sqlite3.Error as error:
            self._survive(error)

    def _survive(self, error: sqlite3.Error) -> None:
        """Go on after a full disk: what is journalled is decoded when there is room."""
        if not is_full(error):
            raise error
        self._metrics.failures.labels("full").inc()
        logger.error("not decoded: the disk is full", extra={"reason": str(error)})

    def _note(self, count: int) -> None:
        self._metrics.decoded.inc(count)
        self._forwarding.wake()

    async def _pause(self) -> None:
        # Decoding flushes the disk. While a device gives record after record, the next one's
        # journal entry would have to wait for that; so it is done in the pauses.
        for _ in range(_MOST_PAUSES):
            self._journalled.clear()
            await asyncio.sleep(_PAUSE_S)
            if not self._journalled.is_set():
                return

    async def _correct_all(self) -> None:
        self._keep_time()
        truth = self._clock.read()
        self._metrics.is_clock_synchronised.set(truth.is_synchronised)
        while truth.is_synchronised and (
            count := self._decoder.correct(truth, self._clock.boot_id)
        ):
            self._metrics.corrected.inc(count)
            self._forwarding.wake()
            await asyncio.sleep(0)  # an indication may be waiting


class Upkeep:
    """What is done now and then: status, metrics, checkpoints, forgetting.

    Args:
        outbox: What is looked at.
        clock: Says whether its time can be used to forget by.
        metrics: Where the figures go.
        directory: Where the gateway's file is.
        tell: Tells the server how the gateway stands.
        look: Looks for what has gone wrong by itself.
        room: Looks after the disk.
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        metrics: Metrics,
        *,
        directory: Path,
        tell: Callable[[], None] = _nothing,
        look: Callable[[], None] = _nothing,
        room: Room | None = None,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        self._directory = directory
        self._tell = tell
        self._look = look
        self._room = room

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(_MEASURE_S, self._measure))
            tasks.create_task(self._every(_LOOK_S, self._look))
            tasks.create_task(self._every(_STATUS_S, self._tell))
            tasks.create_task(self._every(_ROOM_S, self._look_for_room))
            tasks.create_task(self._forget())
            tasks.create_task(self._checkpoints())

    def _measure(self) -> None:
        standing, now = self._outbox.standing(), self._clock.read().at
        age = now - (standing.oldest_undelivered_at or now)
        self._metrics.undelivered.set(standing.undelivered)
        self._metrics.oldest_undelivered_seconds.set(max(age, timedelta()).total_seconds())

    async def _every(self, interval_s: float, work: Callable[[], None]) -> None:
        while True:
            work()
            await asyncio.sleep(interval_s)

    def _look_for_room(self) -> None:
        if self._room is not None:
            self._room.look()

    async def _forget(self) -> None:
        while True:
            try:
                if self._room is not None:
                    for _ in self._room.shrinking():
                        await asyncio.sleep(0)  # an indication may be waiting
                # A clock that jumped ahead would make everything look old.
                if self._clock.read().is_synchronised:
                    for _ in self._outbox.pruning():
                        await asyncio.sleep(0)
            except sqlite3.Error as error:
                if not is_full(error):
                    raise
                logger.warning("nothing forgotten: the disk is full")
            await asyncio.sleep(_PRUNE_S)

    async def _checkpoints(self) -> None:
        began_s = time.monotonic()
        while True:
            await asyncio.sleep(_LOG_S)
            # Each checkpoint writes a page once, however often it changed since the last.
            is_due = time.monotonic() - began_s >= _CHECKPOINT_S
            if not is_due and has_short_log(self._directory):
                continue
            began_s = time.monotonic()
            try:
                await asyncio.to_thread(checkpoint, self._directory)
            except sqlite3.Error as error:
                self._metrics.failures.labels("checkpoint").inc()
                logger.warning("checkpoint failed", extra={"reason": str(error)})
