"""When patients are due to be judged by time alone, and since when they are seen or not."""

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

_DUE: Final = """
SELECT patient_id
  FROM patient_clock
 WHERE due_at <= %(now)s
 ORDER BY due_at, patient_id
 LIMIT %(most)s
"""

_OVERDUE: Final = """
SELECT coalesce(extract(epoch FROM %(now)s - min(due_at)), 0)
  FROM patient_clock
 WHERE due_at <= %(now)s
"""

_OF: Final = """
SELECT patient_id, due_at, judged_through FROM patient_clock WHERE patient_id = ANY(%s)
"""

# A deadline can only come nearer here; when it is passed, the exact next one is found anew.
_HASTEN: Final = """
INSERT INTO patient_clock AS known (patient_id, due_at, judged_through)
SELECT patient_id, due_at, %(now)s
  FROM json_to_recordset(%(rows)s::json) AS row(patient_id uuid, due_at timestamptz)
 ORDER BY patient_id
    ON CONFLICT (patient_id) DO UPDATE
   SET due_at = excluded.due_at
 WHERE known.due_at IS NULL OR excluded.due_at < known.due_at
"""

_SET: Final = """
INSERT INTO patient_clock (patient_id, due_at, judged_through)
SELECT patient_id, due_at, judged_through
  FROM json_to_recordset(%s::json)
       AS row(patient_id uuid, due_at timestamptz, judged_through timestamptz)
 ORDER BY patient_id
    ON CONFLICT (patient_id) DO UPDATE
   SET due_at = excluded.due_at, judged_through = excluded.judged_through
"""

_POSTPONE: Final = """
UPDATE patient_clock SET due_at = %(until)s WHERE patient_id = %(patient_id)s
"""

# The newest reading by an index probe for each device; patients without a plan are not looked at.
# A device of which nobody said where it stands is where its last reading came from.
_WATCHED: Final = """
SELECT a.patient_id, d.id, d.kind, coalesce(d.gateway_id, last.gateway_id), lower(a.valid),
       last.effective_at
  FROM assignment a
  JOIN device d ON d.id = a.device_id
  LEFT JOIN LATERAL (
       SELECT r.effective_at, r.gateway_id
         FROM device_record r
        WHERE r.device_id = d.id AND r.patient_id = a.patient_id AND NOT r.is_invalid
        ORDER BY r.effective_at DESC
        LIMIT 1) AS last ON true
 WHERE a.valid @> %(now)s::timestamptz
   AND EXISTS (SELECT FROM plan p WHERE p.patient_id = a.patient_id AND p.valid @> %(now)s)
 ORDER BY a.patient_id, d.id
"""

_SEEN: Final = """
SELECT DISTINCT ON (patient_id, family)
       patient_id, family, at, is_whole, is_outage, cause, broken_since
  FROM monitoring_change
 WHERE patient_id = ANY(%s)
 ORDER BY patient_id, family, at DESC, id DESC
"""

_CHANGED: Final = """
INSERT INTO monitoring_change (patient_id, family, at, is_whole, is_outage, cause, broken_since)
SELECT patient_id, family, at, is_whole, is_outage, cause, broken_since
  FROM json_to_recordset(%s::json)
       AS row(patient_id uuid, family text, at timestamptz, is_whole boolean, is_outage boolean,
              cause text, broken_since timestamptz)
 ORDER BY patient_id, family
"""


_TICKED: Final = """
INSERT INTO patient_tick (patient_id, at, judged_through)
SELECT patient_id, %(at)s, judged_through
  FROM json_to_recordset(%(rows)s::json) AS row(patient_id uuid, judged_through timestamptz)
 ORDER BY patient_id
    ON CONFLICT (patient_id, at) DO NOTHING
"""


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """A patient's clock; without ``due_at`` nothing is expected to change by itself."""

    patient_id: UUID
    due_at: datetime | None
    judged_through: datetime


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """A patient has to be judged again by then."""

    patient_id: UUID
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """A device that a patient with a plan measures with now."""

    patient_id: UUID
    device_id: str
    kind: str
    gateway_id: str | None
    assigned_since: datetime | None
    last_reading_at: datetime | None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """From ``at`` on, whether a patient's readings of a family reach us, and why not."""

    patient_id: UUID
    family: str
    at: datetime
    is_whole: bool
    is_outage: bool = False
    cause: str | None = None
    broken_since: datetime | None = None


async def due(connection: Connection, *, now: datetime, most: int) -> list[UUID]:
    """Return who is due, the longest overdue first."""
    cursor = await connection.execute(_DUE, {"now": now, "most": most})
    return [row[0] for row in await cursor.fetchall()]


async def overdue_s(connection: Connection, *, now: datetime) -> float:
    """Return for how many seconds the longest overdue patient has been due."""
    cursor = await connection.execute(_OVERDUE, {"now": now})
    row = await cursor.fetchone()
    return float(row[0]) if row else 0.0


async def of(connection: Connection, patients: Collection[UUID]) -> dict[UUID, Clock]:
    """Return the clocks of these patients, as far as they have one."""
    cursor = await connection.execute(_OF, [list(patients)])
    return {
        row[0]: Clock(patient_id=row[0], due_at=row[1], judged_through=row[2])
        for row in await cursor.fetchall()
    }


async def hasten(connection: Connection, rows: Collection[Deadline], *, now: datetime) -> None:
    """Let these patients be due by then at the latest; the patients are locked."""
    await connection.execute(_HASTEN, {"rows": packed(rows), "now": now})


async def postpone(connection: Connection, patient_id: UUID, until: datetime) -> None:
    """Let a patient wait whom nothing can be judged of now, so that others are not held up."""
    await connection.execute(_POSTPONE, {"patient_id": patient_id, "until": until})


async def put(connection: Connection, rows: Collection[Clock]) -> None:
    """Set these clocks; the patients are locked."""
    await connection.execute(_SET, [packed(rows)])


async def note_ticks(connection: Connection, rows: Collection[Clock], *, at: datetime) -> None:
    """Append that time is judged up to ``at``, from where each of these clocks stood."""
    await connection.execute(_TICKED, {"rows": packed(rows), "at": at})


async def watched(connection: Connection, *, now: datetime) -> list[Watched]:
    """Return the devices of every patient with a plan in force."""
    async with connection.cursor(row_factory=args_row(Watched)) as cursor:
        await cursor.execute(_WATCHED, {"now": now})
        return await cursor.fetchall()


async def seen(connection: Connection, patients: Collection[UUID]) -> list[Seen]:
    """Return what was noted last of these patients' families."""
    cursor = await connection.execute(_SEEN, [list(patients)])
    return [
        Seen(
            patient_id=row[0],
            family=row[1],
            at=row[2],
            is_whole=row[3],
            is_outage=row[4],
            cause=row[5],
            broken_since=row[6],
        )
        for row in await cursor.fetchall()
    ]


async def note_seen(connection: Connection, rows: Collection[Seen]) -> None:
    """Append what changed."""
    await connection.execute(_CHANGED, [packed(rows)])
