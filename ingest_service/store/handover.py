"""What one shift leaves to the next: open alerts, and what became of the others lately."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.rows import class_row

from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection

# Red first, then what is open; of each its last note, and whether it was told on meanwhile.
_SINCE: Final = """
SELECT a.id, a.patient_id, a.rule, a.priority, a.state, a.raised_at, a.owner, a.due_at,
       a.paused_until, a.outcome, a.resolved_at, a.state_by, a.escalations,
       a.limits::text AS limits, a.readings::text AS readings, a.facts::text AS facts,
       note.at AS note_at, note.by AS note_by, note.text AS note
  FROM alert a
  LEFT JOIN LATERAL (
       SELECT e.at, e.by, e.detail->>'note' AS text
         FROM alert_event e
        WHERE e.alert_id = a.id AND e.detail->>'note' <> ''
        ORDER BY e.at DESC, e.id DESC
        LIMIT 1) AS note ON true
 WHERE a.care_unit_id = ANY(%(units)s)
   AND a.raised_at IS NOT NULL
   AND (a.state NOT IN ('awaiting', 'resolved') OR a.resolved_at > %(since)s)
 ORDER BY CASE a.priority WHEN 'red' THEN 0 WHEN 'yellow' THEN 1 ELSE 2 END,
          a.state = 'resolved', a.raised_at, a.id
 LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftAlert:
    """An alert as one shift leaves it; ``limits``, ``readings`` and ``facts`` are JSON text."""

    id: UUID
    patient_id: UUID
    rule: str
    priority: str
    state: str
    raised_at: datetime
    owner: str | None
    due_at: datetime | None
    paused_until: datetime | None
    outcome: str | None
    resolved_at: datetime | None
    state_by: str | None
    escalations: int
    limits: str
    readings: str
    facts: str
    note_at: datetime | None
    note_by: str | None
    note: str | None


async def alerts(
    connection: Connection, caller: Caller, *, since: datetime, limit: int
) -> list[LeftAlert]:
    """Return the caller's unit's open alerts and those that ended since, red first."""
    async with connection.cursor(row_factory=class_row(LeftAlert)) as cursor:
        values = {"units": list(caller.care_unit_ids), "since": since, "limit": limit}
        await cursor.execute(_SINCE, values)
        return await cursor.fetchall()
