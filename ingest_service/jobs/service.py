"""The jobs' process: procrastinate keeps the schedule, retries and locks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Final

from procrastinate import App, PsycopgConnector

from ingest_service import stopping
from ingest_service.jobs import canary, notifications, outage
from ingest_service.jobs.downlink import Downlink
from ingest_service.jobs.holes import ask_for_missing
from ingest_service.jobs.restored import tell_gateways
from ingest_service.observability import Health
from ingest_service.outage.rules import DEFAULT, OutageRules
from ingest_service.store import connections
from ingest_service.store.connections import Pool

_EVERY_MINUTE: Final = "* * * * *"
_QUEUE: Final = "ingest"
# A worker for each queue, and how many of its jobs go on at once: what waits for somebody else's
# server holds up nothing here.
QUEUES: Final = {_QUEUE: 1, notifications.QUEUE: notifications.CONCURRENCY}
_POLL_S: Final = 1.0  # a retry begins as late as this
_WATCH_S: Final = 5.0
_SPARE_S: Final = 2.0  # for a worker to say that it is gone


def app_of(
    dsn: str,
    pool: Pool,
    downlink: Downlink,
    *,
    clock: Callable[[], datetime],
    hole_age_s: int,
    outage_rules: OutageRules = DEFAULT,
) -> App:
    """Return the jobs with what they need, not yet open."""
    app = App(connector=PsycopgConnector(conninfo=connections.bounded(dsn, "hemvital-jobs")))

    @app.periodic(cron=_EVERY_MINUTE)
    @app.task(queue=_QUEUE, name="ask_for_missing", queueing_lock="ask_for_missing")
    async def ask(timestamp: int) -> None:  # noqa: ARG001 procrastinate gives it
        # A tick that was missed needs no catching up: the next one finds the same holes.
        await ask_for_missing(pool, downlink, now=clock(), age_s=hole_age_s)

    @app.periodic(cron=_EVERY_MINUTE)
    @app.task(queue=_QUEUE, name="tell_gateways", queueing_lock="tell_gateways")
    async def tell(timestamp: int) -> None:  # noqa: ARG001 procrastinate gives it
        await tell_gateways(pool, downlink, now=clock())

    @app.periodic(cron=_EVERY_MINUTE)
    @app.task(queue=_QUEUE, name="canary", queueing_lock="canary")
    async def see_canary(timestamp: int) -> None:  # noqa: ARG001 procrastinate gives it
        await canary.look(pool, now=clock())
        await canary.prune(pool, now=clock())

    @app.periodic(cron=_EVERY_MINUTE)
    @app.task(queue=_QUEUE, name="outage", queueing_lock="outage")
    async def watch_outages(timestamp: int) -> None:  # noqa: ARG001 procrastinate gives it
        await outage.watch(pool, now=clock(), rules=outage_rules)

    return app


async def serve(
    app: App,
    pool: Pool,
    health: Health,
    beside: Sequence[Coroutine[None, None, None]],
    stop: asyncio.Event,
    *,
    drain_s: float,
    queues: Mapping[str, int] = QUEUES,
) -> None:
    """Run jobs until ``stop`` is set; running ones get ``drain_s`` seconds to finish.

    What is only looked at, listened to or repeated goes on ``beside``: it needs no queue, and a
    tick that is missed is missed. ``queues`` are those to work on, and how many jobs of each at
    once.

    Raises:
        ExceptionGroup: If the worker fails; the supervisor starts the process anew.
    """
    async with app.open_async(), asyncio.TaskGroup() as tasks:
        working = [
            tasks.create_task(
                app.run_worker_async(
                    queues=[queue],
                    concurrency=concurrency,
                    fetch_job_polling_interval=_POLL_S,
                    install_signal_handlers=False,
                    delete_jobs="successful",
                    shutdown_graceful_timeout=drain_s,
                ),
                name=f"jobs {queue}",
            )
            for queue, concurrency in queues.items()
        ]
        going_on = [tasks.create_task(_watch(pool, health), name="watch")]
        going_on += [tasks.create_task(each) for each in beside]
        await stop.wait()  # no deadline: that is a service's life
        await stopping.end(going_on)
        await stopping.end(working, again_s=drain_s + _SPARE_S)


async def _watch(pool: Pool, health: Health) -> None:
    """Keep the answers of /readyz fresh."""
    while True:
        health.database = await connections.ping(pool)
        await asyncio.sleep(_WATCH_S)
