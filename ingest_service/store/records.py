"""Device records: what decides whether a reading is new, with the bytes as they came."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
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
# are kept and the one that comes later says so. What was destroyed is known too, by its id alone.
_ADD: Final = """
WITH given AS MATERIALIZED (
    SELECT *
      FROM json_to_recordset(%s::json)
           AS row(record_id uuid, care_unit_id uuid, patient_id uuid, device_id text,
                  gateway_id text, epoch uuid, number bigint, kind text, is_identity_own boolean,
                  is_suspected_double boolean, characteristic text, raw text, record text,
                  user_index smallint, effective_at timestamptz, time_quality text,
                  received_at timestamptz, device_clock_offset_s double precision, trace_id text,
                  is_decided boolean, may_be_another boolean)
), inserted AS (
    INSERT INTO device_record (record_id, care_unit_id, patient_id, device_id, gateway_id, epoch,
           number, kind, is_identity_own, is_suspected_double, characteristic, raw, record,
           user_index, effective_at, time_quality, received_at, device_clock_offset_s, trace_id,
           is_decided, may_be_another)
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
           user_index, effective_at, time_quality, received_at, device_clock_offset_s, trace_id,
           is_decided, may_be_another
      FROM given
     WHERE NOT EXISTS (SELECT FROM destroyed_record x WHERE x.record_id = given.record_id)
     ORDER BY record_id
        ON CONFLICT (record_id) DO NOTHING
    RETURNING record_id, is_suspected_double
)
SELECT given.record_id, inserted.record_id IS NULL
  FROM given LEFT JOIN inserted USING (record_id)
 WHERE inserted.record_id IS NULL OR inserted.is_suspected_double
"""

# A statement of its own: what another worker committed meanwhile is only visible to a new one.
# Bytes that were forgotten cannot be compared.
_OTHER: Final = """
SELECT given.place
  FROM ROWS FROM (json_to_recordset(%s::json)
                  AS (record_id uuid, device_id text, characteristic text, raw text))
       WITH ORDINALITY AS given(record_id, device_id, characteristic, raw, place)
  JOIN device_record d USING (record_id)
 WHERE (d.device_id, d.characteristic) <> (given.device_id, given.characteristic)
    OR d.forgotten_at IS NULL AND d.raw <> decode(given.raw, 'base64')
"""

_KNOWN: Final = """
SELECT record_id, patient_id, device_id, user_index, gateway_id, effective_at, time_quality,
       record, attribution, is_suspected_double, is_decided, is_invalid, may_be_another
  FROM device_record
 WHERE record_id = ANY(%s)
 ORDER BY record_id
"""

# A worker may change when a record was, and nothing else of it.
_RETIME: Final = """
UPDATE device_record d
   SET effective_at = row.effective_at, time_quality = row.time_quality,
       record = decode(row.record, 'base64')
  FROM json_to_recordset(%s::json)
       AS row(record_id uuid, effective_at timestamptz, time_quality text, record text)
 WHERE d.record_id = row.record_id
"""

_REVISE: Final = """
UPDATE device_record d
   SET patient_id = row.patient_id, care_unit_id = row.care_unit_id, kind = row.kind,
       effective_at = row.effective_at, time_quality = row.time_quality,
       record = decode(row.record, 'base64'), attribution = row.attribution,
       is_decided = row.is_decided, is_invalid = row.is_invalid,
       may_be_another = row.may_be_another
  FROM json_to_recordset(%s::json)
       AS row(record_id uuid, patient_id uuid, care_unit_id uuid, kind text,
              effective_at timestamptz, time_quality text, record text, attribution smallint,
              is_decided boolean, is_invalid boolean, may_be_another boolean)
 WHERE d.record_id = row.record_id
"""

_INVALIDATE: Final = "UPDATE device_record SET is_invalid = true WHERE record_id = %s"

# Here and below without the canary's: its readings are nobody's, and gone in a day.
_IDS: Final = """
SELECT record_id
  FROM device_record
 WHERE record_id > %(after)s
   AND (%(device)s::text IS NULL OR device_id = %(device)s)
   AND (%(since)s::timestamptz IS NULL OR effective_at >= %(since)s)
   AND (%(until)s::timestamptz IS NULL OR effective_at < %(until)s)
   AND NOT EXISTS (SELECT FROM patient p WHERE p.id = device_record.patient_id AND p.is_synthetic)
 ORDER BY record_id
 LIMIT %(most)s
"""

_EXPORT: Final = """
SELECT record_id, device_id, characteristic, encode(raw, 'hex'), patient_id, effective_at
  FROM device_record
 WHERE stored_at >= coalesce(%(since)s::timestamptz, '-infinity')
   AND stored_at < coalesce(%(until)s::timestamptz, 'infinity')
   AND NOT EXISTS (SELECT FROM patient p WHERE p.id = device_record.patient_id AND p.is_synthetic)
 ORDER BY stored_at, record_id
