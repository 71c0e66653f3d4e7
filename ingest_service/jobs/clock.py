"""What time alone changes for patients, by the minute: procrastinate keeps the schedule.

A process of its own: it judges patients with ingest's rights, which the other jobs do not have.
A tick that was missed, or that two workers take, harms nothing: who is due stands in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from procrastinate import App, PsycopgConnector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest_service.admission import actions, monitoring
from ingest_service.admission.passing import pass_time
from ingest_service.store import clocks, connections
from ingest_service.store.connections import Pool

QUEUE: Final = "clock"
_EVERY_MINUTE: Final = "* * * * *"
_AT_ONCE: Final = 500
_MOST_ROUNDS: Final = 100


class ClockMetrics(Collector):
    """How far behind the clock is, as of its last tick."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None

    def note(self, at: datetime, overdue_s: float) -> None:
        """Note a tick, and how long the longest overdue patient has been due after it."""
        self._last = at, overdue_s

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; called in the thread of a scrape."""
        if self._last is None:
            return
        at, overdue_s = self._last
        yield GaugeMetricFamily(
            "hemvital_clock_ticked_timestamp_seconds",
            "When time was last judged for patients.",
            value=at.timestamp(),
        )
        yield GaugeMetricFamily(
            "hemvital_clock_overdue_seconds",
            "How long the longest overdue patient waited to be judged, after the last tick.",
            value=overdue_s,
        )


def app_of(
    queue_dsn: str,
    pool: Pool,
    metrics: ClockMetrics,
    *,
    now: Callable[[], datetime],
) -> App:
    """Return the clock's jobs with what they need, not yet open.

    Args:
        queue_dsn: Where the jobs' own tables are written.
        pool: Connections with ingest's rights.
        metrics: Told of each tick.
        now: The time it is.
    """
    app = App(
        connector=PsycopgConnector(conninfo=connections.bounded(queue_dsn, "hemvital-clock"))
    )

    @app.periodic(cron=_EVERY_MINUTE)
    @app.task(queue=QUEUE, name="see_patients", queueing_lock="see_patients", lock="see_patients")
    async def see(timestamp: int) -> None:  # noqa: ARG001 procrastinate gives it
        async with pool.connection() as connection:
            await monitoring.sweep(connection, now=now())

    @app.periodic(cron=_EVERY_MINUTE)
    @app.task(queue=QUEUE, name="pass_time", queueing_lock="pass_time")
    async def tick(timestamp: int) -> None:  # noqa: ARG001 procrastinate gives it
        metrics.note(now(), await catch_up(pool, now()))

    @app.periodic(cron=_EVERY_MINUTE)
    @app.task(queue=QUEUE, name="give_back", queueing_lock="give_back", lock="give_back")
    async def give_back(timestamp: int) -> None:  # noqa: ARG001 procrastinate gives it
        async with pool.connection() as connection:
            await actions.unassign_absent(connection, now=now())

    return app


async def catch_up(pool: Pool, now: datetime) -> float:
    """Judge everybody who is due, some at a time, and return how long the rest is overdue.

    A long stop makes many due: each is judged once for all that passed meanwhile, without a flood.
    """
    async with pool.connection() as connection:
        for _ in range(_MOST_ROUNDS):
            if await pass_time(connection, now=now, most=_AT_ONCE) < _AT_ONCE:
                break
        return await clocks.overdue_s(connection, now=now)
