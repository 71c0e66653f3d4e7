"""How gateways stand, as metrics of the jobs' process; counts alone, nobody's id."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from device_adapters.contract.standing import Problem
from ingest_service import gateways
from ingest_service.alerts.silence import Cause
from ingest_service.store import standing
from ingest_service.store.connections import Pool

logger = logging.getLogger(__name__)

_EVERY_S: Final = 60.0
_TRIM_EVERY: Final = 60  # measurements
_MOST_KEPT: Final = 5000


class GatewayMetrics(Collector):
    """The last count, as it is scraped; see `BacklogMetrics`."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last: tuple[datetime, int, Counter[str], Counter[str]] | None = None

    async def refresh(self, pool: Pool) -> None:
        """Count once; what cannot be counted now keeps its last value, and its age shows."""
        now = self._clock()
        causes, conditions = Counter[str](), Counter[str]()
        registered = 0
        try:
            async with pool.connection() as connection:
                async for shown in gateways.every(connection, now=now):
                    registered += 1
                    if shown.why:
                        causes[shown.why[0].cause] += 1
                    conditions.update({each.kind for each in shown.gateway.wrong})
        except psycopg.Error as error:
            logger.warning("could not count gateways", extra={"error": type(error).__name__})
            return
        self._last = now, registered, causes, conditions

    async def keep_fresh(self, pool: Pool) -> None:
        """Count once a minute and trim what was kept once an hour, for ever."""
        counted = 0
        while True:
            await self.refresh(pool)
            if counted % _TRIM_EVERY == 0:
                await _trim(pool)
            counted += 1
            await asyncio.sleep(_EVERY_S)

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; called in the thread of a scrape."""
        if self._last is None:
            return
        at, registered, causes, conditions = self._last
        yield GaugeMetricFamily(
            "hemvital_gateways_counted_timestamp_seconds",
            "When the gateways were last counted.",
            value=at.timestamp(),
        )
        yield GaugeMetricFamily(
            "hemvital_gateways_registered", "Gateways that are registered.", value=registered
        )
        silent = GaugeMetricFamily(
            "hemvital_gateways_silent",
            "Gateways of which readings may not come, by the nearest cause.",
            labels=["cause"],
        )
        for cause in sorted({*map(str, _OF_GATEWAYS), *causes}):
            silent.add_metric([cause], causes[cause])
        yield silent
        wrong = GaugeMetricFamily(
            "hemvital_gateways_with_condition",
            "Gateways that said last that this is wrong with them or a device of theirs.",
            labels=["condition"],
        )
        for kind in sorted(map(str, Problem)):
            wrong.add_metric([kind], conditions[kind])
        yield wrong


_OF_GATEWAYS: Final = (
    Cause.SERVER_DEAF,
    Cause.NEVER_CONNECTED,
    Cause.CERTIFICATE,
    Cause.GATEWAY_OFFLINE,
    Cause.DISK_FULL,
    Cause.RADIO_DEAF,
    Cause.QUEUE_GROWING,
    Cause.CLOCK_UNTRUSTED,
    Cause.NOT_TOLD,
)


async def _trim(pool: Pool) -> None:
    try:
        async with pool.connection() as connection:
            await standing.trim(connection, most=_MOST_KEPT)
    except psycopg.Error as error:
        logger.warning("could not trim events", extra={"error": type(error).__name__})
