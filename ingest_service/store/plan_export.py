"""Every version of plans, with what is known beside their documents, for whoever takes it out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.rows import args_row

from ingest_service.store.connections import Connection

# Without the canary's: its plan is nobody's.
_EXPORT: Final = """
SELECT p.id, p.version, p.written_by, p.written_at, p.reason, NOT isempty(p.valid),
       lower(p.valid), upper(p.valid), unit.hsa_id, unit.name, lead.hsa_id, lead.name, p.body
  FROM plan p
  JOIN patient ON patient.id = p.patient_id
  JOIN care_unit unit ON unit.id = p.care_unit_id
  JOIN care_unit lead ON lead.id = patient.care_unit_id
 WHERE (%(patient)s::uuid IS NULL OR p.patient_id = %(patient)s)
   AND p.written_at >= coalesce(%(since)s::timestamptz, '-infinity')
   AND p.written_at < coalesce(%(until)s::timestamptz, 'infinity')
   AND NOT patient.is_synthetic
 ORDER BY p.patient_id, p.id, p.version
"""

_AT_ONCE: Final = 100  # a document may have 256 KiB


@dataclass(frozen=True, slots=True)
class ExportedPlan:
    """One version of a plan; ``body`` is its document as it is stored.

    ``is_ever_in_force`` without ``valid_from``: patients were judged by it from its beginning.
    """

    id: UUID
    version: int
    written_by: str
    written_at: datetime
    reason: str | None
    is_ever_in_force: bool
    valid_from: datetime | None
    valid_until: datetime | None
    unit_hsa_id: str
    unit_name: str
    lead_unit_hsa_id: str
    lead_unit_name: str
    body: str


async def export(
    connection: Connection,
    *,
    patient: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> AsyncIterator[ExportedPlan]:
    """Yield every version of plans, drafts too, by patient and plan, oldest first.

    Args:
        connection: Inside one transaction as long as this takes.
        patient: Only this patient's.
        since: Only what was written then or later.
        until: Only what was written before.
    """
    values = {"patient": patient, "since": since, "until": until}
    async with connection.cursor("export_plans", row_factory=args_row(ExportedPlan)) as cursor:
        cursor.itersize = _AT_ONCE
        await cursor.execute(_EXPORT, values)
        async for row in cursor:
            yield row
