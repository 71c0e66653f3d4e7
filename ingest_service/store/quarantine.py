"""What did not fit, kept with its bytes until a person or a correction lets it in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from psycopg.rows import args_row

from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

# What has no number of its own is sent again and again: it is kept once. What was destroyed does
# not come back by this way either: its device is nobody's now. In order, so that ids tell it.
_ADD: Final = """
INSERT INTO quarantine (gateway_id, care_unit_id, epoch, number, reason, detail, payload,
       payload_size, record_id, device_id, trace_id, schema_version, priority, raised_at,
       received_at)
SELECT gateway_id, care_unit_id, epoch, number, reason, detail, decode(payload, 'base64'),
       payload_size, record_id, device_id, trace_id, schema_version, priority, raised_at,
       coalesce(received_at, clock_timestamp())
  FROM json_to_recordset(%s::json)
       AS row(gateway_id text, care_unit_id uuid, epoch uuid, number bigint, reason text,
              detail text, payload text, payload_size bigint, record_id uuid, device_id text,
              trace_id text, schema_version text, priority text, raised_at timestamptz,
              received_at timestamptz)
 WHERE ((number IS NOT NULL AND reason <> 'number_reused')
        OR NOT EXISTS (SELECT FROM quarantine q
                        WHERE (q.number IS NULL OR q.reason = 'number_reused')
                          AND q.gateway_id = row.gateway_id AND q.reason = row.reason
                          AND sha256(q.payload) = sha256(decode(row.payload, 'base64'))))
   AND NOT EXISTS (SELECT FROM destroyed_record x WHERE x.record_id = row.record_id)
 ORDER BY gateway_id, epoch, number
"""

# No lock: what happens to the record itself is decided by its key and its patient's lock.
_OF_RECORDS: Final = """
SELECT id, gateway_id, epoch, number, reason, payload, record_id, schema_version, received_at,
       raised_at, resolved_at IS NOT NULL
  FROM quarantine
 WHERE record_id = ANY(%(records)s)
   AND (%(reasons)s::text[] IS NULL OR reason = ANY(%(reasons)s))
   AND (resolved_at IS NULL
        OR %(reasons)s::text[] IS NULL AND resolution = 'rejected'
           AND reason NOT IN ('number_reused', 'correction_without_record'))
 ORDER BY id
"""

_WAITING: Final = """
SELECT id, gateway_id, epoch, number, reason, payload, record_id, schema_version, received_at,
       raised_at, resolved_at IS NOT NULL
  FROM quarantine
 WHERE id = ANY(%(ids)s) AND (resolved_at IS NULL OR %(rejected)s AND resolution = 'rejected')
 ORDER BY id
"""

# Their records are stored, or wait in entries of their own; the message's bytes are still here.
_MESSAGES_REPLAYED: Final = """
SELECT id, gateway_id, epoch, number, reason, payload, record_id, schema_version, received_at,
       raised_at, false
  FROM quarantine
 WHERE schema_version IS NOT NULL AND resolution = 'replayed' AND payload <> ''
 ORDER BY id
"""

_OLDEST_IDS: Final = """
SELECT id FROM quarantine
 WHERE resolved_at IS NULL AND id > %(after)s AND (%(reason)s::text IS NULL OR reason = %(reason)s)
 ORDER BY id
 LIMIT %(most)s
"""

_RESOLVE: Final = """
UPDATE quarantine
   SET resolved_at = clock_timestamp(), resolution = %(resolution)s, resolved_by = %(by)s,
       resolved_why = %(why)s
 WHERE id = ANY(%(ids)s)
   AND (resolved_at IS NULL OR resolution = 'rejected' AND %(resolution)s = 'assigned')
RETURNING id
"""

_REJECT: Final = """
UPDATE quarantine
   SET resolved_at = clock_timestamp(), resolution = 'rejected', resolved_by = %(by)s,
       resolved_why = %(why)s
 WHERE id = %(id)s AND resolved_at IS NULL
RETURNING id, care_unit_id
"""

_LIST: Final = """
SELECT id, gateway_id, care_unit_id, epoch, number, reason, detail, payload_size, record_id,
       device_id, trace_id, received_at, priority, raised_at, resolved_at, resolution,
       resolved_by, resolved_why
  FROM quarantine
 WHERE (resolved_at IS NULL OR %(all)s) AND id > %(after)s
 ORDER BY id
 LIMIT %(most)s
