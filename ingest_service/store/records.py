"""Device records: what decides whether a reading is new, with the bytes as they came."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import structs
from psycopg.rows import args_row

from ingest_service.store import texts
from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

# The unique key decides, never a search before. Two records without a time of their own and with
# the same bytes within two minutes may be one record read twice or two true measurements: both
# are kept and the one that comes later says so.
_ADD: Final = """
WITH given AS MATERIALIZED (
    SELECT *
      FROM json_to_recordset(%s::json)
           AS row(record_id uuid, care_unit_id uuid, patient_id uuid, device_id text,
                  gateway_id text, epoch uuid, number bigint, kind text, is_identity_own boolean,
                  is_suspected_double boolean, characteristic text, raw text, record text,
                  user_index smallint, effective_at timestamptz, time_quality text,
                  received_at timestamptz, device_clock_offset_s double precision, trace_id text)
), inserted AS (
    INSERT INTO device_record (record_id, care_unit_id, patient_id, device_id, gateway_id, epoch,
           number, kind, is_identity_own, is_suspected_double, characteristic, raw, record,
           user_index, effective_at, time_quality, received_at, device_clock_offset_s, trace_id)
    SELECT record_id, care_unit_id, patient_id, device_id, gateway_id, epoch,
           number, kind, is_identity_own,
           is_suspected_double OR NOT is_identity_own AND EXISTS (
               SELECT FROM device_record d
                WHERE d.device_id = given.device_id
                  AND d.received_at BETWEEN given.received_at - INTERVAL '2 minutes'
                                        AND given.received_at + INTERVAL '2 minutes'
                  AND d.raw = decode(given.raw, 'base64')
                  AND d.record_id <> given.record_id),
           characteristic, decode(raw, 'base64'), decode(record, 'base64'),
           user_index, effective_at, time_quality, received_at, device_clock_offset_s, trace_id
      FROM given
     ORDER BY record_id
        ON CONFLICT (record_id) DO NOTHING
    RETURNING record_id, is_suspected_double
)
SELECT given.record_id, inserted.record_id IS NULL
  FROM given LEFT JOIN inserted USING (record_id)
 WHERE inserted.record_id IS NULL OR inserted.is_suspected_double
"""

_KNOWN: Final = """
SELECT record_id, patient_id, gateway_id, effective_at, time_quality, record, is_suspected_double
  FROM device_record
 WHERE record_id = ANY(%s)
 ORDER BY record_id
"""

_SET_TIME: Final = """
UPDATE device_record d
   SET effective_at = row.effective_at, time_quality = row.time_quality,
       record = decode(row.record, 'base64')
  FROM json_to_recordset(%s::json)
       AS row(record_id uuid, effective_at timestamptz, time_quality text, record text)
 WHERE d.record_id = row.record_id
"""

_EXPORT: Final = """
SELECT record_id, device_id, characteristic, encode(raw, 'hex'), patient_id, effective_at
  FROM device_record
 ORDER BY stored_at, record_id
"""


class RecordRow(msgspec.Struct, frozen=True, kw_only=True):
    """One device record, new as far as is known."""

    record_id: UUID
    care_unit_id: UUID
    patient_id: UUID
    device_id: str
    gateway_id: str
    epoch: UUID | None  # never null in the table: every reading has a number
    number: int | None
    kind: str
    is_identity_own: bool
    is_suspected_double: bool
    characteristic: str
    raw: bytes
    record: bytes
    user_index: int | None
    effective_at: datetime
    time_quality: str
    received_at: datetime
    device_clock_offset_s: float | None
    trace_id: str


class RecordTime(msgspec.Struct, frozen=True, kw_only=True):
    """A better time for a record, and the record as it is from now on."""

    record_id: UUID
    effective_at: datetime
    time_quality: str
    record: bytes


@dataclass(frozen=True, slots=True)
class Added:
    """What `add` found out: records known before, and new ones that may be doubles."""

    known: frozenset[UUID]
    suspected_doubles: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class KnownRecord:
    """A record that was stored before."""

    record_id: UUID
    patient_id: UUID
    gateway_id: str
    effective_at: datetime
    time_quality: str
    record: bytes
    is_suspected_double: bool


@dataclass(frozen=True, slots=True)
class ExportedRecord:
    """What a ledger outside can be compared with; ``raw`` is hexadecimal."""

    record_id: UUID
    device_id: str
    characteristic: str
    raw: str
    patient_id: UUID
    effective_at: datetime


async def add(connection: Connection, rows: Collection[RecordRow]) -> Added:
    """Store what is new; a record that is known by its id is left as it is."""
    stored = [structs.replace(row, record=texts.stored_record(row.record)) for row in rows]
    cursor = await connection.execute(_ADD, [packed(stored)])
    found = await cursor.fetchall()
    return Added(
        frozenset(record_id for record_id, is_known in found if is_known),
        frozenset(record_id for record_id, is_known in found if not is_known),
    )


async def known(connection: Connection, ids: Collection[UUID]) -> dict[UUID, KnownRecord]:
    """Return those of these records that are stored."""
    async with connection.cursor(row_factory=args_row(KnownRecord)) as cursor:
        await cursor.execute(_KNOWN, [list(ids)])
        found = await cursor.fetchall()
    return {
        row.record_id: replace(row, record=texts.record_of(row.record_id, row.record))
        for row in found
    }


async def set_times(connection: Connection, rows: Collection[RecordTime]) -> None:
    """Give records their better times."""
    stored = [structs.replace(row, record=texts.stored_record(row.record)) for row in rows]
    await connection.execute(_SET_TIME, [packed(stored)])


async def export(connection: Connection) -> AsyncIterator[ExportedRecord]:
    """Yield every device record in the order of storing; rows are fetched a thousand at a time."""
    async with connection.cursor("export", row_factory=args_row(ExportedRecord)) as cursor:
        cursor.itersize = 1000
        await cursor.execute(_EXPORT)
        async for row in cursor:
            yield row
