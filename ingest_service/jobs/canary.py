"""The jobs' part in the canary: see what came through, say so, and keep it from growing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest_service.store import canary
from ingest_service.store.canary import Pass
from ingest_service.store.connections import Pool

logger = logging.getLogger(__name__)

#: How long the canary's readings are.
KEPT: Final = timedelta(days=1)
#: An alert that stands longer would become work; and the next one is raised anew, which is a part
#: of the way too.
_ALERTKEPT: Final = timedelta(minutes=10)
_MOST: Final = 500
_EVERY_S: Final = 10.0


async def look(pool: Pool, *, now: datetime) -> Pass:
    """Note up to when the canary's readings are stored and judged, and tell the pages."""
    async with pool.connection() as connection, connection.transaction():
        return await canary.look(connection, now=now, since=now - KEPT)


async def prune(pool: Pool, *, now: datetime) -> int:
    """Delete what is a day old of the canary; return how many records went."""
    async with pool.connection() as connection, connection.transaction():
        return await canary.prune(
            connection, before=now - KEPT, alerts_before=now - _ALERTKEPT, most=_MOST
        )


class CanaryMetrics(Collector):
    """The canary's age by its legs, as the jobs know them; counted to the moment of the scrape."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last: Pass | None = None

    async def refresh(self, pool: Pool) -> None:
        """Ask once; what cannot be asked now goes on growing old."""
        try:
            async with pool.connection() as connection:
                self._last = await canary.newest(connection) or self._last
        except psycopg.Error as error:
            logger.warning("could not ask for the canary", extra={"error": type(error).__name__})

    async def keep_fresh(self, pool: Pool) -> None:
        """Ask now and then, for ever."""
        while True:
            await self.refresh(pool)
            await asyncio.sleep(_EVERY_S)

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; none where there is no canary. Called in the thread of a scrape."""
        last, now = self._last, self._clock()
        if last is None or last.stored_to is None:
            return
        if last.judged_to is not None:
            yield GaugeMetricFamily(
                "hemvital_canary_age_seconds",
                "Age of the newest reading of the canary that came through every part.",
                value=_age_s(last.judged_to, now),
            )
        legs = GaugeMetricFamily(
            "hemvital_canary_leg_age_seconds",
            "Age of what last passed this leg of the canary's way.",
            labels=["leg"],
        )
        for leg, at in (("stored", last.stored_to), ("judged", last.judged_to), ("job", last.at)):
            if at is not None:
                legs.add_metric([leg], _age_s(at, now))
        yield legs


def _age_s(at: datetime, now: datetime) -> float:
    return max((now - at).total_seconds(), 0.0)
