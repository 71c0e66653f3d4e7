"""Telling staff, as jobs: one for each telling, retried when the telling says so.

The rows of `notification` are the truth; a job only says that somebody should look. What no job
looks after, because a process died or a job was lost, comes up again by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg
from procrastinate import App, BaseRetryStrategy, RetryDecision
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job, Status

from ingest_service.notifying.delivering import GRACE, Courier
from ingest_service.notifying.dispatching import Unrouted, dispatch
from ingest_service.store import notifications
from ingest_service.store.connections import Pool

logger = logging.getLogger(__name__)

QUEUE: Final = "notifications"
CONCURRENCY: Final = 8
TASK: Final = "notify"

_EVERY_S: Final = 2.0
_CLEAN_EVERY: Final = 30  # turns
_MOST: Final = 200


class TryAgainError(Exception):
    """A telling is to be tried again; it is logged with a traceback, so it says nothing."""

    def __init__(self, at: datetime) -> None:
        super().__init__("not taken")
        self.at = at


class _WhenSaid(BaseRetryStrategy):
    """Retries at the time that the failed attempt worked out; nothing else is retried here."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:  # noqa: ARG002 procrastinate's signature
        return (
            RetryDecision(retry_at=exception.at) if isinstance(exception, TryAgainError) else None
        )


def add(app: App, courier: Courier) -> None:
    """Add the job of telling to the jobs."""

    @app.task(queue=QUEUE, name=TASK, retry=_WhenSaid())
    async def notify(notification_id: str) -> None:
        again = await courier.deliver(UUID(notification_id))
        if again is not None:
            raise TryAgainError(again)


async def keep_telling(
    app: App, pool: Pool, counting: Unrouted, clock: Callable[[], datetime]
) -> None:
    """Pass messages on and bring tellings to workers, every two seconds, for ever."""
    turn = 0
    while True:
        try:
            await bring(app, pool, counting, now=clock())
            if turn % _CLEAN_EVERY == 0:
                await _forget_jobs_of_the_dead(app)
        except (psycopg.Error, ConnectorException) as error:
            logger.warning("could not pass messages on", extra={"error": type(error).__name__})
        turn += 1
        await asyncio.sleep(_EVERY_S)


async def bring(app: App, pool: Pool, counting: Unrouted, *, now: datetime) -> int:
    """Pass messages on and give every telling that is due a job; returns how many those were."""
    await dispatch(pool, counting, now=now)
    async with pool.connection() as connection:
        due = await notifications.due(connection, now=now, again_in=GRACE, most=_MOST)
    for one in due:
        # A job that waits already will do.
        with suppress(AlreadyEnqueued):
            await app.configure_task(
                TASK, queue=QUEUE, queueing_lock=f"{TASK} {one.id}"
            ).defer_async(notification_id=str(one.id))
    return len(due)


async def _forget_jobs_of_the_dead(app: App) -> None:
    """Delete jobs that a dead worker was at; what they were about comes up again by its row."""
    for job in await app.job_manager.get_stalled_jobs(queue=QUEUE):
        await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)
