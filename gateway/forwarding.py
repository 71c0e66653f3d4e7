"""Forwarding: from the outbox to the broker, and the server's answers back into the outbox."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Generator
from contextlib import suppress
from datetime import datetime
from typing import Final, Protocol

from device_adapters.contract import messages
from device_adapters.contract.messages import ContractError
from device_adapters.contract.topics import Leaf
from gateway.observability import Metrics
from gateway.publisher import Downlink
from gateway.store.database import is_full
from gateway.store.outbox import FIRST_RESEND_NS, Batch, Outbox

logger = logging.getLogger(__name__)

_LONGEST_WAIT_S: Final = 60.0
_FULL_S: Final = 1.0  # before a full disk is tried again
# After a reconnect the workers get as long to reconnect too: what a broker takes before that
# may go to nobody.
_RECONNECT_NS: Final = 3 * 10**9


class Publisher(Protocol):
    """What forwarding needs of the broker's client."""

    @property
    def max_bytes(self) -> int:
        """Return how long a message may be."""
        ...

    @property
    def downlink(self) -> asyncio.Queue[Downlink]:
        """Return the queue of messages from the server."""
        ...

    def publish(self, batch: Batch, payload: bytes) -> bool:
        """Take a message, or return false if that is not possible now."""
        ...


class Forwarder:
    """Sends what is due, and again until the server's receipt.

    Args:
        outbox: What is to be sent.
        publisher: The broker's client.
        metrics: What happened, counted.
        now: The wall clock, for the message's time of sending.
        monotonic_ns: The clock by which records are due.
        max_records: How many records a message may carry.
        configure: Takes what the server configures; never raises.
    """

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        metrics: Metrics,
        *,
        now: Callable[[], datetime],
        monotonic_ns: Callable[[], int],
        max_records: int,
        configure: Callable[[bytes], None] | None = None,
    ) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._metrics = metrics
        self._now = now
        self._monotonic_ns = monotonic_ns
        self._max_records = max_records
        self._configure = configure
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._hastened_ns = 0

    def wake(self) -> None:
        """Look again: there is something new to send, or a way to send it."""
        self._changed.set()

    def reconnected(self) -> None:
        """Send soon what the broker may have lost: one that was killed has, whatever it says.

        A connection that comes and goes brings no more than the timer's first interval would.
        """
        now_ns = self._monotonic_ns()
        if self._hastened_ns <= now_ns:
            self._hastened_ns = max(now_ns + _RECONNECT_NS, self._hastened_ns + FIRST_RESEND_NS)
        try:
            self._outbox.hasten(self._hastened_ns)
        except sqlite3.Error as error:
            if not is_full(error):
                raise
            logger.warning("nothing hastened: the disk is full")  # the timers go on
        self.wake()

    async def run(self) -> None:
        """Send and listen until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(), name="send")
            tasks.create_task(self._listen(), name="listen")

    def send_due(self) -> bool:
        """Hand over what is due; false if the publisher took no more before all was handed."""
        while (is_all := self._send_one()) is None:
            pass
        return is_all

    def _send_one(self) -> bool | None:
        """Hand one message over: None. True: nothing is due; false: the publisher took no more."""
        batch = self._outbox.due(
            self._monotonic_ns(),
            max_records=self._max_records,
            max_bytes=self._publisher.max_bytes,
        )
        if batch is None:
            return True
        payload = messages.encode_message(self._now(), batch.records)
        if not self._publisher.publish(batch, payload):
            return False
        self._outbox.sent(batch, self._monotonic_ns())
        self._metrics.sent.inc(len(batch.records))
        if batch.is_repeated:
            self._metrics.resent.inc(len(batch.records))
        return None

    def take(self, message: Downlink) -> None:
        """Do what the server says; what cannot be understood is logged and ignored."""
        for _ in self.taking(message):
            pass

    def taking(self, message: Downlink) -> Generator[None]:
        """Do as `take`, in slices: between them an indication may be journalled."""
        try:
            match message.leaf:
                case Leaf.RECEIPTS:
                    yield from self._receive(message.payload)
                case Leaf.RESEND:
                    yield from self._send_again(message.payload)
                case Leaf.CONFIG if self._configure is not None:
                    self._configure(message.payload)
                case _:
                    logger.info("message ignored by this release", extra={"leaf": message.leaf})
        except ContractError as error:
            self._metrics.failures.labels("downlink").inc()
            logger.warning(
                "message from the server cannot be understood",
                extra={"leaf": message.leaf, "reason": str(error)},
            )

    async def drained(self) -> None:
        """Wait until everything is delivered; the caller sets the deadline."""
        while self._outbox.standing().undelivered:
            self._answered.clear()
            await self._answered.wait()

    async def _send(self) -> None:
        while True:
            self._changed.clear()
            wait_s = _LONGEST_WAIT_S
            try:
                # When the publisher took no more, it says so as soon as it does again: waiting
                # for a moment that has passed would be a loop without rest.
                is_all = await self._send_all()
                if is_all and (due := self._outbox.next_due_ns()) is not None:
                    wait_s = min(wait_s, (due - self._monotonic_ns()) / 1e9)
            except sqlite3.Error as error:
                self._survive(error)
                wait_s = _FULL_S
            with suppress(TimeoutError):
                async with asyncio.timeout(max(wait_s, 0)):
                    await self._changed.wait()

    async def _send_all(self) -> bool:
        while True:
            if (is_all := self._send_one()) is not None:
                return is_all
            await asyncio.sleep(0)  # an indication may be waiting

    async def _listen(self) -> None:
        while True:
            message = await self._publisher.downlink.get()  # no deadline: silence is normal
            try:
                for _ in self.taking(message):
                    await asyncio.sleep(0)  # an indication may be waiting
            except sqlite3.Error as error:
                # The records are sent again, and so the receipt comes again.
                self._survive(error)

    def _survive(self, error: sqlite3.Error) -> None:
        """Go on after a full disk; raise what else it is."""
        if not is_full(error):
            raise error
        self._metrics.failures.labels("full").inc()
        logger.error("not noted: the disk is full", extra={"reason": str(error)})

    def _receive(self, payload: bytes) -> Generator[None]:
        receipt = messages.decode_receipt(payload)
        done = yield from self._outbox.receiving(receipt)
        self._metrics.receipted.inc(done.delivered)
        if done.renumbered:
            logger.error(
                "numbers were used before: their records have new ones",
                extra={"epoch": str(receipt.epoch), "records": done.renumbered},
            )
        if done.is_other_incarnation:
            logger.warning(
                "another database answers: what is kept is sent again",
                extra={"incarnation": str(receipt.incarnation)},
            )
        self._answered.set()
        self.wake()

    def _send_again(self, payload: bytes) -> Generator[None]:
        request = messages.decode_resend(payload)
        kept = yield from self._outbox.resending(request)
        logger.info(
            "records asked for again", extra={"epoch": str(request.epoch), "records": kept}
        )
        self.wake()
