"""The worker's loop: take, admit, commit, receipt, acknowledge."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Final, Protocol

from device_adapters.contract import topics
from device_adapters.contract.messages import ContractError, Receipt
from ingest_service import stopping
from ingest_service.admission.incoming import Incoming, shown
from ingest_service.admission.outcome import Outcome
from ingest_service.admission.persistence import admit_surely
from ingest_service.observability import Health, Metrics
from ingest_service.store import connections
from ingest_service.store.connections import Pool
from ingest_service.subscriber.inbox import Inbox, Letter

logger = logging.getLogger(__name__)

_MOST_BYTES: Final = 512 * 1024  # of payload in one transaction
_MOST_TRACES: Final = 20  # in one log line
_WATCH_S: Final = 5.0
_TURNS_TO_TIDY: Final = 60
_TURN_S: Final = 0.1
_QUIET_TURNS: Final = 3
_LIKE: Final = ("reason", "gateway_id", "is_red", "trace_id")
_LIKENESS: Final = attrgetter(*_LIKE)


class Postbox(Protocol):
    """What the loop needs of the broker's connection."""

    @property
    def trouble(self) -> str | None:
        """Return nothing while messages can come, else why not."""
        ...

    @property
    def has_left(self) -> bool:
        """Tell whether the broker gives us no further messages."""
        ...

    def publish(self, gateway_id: str, receipt: Receipt) -> None:
        """Send a receipt."""
        ...

    def acknowledge(self, letters: list[Letter]) -> None:
        """Acknowledge messages that are dealt with."""
        ...

    def leave(self) -> None:
        """Ask for no further messages."""
        ...


class Worker:
    """One ingest worker."""

    def __init__(
        self,
        pool: Pool,
        inbox: Inbox,
        broker: Postbox,
        *,
        metrics: Metrics,
        health: Health,
        clock: Callable[[], datetime],
        batch_messages: int,
    ) -> None:
        self._pool = pool
        self._inbox = inbox
        self._broker = broker
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._batch_messages = batch_messages
        self._is_busy = False

    async def serve(self, stop: asyncio.Event, *, drain_s: float) -> None:
        """Work until ``stop`` is set, then finish what has come, for at most ``drain_s`` seconds.

        What is not finished then was not acknowledged: it is sent again.

        Raises:
            ExceptionGroup: If a task fails; the supervisor starts the process anew.
        """
        async with asyncio.TaskGroup() as tasks:
            consuming = tasks.create_task(self._consume(), name="consume")
            watching = tasks.create_task(self._watch(), name="watch")
            await stop.wait()  # no deadline: that is a service's life
            self._broker.leave()
            try:
                async with asyncio.timeout(drain_s):
                    await self._run_dry()
            except TimeoutError:
                logger.warning(
                    "stopped before everything was stored", extra={"queued": len(self._inbox)}
                )
            await stopping.end([consuming, watching])

    async def _run_dry(self) -> None:
        """Wait until nothing has come for a while after the broker let us go.

        What it had queued for us comes after its answer, and nobody else would get it.
        """
        quiet = 0
        while quiet < _QUIET_TURNS:
            await asyncio.sleep(_TURN_S)
            is_quiet = self._broker.has_left and not len(self._inbox) and not self._is_busy
            quiet = quiet + 1 if is_quiet else 0

    async def _consume(self) -> None:
        while True:
            letters = await self._inbox.take(most=self._batch_messages, most_bytes=_MOST_BYTES)
            self._is_busy = True
            started = self._clock()
            batch = [_incoming(letter) for letter in letters]
            outcomes = await admit_surely(self._pool, batch, clock=self._clock)
            for outcome in outcomes:
                for gateway_id, receipt in outcome.receipts:
                    self._broker.publish(gateway_id, receipt)
            self._broker.acknowledge(letters)
            self._is_busy = False
            self._report(letters, outcomes, started)
            # paho leaves a small circle of objects for each message. Between two batches hardly
            # anything young is alive, so finding them costs next to nothing here.
            gc.collect(1)

    def _report(self, letters: list[Letter], outcomes: list[Outcome], started: datetime) -> None:
        now = self._clock()
        self._health.database = None
        self._metrics.batch(
            outcomes,
            messages=len(letters),
            seconds=(now - started).total_seconds(),
            lag_s=(now - letters[0].received_at).total_seconds(),
            queued=len(self._inbox),
        )
        for outcome in outcomes:
            # One line for what cannot be told apart: a message may announce 500 numbers at once.
            for key, alike in groupby(outcome.refused, _LIKENESS):
                first, *more = alike
                logger.warning(
                    "quarantined",
                    extra={
                        **dict(zip(_LIKE, key, strict=True)),
                        "number": first.number,
                        "records": 1 + len(more),
                    },
                )
            for gateway_id, records in outcome.foreign.items():
                extra = {"gateway_id": gateway_id, "records": records}
                logger.warning("a gateway delivers for another unit's devices", extra=extra)
            for void in outcome.voids:
                logger.warning("a record could not travel", extra=asdict(void))
            logger.info(
                "batch committed",
                extra={
                    **outcome.counts,
                    "messages": len(letters),
                    "alerts": outcome.alerts,
                    "trace_ids": outcome.trace_ids[:_MOST_TRACES],
                },
            )
            for trace_id in outcome.trace_ids[_MOST_TRACES:]:
                logger.debug("committed", extra={"trace_id": trace_id})

    async def _watch(self) -> None:
        """Keep the answers of /readyz fresh while no message comes."""
        for turn in itertools.count(1):
            self._health.database = await connections.ping(self._pool)
            await asyncio.sleep(_WATCH_S)
            if turn % _TURNS_TO_TIDY == 0:
                gc.collect()  # what outlived some batches: connections, for example


def _incoming(letter: Letter) -> Incoming:
    try:
        gateway_id = topics.gateway_of(letter.topic)
    except ContractError:
        gateway_id = shown(letter.topic)  # an id that no gateway can have: kept, not receipted
    return Incoming(
        gateway_id=gateway_id,
        properties=letter.properties,
        payload=letter.payload,
        received_at=letter.received_at,
    )
