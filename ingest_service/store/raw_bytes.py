"""Bytes as they came, of old records: emptied, while the resources made of them stay.

Nothing here touches what is on hold, and nothing runs by itself (docs/adr/0021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString, TypeVar
from uuid import UUID

from ingest_service.store import patients
from ingest_service.store.connections import Connection

_OLD_RECORDS: Final = """
SELECT count(*) FILTER (WHERE NOT is_held), count(*) FILTER (WHERE is_held),
       min(at) FILTER (WHERE NOT is_held), max(at) FILTER (WHERE NOT is_held)
  FROM (SELECT d.stored_at AS at,
               EXISTS (SELECT FROM legal_hold h
                        WHERE h.patient_id = d.patient_id AND h.released_at IS NULL) AS is_held
          FROM device_record d
         WHERE d.stored_at < %(before)s AND d.forgotten_at IS NULL) AS old
"""

# Whose an entry is, its record says; else it may be anybody's who ever had its device.
_OLD_ENTRIES: Final = """
SELECT count(*) FILTER (WHERE NOT is_held), count(*) FILTER (WHERE is_held),
       min(at) FILTER (WHERE NOT is_held), max(at) FILTER (WHERE NOT is_held)
  FROM (SELECT q.resolved_at AS at,
               EXISTS (SELECT FROM legal_hold h
                        WHERE h.released_at IS NULL
                          AND h.patient_id IN (
                              SELECT patient_id FROM device_record WHERE record_id = q.record_id
                              UNION ALL
                              SELECT patient_id FROM assignment WHERE device_id = q.device_id)
                      ) AS is_held
          FROM quarantine q
         WHERE q.resolved_at < %(before)s AND q.forgotten_at IS NULL) AS old
"""

_NEXT_RECORDS: Final = """
SELECT record_id, ARRAY[patient_id]
  FROM device_record
 WHERE record_id > %(after)s AND stored_at < %(before)s AND forgotten_at IS NULL
 ORDER BY record_id
 LIMIT %(most)s
"""

_NEXT_ENTRIES: Final = """
SELECT q.id,
       ARRAY(SELECT patient_id FROM device_record WHERE record_id = q.record_id
             UNION
             SELECT patient_id FROM assignment WHERE device_id = q.device_id)
  FROM quarantine q
 WHERE q.id > %(after)s AND q.resolved_at < %(before)s AND q.forgotten_at IS NULL
 ORDER BY q.id
 LIMIT %(most)s
"""

_HELD: Final = (
    "SELECT patient_id FROM legal_hold WHERE patient_id = ANY(%s) AND released_at IS NULL"
)

_FORGET_RECORDS: Final = """
UPDATE device_record
   SET raw = '', record = '', forgotten_at = %(at)s
 WHERE record_id = ANY(%(ids)s)
"""
_FORGET_ENTRIES: Final = """
UPDATE quarantine SET payload = '', forgotten_at = %(at)s WHERE id = ANY(%(ids)s)
"""

_Id = TypeVar("_Id", UUID, int)
_BEFORE_RECORDS: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class OldBytes:
    """How many rows have bytes that are old: to be emptied, and held back; times of the former."""

    rows: int
    held: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """How many records were emptied; ``last`` is where to go on, None at the end."""

    rows: int
    last: UUID | None


@dataclass(frozen=True, slots=True)
class EntryBatch:
    """How many quarantine entries were emptied; ``last`` is where to go on, None at the end."""

    rows: int
    last: int | None


async def old_records(connection: Connection, *, before: datetime) -> OldBytes:
    """Count the device records that were stored before that time and still have their bytes."""
    return await _count(connection, _OLD_RECORDS, before)


async def old_entries(connection: Connection, *, before: datetime) -> OldBytes:
    """Count the quarantine's entries that ended before that time and still have their bytes."""
    return await _count(connection, _OLD_ENTRIES, before)


async def forget_records(
    connection: Connection, *, before: datetime, at: datetime, after: UUID | None, most: int
) -> RecordBatch:
    """Empty the bytes of the next old records, but for those of patients on hold.

    Args:
        connection: As the owner; the transaction is one batch.
        before: Records stored earlier than this are old.
        at: The time it is.
        after: ``last`` of the batch before.
        most: At most this many are looked at.
    """
    cursor = await connection.execute(
        _NEXT_RECORDS, {"after": after or _BEFORE_RECORDS, "before": before, "most": most}
    )
    found: list[tuple[UUID, list[UUID]]] = await cursor.fetchall()
    free = await _free(connection, found)
    await connection.execute(_FORGET_RECORDS, {"ids": free, "at": at})
    return RecordBatch(len(free), found[-1][0] if found else None)


async def forget_entries(
    connection: Connection, *, before: datetime, at: datetime, after: int | None, most: int
) -> EntryBatch:
    """Empty the payloads of the next entries that ended long ago; see `forget_records`."""
    cursor = await connection.execute(
        _NEXT_ENTRIES, {"after": after or 0, "before": before, "most": most}
    )
    found: list[tuple[int, list[UUID]]] = await cursor.fetchall()
    free = await _free(connection, found)
    await connection.execute(_FORGET_ENTRIES, {"ids": free, "at": at})
    return EntryBatch(len(free), found[-1][0] if found else None)


async def _count(connection: Connection, query: LiteralString, before: datetime) -> OldBytes:
    cursor = await connection.execute(query, {"before": before})
    row = await cursor.fetchone()
    return OldBytes(*row) if row else OldBytes(0, 0, None, None)


async def _free(connection: Connection, found: Sequence[tuple[_Id, list[UUID]]]) -> list[_Id]:
    """Return what nobody holds; a hold that is being set waits for the patients' locks."""
    concerned = {patient_id for _, whose in found for patient_id in whose}
    await patients.lock(connection, concerned)
    cursor = await connection.execute(_HELD, [list(concerned)])
    held = {row[0] for row in await cursor.fetchall()}
    return [row_id for row_id, whose in found if held.isdisjoint(whose)]
