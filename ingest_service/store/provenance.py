"""Who changed observations and why: FHIR Provenance as finished text, never changed."""

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

_ADD: Final = """
INSERT INTO provenance (id, record_id, patient_id, care_unit_id, activity, recorded, decided_by,
       reason, resource)
SELECT id, record_id, patient_id, care_unit_id, activity, recorded, decided_by, reason, resource
  FROM json_to_recordset(%s::json)
       AS row(id uuid, record_id uuid, patient_id uuid, care_unit_id uuid, activity text,
              recorded timestamptz, decided_by text, reason text, resource text)
 ORDER BY id
    ON CONFLICT (id) DO NOTHING
"""

_OF_RECORD: Final = """
SELECT activity, recorded, decided_by, reason, patient_id
  FROM provenance
 WHERE record_id = %s
 ORDER BY recorded, activity DESC
"""


class ProvenanceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One person's or gateway's decision about one patient's observations of one record."""

    id: UUID
    record_id: UUID
    patient_id: UUID
    care_unit_id: UUID
    activity: str
    recorded: datetime
    decided_by: str
    reason: str
    resource: str | None


@dataclass(frozen=True, slots=True)
class Decided:
    """A line of a record's history."""

    activity: str
    recorded: datetime
    decided_by: str
    reason: str
    patient_id: UUID


async def add(connection: Connection, rows: Collection[ProvenanceRow]) -> None:
    """Keep these; one that is told twice is one."""
    await connection.execute(_ADD, [packed(rows)])


async def of_record(connection: Connection, record_id: UUID) -> list[Decided]:
    """Return what was decided about a record, oldest first."""
    async with connection.cursor(row_factory=args_row(Decided)) as cursor:
        await cursor.execute(_OF_RECORD, [record_id])
        return await cursor.fetchall()
