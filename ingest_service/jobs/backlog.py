"""What is missing and what waits, as metrics of the jobs' process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest_service.admission.incoming import Reason
from ingest_service.store import backlog
from ingest_service.store.backlog import Backlog
from ingest_service.store.connections import Pool

logger = logging.getLogger(__name__)

_EVERY_S: Final = 60.0
_MOST_GATEWAYS: Final = 100  # with a series each


class BacklogMetrics(Collector):
    """The last measurement, as it is scraped; ages are counted to the moment of the scrape.

    A scrape asks the database nothing: however many scrape, and however long it takes, the
    database is asked once a minute.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last: tuple[datetime, Backlog] | None = None

    async def refresh(self, pool: Pool) -> None:
        """Measure once; what cannot be measured now keeps its last value, and its age shows."""
        try:
            async with pool.connection() as connection:
                measured = await backlog.measure(connection, most_gateways=_MOST_GATEWAYS)
        except psycopg.Error as error:
            logger.warning("could not measure the backlog", extra={"error": type(error).__name__})
            return
        self._last = self._clock(), measured

    async def keep_fresh(self, pool: Pool) -> None:
        """Measure once a minute, for ever."""
        while True:
            await self.refresh(pool)
            await asyncio.sleep(_EVERY_S)

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; called in the thread of a scrape."""
        if self._last is None:
            return
        at, last = self._last
        yield _single(
            "hemvital_backlog_measured_timestamp_seconds",
            "When the database was last asked for the numbers beside this one.",
            at.timestamp(),
        )
        yield from self._missing(last)
        yield from self._waiting(last)

    def _missing(self, last: Backlog) -> Iterable[Metric]:
        missing = GaugeMetricFamily(
            "hemvital_gateway_missing_numbers",
            "Numbers of a gateway that never came; the hundred gateways that miss most.",
            labels=["gateway_id"],
        )
        for one in last.missing:
            missing.add_metric([one.gateway_id], one.numbers)
        yield missing
        yield _single(
            "hemvital_gateways_with_missing_numbers",
            "Gateways of which numbers never came.",
            last.gateways_with_holes,
        )

    def _waiting(self, last: Backlog) -> Iterable[Metric]:
        now = self._clock()
        entries, oldest, red, oldest_red = (
            GaugeMetricFamily(name, about, labels=["reason"])
            for name, about in (
                ("hemvital_quarantine_waiting", "Entries that wait in the quarantine."),
                ("hemvital_quarantine_oldest_seconds", "How long the oldest of them has waited."),
                ("hemvital_quarantine_red_waiting", "Those of them that are red for somebody."),
                ("hemvital_quarantine_red_oldest_seconds", "How long the oldest red one has."),
            )
        )
        by_reason = {one.reason: one for one in last.waiting}
        for reason in sorted({*map(str, Reason), *by_reason}):
            one = by_reason.get(reason)
            entries.add_metric([reason], one.entries if one else 0)
            oldest.add_metric([reason], _age_s(one.oldest if one else None, now))
            red.add_metric([reason], one.red_entries if one else 0)
            oldest_red.add_metric([reason], _age_s(one.oldest_red if one else None, now))
        yield from (entries, oldest, red, oldest_red)


def _single(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


def _age_s(since: datetime | None, now: datetime) -> float:
    return (now - since).total_seconds() if since else 0.0
