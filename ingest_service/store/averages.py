"""Averages that were issued, by which protocol, and the readings to make one of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

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

_PROTOCOLS: Final = """
SELECT p.id, p.version, p.document::text
  FROM unnest(%(ids)s::text[], %(versions)s::integer[]) AS given(id, version)
  JOIN protocol p USING (id, version)
"""

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
UPDATE average a
   SET version = row.version, digest = row.digest, issued_at = row.issued_at
  FROM json_to_recordset(%s::json)
       AS row(id uuid, version integer, digest text, issued_at timestamptz)
 WHERE a.id = row.id
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

# What was taken back is told of, so that an average says why it is not in it. The outer bounds,
# constants to the planner, keep all other chunks closed.
_READINGS: Final = """
SELECT given.place - 1, found.*
  FROM unnest(%(patients)s::uuid[], %(since)s::timestamptz[], %(until)s::timestamptz[])
       WITH ORDINALITY AS given(patient_id, since, until, place)
 CROSS JOIN LATERAL (
       SELECT o.id, o.record_id, o.effective_at, o.status, o.time_quality, o.systolic,
              o.diastolic, o.is_irregular, o.is_doubtful
         FROM observation o
        WHERE o.patient_id = given.patient_id
          AND o.code = %(code)s
          AND o.effective_at >= given.since
          AND o.effective_at < given.until
          AND o.effective_at BETWEEN %(first)s AND %(last)s
          AND o.systolic IS NOT NULL
          AND o.diastolic IS NOT NULL
        ORDER BY o.effective_at DESC, o.id DESC
        LIMIT %(most)s) AS found
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time of a patient's, its end not included."""

    patient_id: UUID
    since: datetime
    until: datetime


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
        return (await protocols(connection, [(protocol_id, version)]))[protocol_id, version]
    return row[0].encode()


async def protocols(
    connection: Connection, wanted: Collection[tuple[str, int]]
) -> dict[tuple[str, int], bytes]:
    """Return the documents, by id and version, that averages were made by."""
    cursor = await connection.execute(
        _PROTOCOLS,
        {
            "ids": [protocol_id for protocol_id, _ in wanted],
            "versions": [version for _, version in wanted],
        },
    )
    return {(row[0], row[1]): row[2].encode() for row in await cursor.fetchall()}


async def add(connection: Connection, rows: Collection[AverageRow]) -> None:
    """Store averages that are issued for the first time."""
    await connection.execute(_ADD, [packed(rows)])


async def amend(connection: Connection, rows: Collection[AverageRow]) -> None:
    """Note that these averages were issued again."""
    await connection.execute(_AMEND, [packed(rows)])


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
    connection: Connection, spans: Sequence[Span], *, code: str, most: int
) -> list[list[StoredPressure]]:
    """Return the blood pressures of each span, newest first, those taken back included.

    Args:
        connection: Inside the transaction that holds the patients' locks.
        spans: Whose and of when.
        code: Under which they are stored.
        most: The newest of each span, at most this many.
    """
    found: list[list[StoredPressure]] = [[] for _ in spans]
    if not spans:
        return found
    cursor = await connection.execute(
        _READINGS,
        {
            "patients": [span.patient_id for span in spans],
            "since": [span.since for span in spans],
            "until": [span.until for span in spans],
            "first": min(span.since for span in spans),
            "last": max(span.until for span in spans),
            "code": code,
            "most": most,
        },
    )
    for row in await cursor.fetchall():
        place: int = row[0]
        found[place].append(StoredPressure(*row[1:]))
    return found
