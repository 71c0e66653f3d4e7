"""Tellings of messages by channels: who takes which, and what became of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

import msgspec
from psycopg.rows import args_row

from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

_SPACE: Final = UUID("c9b0e6a2-6f8a-5b7e-8f1d-3f5b5a0d9e42")

_QUEUE: Final = """
INSERT INTO notification (id, message_id, channel_id, created_at, next_try_at)
SELECT id, message_id, channel_id, %(at)s, %(at)s
  FROM json_to_recordset(%(rows)s::json) AS row(id uuid, message_id uuid, channel_id bigint)
 ORDER BY id
    ON CONFLICT (message_id, channel_id) DO NOTHING
"""

# What is due goes to a worker, and is due again if none has begun with it after a while. One that
# was begun with and not ended belonged to a worker that is gone.
_DUE: Final = """
WITH due AS (
    SELECT id
      FROM notification
     WHERE state IN ('queued', 'sending', 'failed')
       AND next_try_at <= %(now)s
     ORDER BY next_try_at, id
     LIMIT %(most)s
       FOR UPDATE SKIP LOCKED
)
UPDATE notification n
   SET next_try_at = %(again)s,
       error = CASE WHEN n.state = 'sending' THEN 'worker_lost' ELSE n.error END,
       state = CASE WHEN n.state = 'sending' THEN 'failed' ELSE n.state END
  FROM due
 WHERE n.id = due.id
RETURNING n.id, n.attempts
"""

# Only one worker can turn it to sending; a second one finds nothing to do.
_CLAIM: Final = """
UPDATE notification n
   SET state = 'sending', attempts = n.attempts + 1, next_try_at = %(until)s
  FROM staff_message m, notification_channel c
 WHERE n.id = %(id)s
   AND (n.state IN ('queued', 'failed') OR n.state = 'sending' AND n.next_try_at <= %(now)s)
   AND m.id = n.message_id
   AND c.id = n.channel_id
RETURNING n.id, n.attempts, n.message_id, m.kind, m.recipient, m.care_unit_id, m.priority,
          m.is_open, m.deadline, m.state, m.created_at, n.channel_id, c.kind, c.address, c.secret,
          c.language, c.rank, c.is_active
"""

_SETTLE: Final = """
UPDATE notification
   SET state = %(state)s, error = %(error)s, next_try_at = %(next)s, delivered_at = %(delivered)s
 WHERE id = %(id)s AND state = 'sending' AND attempts = %(attempt)s
"""

_HOPE: Final = """
SELECT EXISTS (SELECT FROM notification
                WHERE message_id = %s AND state IN ('queued', 'sending', 'failed', 'delivered'))
"""

_STATE: Final = "SELECT state, attempts, error FROM notification WHERE id = %s"

_UNDELIVERED: Final = """
SELECT c.kind, n.state, count(*), min(n.created_at)
  FROM notification n
  JOIN notification_channel c ON c.id = n.channel_id
 WHERE n.state IN ('queued', 'sending', 'failed')
 GROUP BY c.kind, n.state
"""


class NotificationRow(msgspec.Struct, frozen=True, kw_only=True):
    """One telling; its id follows from message and channel and goes out with every attempt."""

    id: UUID
    message_id: UUID
    channel_id: int


@dataclass(frozen=True, slots=True)
class Due:
    """A telling that somebody should try, and how often that was tried."""

    id: UUID
    attempts: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A telling that this worker alone tries now, with its message and its channel."""

    id: UUID
    attempts: int
    message_id: UUID
    message_kind: str
    recipient: str
    care_unit_id: UUID | None
    priority: str | None
    is_open: bool | None
    deadline: datetime | None
    message_state: str
    created_at: datetime
    channel_id: int
    channel_kind: str
    address: str
    secret: str | None
    language: str
    rank: int
    is_channel_active: bool


@dataclass(frozen=True, slots=True)
class Undelivered:
    """How many tellings of a kind of channel are not done, and when the oldest was asked for."""

    channel_kind: str
    state: str
    count: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one telling has come."""

    state: str
    attempts: int
    error: str | None


def row_of(message_id: UUID, channel_id: int) -> NotificationRow:
    """Return the telling of a message by a channel."""
    return NotificationRow(
        id=uuid5(_SPACE, f"{message_id}:{channel_id}"),
        message_id=message_id,
        channel_id=channel_id,
    )


async def queue(connection: Connection, rows: Collection[NotificationRow], *, at: datetime) -> int:
    """Ask for tellings, each once however often it is asked for; returns how many are new."""
    if not rows:
        return 0
    cursor = await connection.execute(_QUEUE, {"rows": packed(rows), "at": at})
    return cursor.rowcount


async def due(
    connection: Connection, *, now: datetime, again_in: timedelta, most: int
) -> list[Due]:
    """Return what should be tried now; it comes again after ``again_in`` if nobody does."""
    async with connection.cursor(row_factory=args_row(Due)) as cursor:
        await cursor.execute(_DUE, {"now": now, "again": now + again_in, "most": most})
        return await cursor.fetchall()


async def claim(
    connection: Connection, notification_id: UUID, *, now: datetime, until: datetime
) -> Claimed | None:
    """Take a telling for one attempt, or return nothing if another worker has it or it is over.

    Args:
        connection: To be committed before the attempt.
        notification_id: Which.
        now: The time it is.
        until: When this worker is taken for lost.
    """
    async with connection.cursor(row_factory=args_row(Claimed)) as cursor:
        await cursor.execute(_CLAIM, {"id": notification_id, "now": now, "until": until})
        return await cursor.fetchone()


async def settle(
    connection: Connection,
    claimed: Claimed,
    state: str,
    *,
    at: datetime,
    error: str | None = None,
    next_try_at: datetime | None = None,
) -> bool:
    """Note what became of an attempt; tells whether it was still this worker's."""
    cursor = await connection.execute(
        _SETTLE,
        {
            "id": claimed.id,
            "attempt": claimed.attempts,
            "state": state,
            "error": error,
            "next": next_try_at or at,
            "delivered": at if state == "delivered" else None,
        },
    )
    return cursor.rowcount == 1


async def is_hope_left(connection: Connection, message_id: UUID) -> bool:
    """Tell whether a message reached somebody or still may."""
    row = await (await connection.execute(_HOPE, [message_id])).fetchone()
    return bool(row and row[0])


async def standing(connection: Connection, notification_id: UUID) -> Standing | None:
    """Return how far a telling has come."""
    async with connection.cursor(row_factory=args_row(Standing)) as cursor:
        await cursor.execute(_STATE, [notification_id])
        return await cursor.fetchone()


async def undelivered(connection: Connection) -> list[Undelivered]:
    """Return what is not done, by kind of channel and state."""
    async with connection.cursor(row_factory=args_row(Undelivered)) as cursor:
        await cursor.execute(_UNDELIVERED)
        return await cursor.fetchall()