"""

# In the order of the key: no index has stored_at, and whoever compares wants them sorted.
_EXPORT_IDS: Final = """
SELECT record_id
  FROM device_record
 WHERE stored_at >= coalesce(%(since)s::timestamptz, '-infinity')
   AND stored_at < coalesce(%(until)s::timestamptz, 'infinity')
   AND NOT EXISTS (SELECT FROM patient p WHERE p.id = device_record.patient_id AND p.is_synthetic)
 ORDER BY record_id
"""


_AT_ONCE: Final = 1000


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
    is_decided: bool
    may_be_another: bool


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a record's id names: these bytes of this device."""

    record_id: UUID
    device_id: str
    characteristic: str
    raw: bytes


class RevisedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A known record as it is from now on: whose, of when, and as it would travel."""

    record_id: UUID
    patient_id: UUID
    care_unit_id: UUID
    kind: str
    effective_at: datetime
    time_quality: str
    record: bytes
    attribution: int
    is_decided: bool
    is_invalid: bool
    may_be_another: bool


@dataclass(frozen=True, slots=True)
class Added:
    """What `add` found out: records known before, and new ones that may be doubles."""

    known: frozenset[UUID]
    suspected_doubles: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class KnownRecord:
    """A record that was stored before.

    ``attribution`` counts how often it was given to somebody else; ``is_decided`` tells that a
    person said whose it is, ``is_invalid`` that it was taken back, ``may_be_another`` that it was
    far from what its patient usually measures. ``record`` is empty once its bytes are kept no
    longer.
    """

    record_id: UUID
    patient_id: UUID
    device_id: str
    user_index: int | None
    gateway_id: str
    effective_at: datetime
    time_quality: str
    record: bytes
    attribution: int
    is_suspected_double: bool
    is_decided: bool
    is_invalid: bool
    may_be_another: bool


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


async def others(connection: Connection, origins: Sequence[Origin]) -> set[Origin]:
    """Return those under whose ids something else is stored."""
    cursor = await connection.execute(_OTHER, [packed(origins)])
    return {origins[row[0] - 1] for row in await cursor.fetchall()}


async def known(connection: Connection, ids: Collection[UUID]) -> dict[UUID, KnownRecord]:
    """Return those of these records that are stored."""
    async with connection.cursor(row_factory=args_row(KnownRecord)) as cursor:
        await cursor.execute(_KNOWN, [list(ids)])
        found = await cursor.fetchall()
    return {
        row.record_id: replace(row, record=texts.record_of(row.record_id, row.record))
        if row.record
        else row
        for row in found
    }


async def retime(connection: Connection, rows: Collection[RevisedRow]) -> None:
    """Give known records their better times; whose they are stays."""
    await connection.execute(_RETIME, [packed(_stored(rows))])


async def revise(connection: Connection, rows: Collection[RevisedRow]) -> None:
    """Write what known records are from now on; what was read stays as it came."""
    await connection.execute(_REVISE, [packed(_stored(rows))])


async def invalidate(connection: Connection, record_id: UUID) -> None:
    """Note that a record is nobody's."""
    await connection.execute(_INVALIDATE, [record_id])


def _stored(rows: Collection[RevisedRow]) -> list[RevisedRow]:
    return [structs.replace(row, record=texts.stored_record(row.record)) for row in rows]


async def ids(
    connection: Connection,
    *,
    after: UUID,
    most: int,
    device: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[UUID]:
    """Return ids of stored records in their order, those after ``after``, to go through them all.

    Args:
        connection: Any.
        after: The last id of the page before; the nil UUID to begin with.
        most: At most this many.
        device: Of one device alone.
        since: Measured at or after this.
        until: Measured before this.
    """
    values = {"after": after, "most": most, "device": device, "since": since, "until": until}
    cursor = await connection.execute(_IDS, values)
    return [row[0] for row in await cursor.fetchall()]


async def export(
    connection: Connection, *, since: datetime | None = None, until: datetime | None = None
) -> AsyncIterator[ExportedRecord]:
    """Yield device records in the order of storing; rows are fetched a thousand at a time.

    Args:
        connection: Inside one transaction as long as this takes.
        since: Only those stored then or later.
        until: Only those stored before.
    """
    async with connection.cursor("export", row_factory=args_row(ExportedRecord)) as cursor:
        cursor.itersize = _AT_ONCE
        await cursor.execute(_EXPORT, {"since": since, "until": until})
        async for row in cursor:
            yield row


async def export_ids(
    connection: Connection, *, since: datetime | None = None, until: datetime | None = None
) -> AsyncIterator[UUID]:
    """Yield device records' ids, sorted; otherwise as `export`."""
    async with connection.cursor("export_ids") as cursor:
        cursor.itersize = _AT_ONCE
        await cursor.execute(_EXPORT_IDS, {"since": since, "until": until})
        async for (record_id,) in cursor:
            yield record_id
