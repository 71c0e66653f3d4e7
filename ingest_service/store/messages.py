"""The outbox: what the platform wants said to whom, written where the reason is written."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self
from uuid import UUID, uuid5

import msgspec
from psycopg.rows import args_row

from ingest_service.messages.message import Cancellation, Message
from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

_SPACE: Final = UUID("6f1d3c1e-3f0b-5a55-9d53-0f6f9a3b7c11")

# No conflict target, which would need the right to read: the jobs put messages and read none. A
# key that is there already decides, whoever wrote it.
_PUT: Final = """
INSERT INTO message (id, key, kind, recipient, care_unit_id, patient_id, alert_id, priority,
       is_open, language, deadline, created_at)
SELECT id, key, kind, recipient, care_unit_id, patient_id, alert_id, priority, is_open,
       language, deadline, created_at
  FROM json_to_recordset(%s::json)
       AS row(id uuid, key text, kind text, recipient text, care_unit_id uuid, patient_id uuid,
              alert_id uuid, priority text, is_open boolean, language text, deadline timestamptz,
              created_at timestamptz)
 ORDER BY id
    ON CONFLICT DO NOTHING
"""

# What was handed on can still be stopped: a channel that has not been told asks first.
_CANCEL: Final = """
UPDATE message m
   SET state = 'cancelled', state_at = %(at)s, cause = given.cause
  FROM json_to_recordset(%(cancellations)s::json)
       AS given(patient_id uuid, alert_id uuid, kinds text[], cause text)
 WHERE m.patient_id = given.patient_id
   AND (given.alert_id IS NULL OR m.alert_id = given.alert_id)
   AND (given.kinds = '{}' OR m.kind = ANY(given.kinds))
   AND m.state IN ('waiting', 'handed_on')
"""

_HANDED_ON: Final = """
UPDATE message SET state = 'handed_on', state_at = %(at)s WHERE id = %(id)s
"""

_LANGUAGES: Final = """
SELECT id, language, kin_language FROM patient WHERE id = ANY(%s)
"""

_FOR_STAFF: Final = """
SELECT id, kind, recipient, care_unit_id, priority, is_open, deadline, created_at, state
  FROM staff_message
 WHERE state = 'waiting'
 ORDER BY created_at, id
 LIMIT %s
   FOR UPDATE SKIP LOCKED
"""

_MOVE: Final = """
UPDATE staff_message SET state = %(state)s, state_at = %(at)s WHERE id = ANY(%(ids)s)
"""

_WAITING: Final = """
SELECT recipient, count(*), min(created_at)
  FROM staff_message
 WHERE state = 'waiting'
 GROUP BY recipient
"""


class MessageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it is stored; ``language`` is ``None`` until `put` has looked it up."""

    id: UUID
    key: str
    kind: str
    recipient: str
    care_unit_id: UUID | None
    patient_id: UUID | None
    alert_id: UUID | None
    priority: str | None
    is_open: bool | None
    language: str | None
    deadline: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, message: Message, *, created_at: datetime) -> Self:
        """Return the row of a message; its id follows from its key."""
        return cls(
            id=uuid5(_SPACE, message.key),
            key=message.key,
            kind=message.kind,
            recipient=message.recipient,
            care_unit_id=message.care_unit_id,
            patient_id=message.patient_id,
            alert_id=message.alert_id,
            priority=message.priority,
            is_open=message.is_open,
            language=message.language,
            deadline=message.deadline,
            created_at=created_at,
        )


class _CancellationRow(msgspec.Struct, frozen=True, kw_only=True):
    patient_id: UUID
    alert_id: UUID | None
    kinds: Collection[str]
    cause: str


@dataclass(frozen=True, slots=True)
class StaffMessage:
    """A message for staff, as whoever passes it on sees it: not whom it is about."""

    id: UUID
    kind: str
    recipient: str
    care_unit_id: UUID | None
    priority: str | None
    is_open: bool | None
    deadline: datetime | None
    created_at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class WaitingMessages:
    """How many messages for a role nobody has passed on yet, and since when the oldest waits."""

    recipient: str
    count: int
    oldest: datetime


async def put(connection: Connection, rows: Collection[MessageRow]) -> int:
    """Write messages inside the caller's transaction; one whose key is there changes nothing.

    Args:
        connection: Inside the transaction that gives the reason. In the order of locks this comes
            after alerts (docs/adr/0005). Rows without a patient may be put by the jobs too.
        rows: What `MessageRow.of` returned.

    Returns:
        How many are new.
    """
    if not rows:
        return 0
    cursor = await connection.execute(_PUT, [packed(await _in_languages(connection, rows))])
    return cursor.rowcount


async def put_handed_on(connection: Connection, row: MessageRow, *, at: datetime) -> None:
    """Write a message whose channel is decided: nobody else is to pass it on."""
    await put(connection, [row])
    await connection.execute(_HANDED_ON, {"id": row.id, "at": at})


async def cancel(
    connection: Connection, cancellations: Collection[Cancellation], *, at: datetime
) -> int:
    """Take back messages that have not been said, inside the caller's transaction.

    Returns:
        How many that were.
    """
    if not cancellations:
        return 0
    rows = [
        _CancellationRow(
            patient_id=one.patient_id,
            alert_id=one.alert_id,
            kinds=sorted(one.kinds),
            cause=one.cause,
        )
        for one in cancellations
    ]
    cursor = await connection.execute(_CANCEL, {"cancellations": packed(rows), "at": at})
    return cursor.rowcount


async def take_for_staff(connection: Connection, *, most: int) -> list[StaffMessage]:
    """Return and lock messages for staff that wait, oldest first; another taker's are left out."""
    async with connection.cursor(row_factory=args_row(StaffMessage)) as cursor:
        await cursor.execute(_FOR_STAFF, [most])
        return await cursor.fetchall()


async def move(
    connection: Connection, message_ids: Collection[UUID], state: str, *, at: datetime
) -> None:
    """Note what became of messages for staff."""
    if message_ids:
        await connection.execute(_MOVE, {"ids": list(message_ids), "state": state, "at": at})


async def waiting_for_staff(connection: Connection) -> list[WaitingMessages]:
    """Return what waits for each of staff's roles; a role that nothing waits for is left out."""
    async with connection.cursor(row_factory=args_row(WaitingMessages)) as cursor:
        await cursor.execute(_WAITING)
        return await cursor.fetchall()


async def _in_languages(
    connection: Connection, rows: Collection[MessageRow]
) -> Collection[MessageRow]:
    """Return the rows for people at home in the language that they chose, where none is given."""
    asking = [
        row for row in rows if row.language is None and row.recipient in {"patient", "next_of_kin"}
    ]
    if not asking:
        return rows
    cursor = await connection.execute(_LANGUAGES, [list({row.patient_id for row in asking})])
    chosen = {
        (patient_id, recipient): language
        for patient_id, own, kin in await cursor.fetchall()
        for recipient, language in (("patient", own), ("next_of_kin", kin))
    }
    return [
        msgspec.structs.replace(row, language=chosen.get((row.patient_id, row.recipient)) or "sv")
        if row.language is None and row.recipient in {"patient", "next_of_kin"}
        else row
        for row in rows
    ]
