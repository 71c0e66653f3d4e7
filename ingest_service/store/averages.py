"""Averages that were issued, by which protocol, and the readings to make one of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from psycopg.rows import args_row

from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

_KEEP_PROTOCOL: Final = """
WITH kept AS (
    INSERT INTO protocol (id, version, document)
    VALUES (%(id)s, %(version)s, %(document)s::jsonb)
        ON CONFLICT (id, version) DO NOTHING
    RETURNING document
)
SELECT document::text FROM kept
UNION ALL
SELECT document::text FROM protocol WHERE id = %(id)s AND version = %(version)s
"""

_PROTOCOL: Final = "SELECT document::text FROM protocol WHERE id = %s AND version = %s"

_ADD: Final = """
INSERT INTO average (id, patient_id, protocol_id, protocol_version, kind, first_day, last_day,
       zone, version, digest, issued_at)
SELECT id, patient_id, protocol_id, protocol_version, kind, first_day, last_day,
       zone, version, digest, issued_at
  FROM json_to_recordset(%s::json)
       AS row(id uuid, patient_id uuid, protocol_id text, protocol_version integer, kind text,
              first_day date, last_day date, zone text, version integer, digest text,
              issued_at timestamptz)
"""

_AMEND: Final = """
UPDATE average
   SET version = %(version)s, digest = %(digest)s, issued_at = %(issued_at)s
 WHERE id = %(id)s
"""

_OF: Final = """
SELECT id, patient_id, protocol_id, protocol_version, kind, first_day, last_day, zone, version,
       digest, issued_at
  FROM average
 WHERE patient_id = ANY(%(patients)s)
   AND last_day >= %(since)s
   AND first_day <= %(until)s
 ORDER BY patient_id, last_day, id
"""

# What was taken back is told of, so that an average says why it is not in it.
_READINGS: Final = """
SELECT id, record_id, effective_at, status, time_quality, systolic, diastolic, is_irregular,
       is_doubtful
  FROM observation
 WHERE patient_id = %(patient)s
   AND code = %(code)s
   AND effective_at >= %(since)s
   AND effective_at < %(until)s
   AND systolic IS NOT NULL
   AND diastolic IS NOT NULL
 ORDER BY effective_at DESC, id DESC
 LIMIT %(most)s
"""


class AverageRow(msgspec.Struct, frozen=True, kw_only=True):
    """An issued average: whose, of which days, by which protocol, and in which version."""

    id: UUID
    patient_id: UUID
    protocol_id: str
    protocol_version: int
    kind: str
    first_day: date
    last_day: date
    zone: str
    version: int
    digest: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class StoredPressure:
    """A blood pressure with its values, whether it stands or not."""

    id: UUID
    record_id: UUID
    effective_at: datetime
    status: str
    time_quality: str
    systolic: Decimal
    diastolic: Decimal
    is_irregular: bool
    is_doubtful: bool


async def keep_protocol(
    connection: Connection, protocol_id: str, version: int, document: bytes
) -> bytes:
    """Return the protocol's document as it is kept: this one, if there was none."""
    cursor = await connection.execute(
        _KEEP_PROTOCOL,
        {"id": protocol_id, "version": version, "document": document.decode()},
    )
    row = await cursor.fetchone()
    if row is None:  # another transaction kept it a moment ago
        return await protocol(connection, protocol_id, version)
    return row[0].encode()


async def protocol(connection: Connection, protocol_id: str, version: int) -> bytes:
    """Return the document that averages were made by; raises `LookupError` if there is none."""
    cursor = await connection.execute(_PROTOCOL, [protocol_id, version])
    row = await cursor.fetchone()
    if row is None:
        raise LookupError(f"protocol {protocol_id}, version {version}: not kept")
    return row[0].encode()


async def add(connection: Connection, rows: Collection[AverageRow]) -> None:
    """Store averages that are issued for the first time."""
    await connection.execute(_ADD, [packed(rows)])


async def amend(connection: Connection, row: AverageRow) -> None:
    """Note that an average was issued again."""
    await connection.execute(
        _AMEND,
        {
            "id": row.id,
            "version": row.version,
            "digest": row.digest,
            "issued_at": row.issued_at,
        },
    )


async def of(
    connection: Connection, patients: Collection[UUID], *, since: date, until: date
) -> list[AverageRow]:
    """Return these patients' averages that have a day within these, by patient and last day."""
    cursor = await connection.execute(
        _OF, {"patients": list(patients), "since": since, "until": until}
    )
    return [
        msgspec.convert(dict(zip(AverageRow.__struct_fields__, row, strict=True)), AverageRow)
        for row in await cursor.fetchall()
    ]


async def readings(
    connection: Connection,
    patient_id: UUID,
    *,
    code: str,
    since: datetime,
    until: datetime,
    most: int,
) -> list[StoredPressure]:
    """Return a patient's blood pressures of a time, newest first, those taken back included.

    Args:
        connection: Inside the transaction that holds the patient's lock.
        patient_id: Whose.
        code: Under which they are stored.
        since: Inclusive.
        until: Exclusive.
        most: The newest of them, at most this many.
    """
    async with connection.cursor(row_factory=args_row(StoredPressure)) as cursor:
        await cursor.execute(
            _READINGS,
            {
                "patient": patient_id,
                "code": code,
                "since": since,
                "until": until,
                "most": most,
            },
        )
        return await cursor.fetchall()
