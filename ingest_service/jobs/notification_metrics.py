"""How telling staff goes, as metrics of the jobs' process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

import psycopg
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest_service.messages.message import STAFF
from ingest_service.store import messages, notifications
from ingest_service.store.connections import Pool
from ingest_service.store.messages import WaitingMessages
from ingest_service.store.notifications import Undelivered

logger = logging.getLogger(__name__)

_EVERY_S: Final = 15.0
_KINDS: Final = ("webhook", "email", "sms")
_STATES: Final = ("queued", "sending", "failed")
_OUTCOMES: Final = ("delivered", "failed", "given_up", "cancelled")


class NotificationMetrics(Collector):
    """What waits, as last measured, and what this process did; a scrape asks the database nothing.

    Every series is there from the start, so that an alarm can rest on a first increase.
    """

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last: tuple[datetime, Sequence[WaitingMessages], Sequence[Undelivered]] | None = None
        self._outcomes = Counter(
            "hemvital_notifications",
            "Attempts and ends of notifications, by what became of them.",
            ["channel", "outcome"],
            registry=registry,
        )
        self._unrouted = Counter(
            "hemvital_messages_without_channel",
            "Messages for staff that no channel was there for.",
            ["recipient"],
            registry=registry,
        )
        self._unreached = Counter(
            "hemvital_messages_unreached",
            "Messages for staff that every channel gave up.",
            ["recipient"],
            registry=registry,
        )
        for kind in _KINDS:
            for outcome in _OUTCOMES:
                self._outcomes.labels(kind, outcome)
        for recipient in sorted(STAFF):
            self._unrouted.labels(recipient)
            self._unreached.labels(recipient)
        registry.register(self)

    def outcome(self, channel_kind: str, outcome: str) -> None:
        """Count an attempt or an end."""
        self._outcomes.labels(channel_kind, outcome).inc()

    def unrouted(self, recipient: str) -> None:
        """Count a message without a channel."""
        self._unrouted.labels(recipient).inc()

    def unreached(self, recipient: str) -> None:
        """Count a message that every channel gave up."""
        self._unreached.labels(recipient).inc()

    async def refresh(self, pool: Pool) -> None:
        """Measure once; what cannot be measured now keeps its last value, and its age shows."""
        try:
            async with pool.connection() as connection:
                waiting = await messages.waiting_for_staff(connection)
                undelivered = await notifications.undelivered(connection)
        except psycopg.Error as error:
            logger.warning(
                "could not measure notifications", extra={"error": type(error).__name__}
            )
            return
        self._last = self._clock(), waiting, undelivered

    async def keep_fresh(self, pool: Pool) -> None:
        """Measure every quarter of a minute, for ever."""
        while True:
            await self.refresh(pool)
            await asyncio.sleep(_EVERY_S)

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; called in the thread of a scrape."""
        if self._last is None:
            return
        at, waiting, undelivered = self._last
        now = self._clock()
        yield GaugeMetricFamily(
            "hemvital_notifications_measured_timestamp_seconds",
            "When the database was last asked for the numbers beside this one.",
            value=at.timestamp(),
        )
        yield from self._messages(waiting, now)
        yield from self._tellings(undelivered, now)

    def _messages(self, waiting: Sequence[WaitingMessages], now: datetime) -> Iterable[Metric]:
        count = GaugeMetricFamily(
            "hemvital_messages_waiting",
            "Messages for staff that have not been passed on to channels.",
            labels=["recipient"],
        )
        oldest = GaugeMetricFamily(
            "hemvital_messages_oldest_seconds",
            "How long the oldest of them has waited.",
            labels=["recipient"],
        )
        by_recipient = {one.recipient: one for one in waiting}
        for recipient in sorted(STAFF):
            one = by_recipient.get(recipient)
            count.add_metric([recipient], one.count if one else 0)
            oldest.add_metric([recipient], _age_s(one.oldest, now) if one else 0)
        yield from (count, oldest)

    def _tellings(self, undelivered: Sequence[Undelivered], now: datetime) -> Iterable[Metric]:
        count = GaugeMetricFamily(
            "hemvital_notifications_waiting",
            "Notifications that are not delivered and not given up.",
            labels=["channel", "state"],
        )
        oldest = GaugeMetricFamily(
            "hemvital_notifications_oldest_seconds",
            "How long the oldest of them has waited.",
            labels=["channel"],
        )
        found = {(one.channel_kind, one.state): one for one in undelivered}
        for kind in _KINDS:
            ages = list[float]()
            for state in _STATES:
                one = found.get((kind, state))
                count.add_metric([kind, state], one.count if one else 0)
                ages += [_age_s(one.oldest, now)] if one else []
            oldest.add_metric([kind], max(ages, default=0))
        yield from (count, oldest)


def _age_s(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
