"""One attempt of one telling, from claiming it to noting what became of it.

Claiming is committed before anything leaves, and what became of it after: a worker that dies
between leaves a telling that is tried again with the same id. Twice is possible, not at all is
not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from ingest_service.messages import kinds, texts
from ingest_service.messages.message import Kind, Priority, Recipient
from ingest_service.notifying import attempts
from ingest_service.notifying.errors import DeliveryError, RefusedError, UnavailableError
from ingest_service.notifying.outgoing import Outgoing, Sender
from ingest_service.notifying.routing import next_channels
from ingest_service.store import channels, messages, notifications
from ingest_service.store.connections import Connection, Pool
from ingest_service.store.messages import MessageRow
from ingest_service.store.notifications import Claimed
from ingest_service.wording import catalogue
from ingest_service.wording.catalogue import Catalogue

logger = logging.getLogger(__name__)

ATTEMPT_S: Final = 25.0
# A worker that has not settled by then is taken for dead; a live one gave up long before.
LEASE: Final = timedelta(seconds=60)
# The schedule's own retry comes first; the look-out for what was left lying comes after.
GRACE: Final = timedelta(seconds=15)

_PRIORITIES: Final[Mapping[str, Priority]] = {"red": "red", "yellow": "yellow", "blue": "blue"}


class Counting(Protocol):
    """Who counts what became of tellings."""

    def outcome(self, channel_kind: str, outcome: str) -> None:
        """Count one attempt or end."""
        ...

    def unreached(self, recipient: str) -> None:
        """Count a message that no channel took."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Courier:
    """Carries tellings to their channels.

    Attributes:
        pool: As the jobs' role.
        senders: By kind of channel; one that is not configured is missing.
        catalogues: The languages that there are.
        link: Where the worklist is.
        counting: Who counts.
        clock: What time it is.
        chance: A number from 0 to 1, another one each time.
        attempt_s: Longest time that one attempt takes.
    """

    pool: Pool
    senders: Mapping[str, Sender]
    catalogues: Mapping[str, Catalogue]
    link: str | None
    counting: Counting
    clock: Callable[[], datetime]
    chance: Callable[[], float]
    attempt_s: float = ATTEMPT_S

    async def deliver(self, notification_id: UUID) -> datetime | None:
        """Try a telling once, if nobody else does and it is not over.

        Returns:
            When to try it again; nothing if it is over or another worker's.
        """
        now = self.clock()
        async with self.pool.connection() as connection:
            claimed = await notifications.claim(
                connection, notification_id, now=now, until=now + LEASE
            )
        if claimed is None:
            return None
        failure = _obstacle(claimed, now)
        if failure is None:
            failure = await self._attempt(claimed, now)
        if isinstance(failure, _MootError):
            return await self._end(claimed, "cancelled", failure.cause)
        if failure is None:
            return await self._end(claimed, "delivered", None)
        return await self._failed(claimed, failure)

    async def _attempt(self, claimed: Claimed, now: datetime) -> DeliveryError | None:
        try:
            sender = self.senders.get(claimed.channel_kind)
            if sender is None:
                return UnavailableError("not_configured")
            async with asyncio.timeout(self.attempt_s):
                await sender.send(self._outgoing(claimed, now))
        except DeliveryError as error:
            return error
        except TimeoutError:
            return UnavailableError("timeout")
        return None

    def _outgoing(self, claimed: Claimed, now: datetime) -> Outgoing:
        reference = texts.reference_of(claimed.message_id)
        return Outgoing(
            id=claimed.id,
            address=claimed.address,
            secret=claimed.secret,
            notice=texts.for_staff(
                catalogue.closest(self.catalogues, claimed.language),
                Kind(claimed.message_kind),
                priority=_PRIORITIES.get(claimed.priority or ""),
                reference=reference,
                link=self.link,
            ),
            kind=claimed.message_kind,
            recipient=claimed.recipient,
            priority=claimed.priority,
            reference=reference,
            link=self.link,
            created_at=claimed.created_at,
            at=now,
        )

    async def _end(self, claimed: Claimed, state: str, error: str | None) -> None:
        async with self.pool.connection() as connection:
            await notifications.settle(connection, claimed, state, at=self.clock(), error=error)
        self._tell(claimed, state, error)

    async def _failed(self, claimed: Claimed, failure: DeliveryError) -> datetime | None:
        now, again = self.clock(), None
        if isinstance(failure, UnavailableError):
            again = attempts.next_try(
                claimed.attempts,
                now=now,
                chance=self.chance(),
                retry_after_s=failure.retry_after_s,
            )
        state = "failed" if again else "given_up"
        async with self.pool.connection() as connection:
            is_ours = await notifications.settle(
                connection,
                claimed,
                state,
                at=now,
                error=failure.cause,
                next_try_at=again and again + GRACE,
            )
            is_reached = not is_ours or await self._go_on(connection, claimed, failure, again, now)
        self._tell(claimed, state, failure.cause)
        if not is_reached:
            self.counting.unreached(claimed.recipient)
            logger.error(
                "no channel took a message",
                extra={
                    "message_id": str(claimed.message_id),
                    "kind": claimed.message_kind,
                    "recipient": claimed.recipient,
                    "care_unit_id": str(claimed.care_unit_id),
                },
            )
        return again

    async def _go_on(
        self,
        connection: Connection,
        claimed: Claimed,
        failure: DeliveryError,
        again: datetime | None,
        now: datetime,
    ) -> bool:
        """Turn to the next channel where it is time to; tells whether any may still reach them."""
        is_trial = claimed.message_kind == Kind.TEST
        is_late = failure.cause == _TOO_LATE
        if (again is None or claimed.attempts == attempts.NEXT_RANK_AFTER) and not (
            is_trial or is_late
        ):
            await self._queue_next(connection, claimed, now)
        if again is not None or is_trial:
            return True
        if await notifications.is_hope_left(connection, claimed.message_id):
            return True
        if claimed.recipient != Recipient.OPERATOR:
            row = MessageRow.of(
                kinds.undelivered(claimed.care_unit_id, claimed.recipient, now), created_at=now
            )
            await messages.put(connection, [row])
        return False

    async def _queue_next(self, connection: Connection, claimed: Claimed, now: datetime) -> None:
        units = [] if claimed.care_unit_id is None else [claimed.care_unit_id]
        known = await channels.of_units(connection, units)
        following = next_channels(known, claimed, after_rank=claimed.rank)
        rows = [notifications.row_of(claimed.message_id, channel.id) for channel in following]
        await notifications.queue(connection, rows, at=now)

    def _tell(self, claimed: Claimed, state: str, error: str | None) -> None:
        self.counting.outcome(claimed.channel_kind, state)
        level = logging.WARNING if state in {"failed", "given_up"} else logging.INFO
        logger.log(
            level,
            "notification %s",
            state,
            extra={
                "notification_id": str(claimed.id),
                "channel_id": claimed.channel_id,
                "channel_kind": claimed.channel_kind,
                "attempts": claimed.attempts,
                "error": error,
            },
        )


class _MootError(DeliveryError):
    """It need not be told any more."""


_TOO_LATE: Final = "too_late"


def _obstacle(claimed: Claimed, now: datetime) -> DeliveryError | None:
    """Return why nothing is to leave at all, if so."""
    if claimed.message_state == "cancelled":
        return _MootError("message_cancelled")
    if claimed.deadline is not None and claimed.deadline <= now:
        return RefusedError(_TOO_LATE)
    if not claimed.is_channel_active:
        return RefusedError("channel_disabled")
    if claimed.attempts > attempts.MOST:
        return RefusedError("worker_lost")
    return None
