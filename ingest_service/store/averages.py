"""Averages that were issued: which version of each is current, and what it rested on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from psycopg.rows import args_row

from ingest_service.store.connections import Connection

_OF: Final = """
SELECT id, version, patient_id, protocol_id, protocol_version, kind, first_day, last_day, time_zone,
       digest
  FROM average
 WHERE patient_id = ANY(%(patients)s) AND last_day >= %(since)s
 ORDER BY patient_id, last_day, id
"""

_PUT: Final = """
INSERT INTO average AS known (id, version, patient_id, care_unit_id, protocol_id,
       protocol_version, kind, first_day, last_day, time_zone, digest, issued_at)
VALUES (%(id)s, %(version)s, %(patient_id)s, %(care_unit_id)s, %(protocol_id)s,
        %(protocol_version)s, %(kind)s, %(first_day)s, %(last_day)s, %(time_zone)s, %(digest)s, %(issued_at)s)
    ON CONFLICT (id) DO UPDATE
   SET version = excluded.version, digest = excluded.digest, issued_at = excluded.issued_at
"""


@dataclass(frozen=True, slots=True)
class IssuedAverage:
    """An average as it was issued last."""

    id: UUID
    version: int
    patient_id: UUID
    protocol_id: str
    protocol_version: int
    kind: str
    first_day: date
    last_day: date
    time_zone: str
    digest: str


async def of(
    connection: Connection, patients: Collection[UUID], *, since: date
) -> list[IssuedAverage]:
    """Return the averages of these patients whose last day is not before ``since``."""
    async with connection.cursor(row_factory=args_row(IssuedAverage)) as cursor:
        await cursor.execute(_OF, {"patients": list(patients), "since": since})
        return await cursor.fetchall()


async def put(
    connection: Connection, one: IssuedAverage, *, care_unit_id: UUID, issued_at: datetime
) -> None:
    """Note a version of an average as the current one; the patient is locked."""
    await connection.execute(
        _PUT,
        {
            "id": one.id,
            "version": one.version,
            "patient_id": one.patient_id,
            "care_unit_id": care_unit_id,
            "protocol_id": one.protocol_id,
            "protocol_version": one.protocol_version,
            "kind": one.kind,
            "first_day": one.first_day,
            "last_day": one.last_day,
            "time_zone": one.time_zone,
            "digest": one.digest,
            "issued_at": issued_at,
        },
    )