"""

_PAYLOAD: Final = "SELECT payload FROM quarantine WHERE id = %s"


class QuarantineRow(msgspec.Struct, frozen=True, kw_only=True):
    """One record, or one message that could not be taken apart, with the reason it waits.

    ``priority`` is ``red`` for a reading that would be red for whoever it may be.
    """

    gateway_id: str
    care_unit_id: UUID | None
    epoch: UUID | None
    number: int | None
    reason: str
    detail: str
    payload: bytes
    payload_size: int
    record_id: UUID | None = None
    device_id: str | None = None
    trace_id: str | None = None
    schema_version: str | None = None
    priority: str | None = None
    raised_at: datetime | None = None
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How waiting ended, and through whom."""

    resolution: str
    by: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A quarantined record or message that a correction, a person or a newer program sets free.

    ``schema_version`` is what its message said of itself, where that is why it waits;
    ``is_rejected`` tells that it waits no longer, since a person decided that it is nobody's.
    """

    id: int
    gateway_id: str
    epoch: UUID | None
    number: int | None
    reason: str
    payload: bytes
    record_id: UUID | None
    schema_version: str | None
    received_at: datetime
    raised_at: datetime | None
    is_rejected: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the quarantine's list."""

    id: int
    gateway_id: str
    care_unit_id: UUID | None
    epoch: UUID | None
    number: int | None
    reason: str
    detail: str
    payload_size: int
    record_id: UUID | None
    device_id: str | None
    trace_id: str | None
    received_at: datetime
    priority: str | None
    raised_at: datetime | None
    resolved_at: datetime | None
    resolution: str | None
    resolved_by: str | None
    resolved_why: str | None


async def add(connection: Connection, rows: Collection[QuarantineRow]) -> None:
    """Put these away."""
    await connection.execute(_ADD, [packed(rows)])


async def of_records(
    connection: Connection, records: Collection[UUID], reasons: Collection[str] | None = None
) -> list[Waiting]:
    """Return what still waits of these records for one of these reasons.

    Without reasons, whatever waits of them, and what a person rejected.
    """
    values = {"records": list(records), "reasons": list(reasons) if reasons else None}
    async with connection.cursor(row_factory=args_row(Waiting)) as cursor:
        await cursor.execute(_OF_RECORDS, values)
        return await cursor.fetchall()


async def waiting(
    connection: Connection, ids: Collection[int], *, with_rejected: bool = False
) -> list[Waiting]:
    """Return those of these entries that still wait, if wanted also those that were rejected."""
    async with connection.cursor(row_factory=args_row(Waiting)) as cursor:
        await cursor.execute(_WAITING, {"ids": list(ids), "rejected": with_rejected})
        return await cursor.fetchall()


async def messages_replayed(connection: Connection) -> list[Waiting]:
    """Return the whole messages that a newer program could read."""
    async with connection.cursor(row_factory=args_row(Waiting)) as cursor:
        await cursor.execute(_MESSAGES_REPLAYED)
        return await cursor.fetchall()


async def ids_waiting(
    connection: Connection, *, after: int, most: int, reason: str | None = None
) -> list[int]:
    """Return the ids of what waits, oldest first, of one reason or of all."""
    cursor = await connection.execute(
        _OLDEST_IDS, {"after": after, "most": most, "reason": reason}
    )
    return [row[0] for row in await cursor.fetchall()]


async def resolve(connection: Connection, ids: Collection[int], ending: Ending) -> set[int]:
    """Note that these wait no longer, how it ended and through whom.

    Returns:
        Those that waited until now; of the others somebody decided meanwhile.
    """
    values = {"resolution": ending.resolution, "by": ending.by, "why": ending.why}
    cursor = await connection.execute(_RESOLVE, {"ids": list(ids), **values})
    return {row[0] for row in await cursor.fetchall()}


async def reject(
    connection: Connection, entry_id: int, *, by: str, why: str | None = None
) -> tuple[int, UUID | None] | None:
    """Note that a person decided that this belongs in nobody's record; its bytes stay.

    Returns:
        The entry's id and unit, or ``None`` if no such entry waits.
    """
    cursor = await connection.execute(_REJECT, {"id": entry_id, "by": by, "why": why})
    row = await cursor.fetchone()
    return (row[0], row[1]) if row else None


async def page(
    connection: Connection, *, after: int = 0, most: int = 100, is_all: bool = False
) -> list[Entry]:
    """Return what waits, oldest first; with ``is_all`` also what waits no longer."""
    async with connection.cursor(row_factory=args_row(Entry)) as cursor:
        await cursor.execute(_LIST, {"all": is_all, "after": after, "most": most})
        return await cursor.fetchall()


async def payload(connection: Connection, entry_id: int) -> bytes | None:
    """Return the bytes of one entry as they came, or ``None`` if there is no such entry."""
    cursor = await connection.execute(_PAYLOAD, [entry_id])
    row = await cursor.fetchone()
    return bytes(row[0]) if row else None
