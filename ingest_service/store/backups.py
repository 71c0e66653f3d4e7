"""Units' backup units: the agreements, and what was opened by them for a time."""

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

# Deadlines that were missed are passed at their own time, so what has just ended counts too.
_OF_UNITS: Final = """
SELECT id, care_unit_id, backup_unit_id, occasion, right_h, lower(valid), upper(valid)
  FROM backup_agreement
 WHERE care_unit_id = ANY(%(units)s)
   AND NOT isempty(valid)
   AND (upper(valid) IS NULL OR upper(valid) > %(at)s::timestamptz - interval '7 days')
 ORDER BY care_unit_id, lower(valid)
"""

_REGISTER: Final = """
INSERT INTO backup_agreement
       (id, care_unit_id, backup_unit_id, occasion, right_h, valid, registered_by, registered_at)
VALUES (%(id)s, %(care_unit_id)s, %(backup_unit_id)s, %(occasion)s, %(right_h)s,
        tstzrange(%(since)s, %(until)s), %(by)s, %(at)s)
"""

_END: Final = """
UPDATE backup_agreement
   SET valid = tstzrange(lower(valid), greatest(lower(valid), %(at)s)), ended_by = %(by)s
 WHERE id = %(id)s AND (upper(valid) IS NULL OR upper(valid) > %(at)s)
"""

_OPEN: Final = """
INSERT INTO backup_grant
       (agreement_id, alert_id, patient_id, care_unit_id, backup_unit_id, valid, reason)
SELECT agreement_id, alert_id, patient_id, care_unit_id, backup_unit_id,
       tstzrange(since, until), reason
  FROM json_to_recordset(%s::json)
       AS row(agreement_id uuid, alert_id uuid, patient_id uuid, care_unit_id uuid,
              backup_unit_id uuid, since timestamptz, until timestamptz, reason text)
"""

_ACTIVE: Final = """
SELECT DISTINCT ON (alert_id) alert_id, patient_id, care_unit_id, upper(valid), reason
  FROM backup_grant
 WHERE backup_unit_id = %(unit)s AND valid @> %(at)s::timestamptz
 ORDER BY alert_id, upper(valid) DESC
"""

_IS_OPEN: Final = """
SELECT EXISTS (SELECT FROM backup_grant
                WHERE alert_id = %(alert)s
                  AND backup_unit_id = ANY(%(units)s)
                  AND valid @> %(at)s::timestamptz)
"""


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """That a backup unit takes over on an occasion, and from when until when."""

    id: UUID
    care_unit_id: UUID
    backup_unit_id: UUID
    occasion: str
    right_h: int
    since: datetime
    until: datetime | None


class GrantRow(msgspec.Struct, frozen=True, kw_only=True):
    """That a backup unit may open an alert's patient for a time."""

    agreement_id: UUID
    alert_id: UUID
    patient_id: UUID
    care_unit_id: UUID
    backup_unit_id: UUID
    since: datetime
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Grant:
    """An alert of another unit that a unit may open, until when and why."""

    alert_id: UUID
    patient_id: UUID
    care_unit_id: UUID
    until: datetime
    reason: str


async def of_units(
    connection: Connection, units: Collection[UUID], *, at: datetime
) -> list[AgreementRow]:
    """Return these units' agreements, those that have just ended too."""
    async with connection.cursor(row_factory=args_row(AgreementRow)) as cursor:
        await cursor.execute(_OF_UNITS, {"units": list(units), "at": at})
        return await cursor.fetchall()


async def register(connection: Connection, row: AgreementRow, *, by: str, at: datetime) -> None:
    """Register an agreement.

    Raises:
        psycopg.errors.ExclusionViolation: If another holds on that occasion at some of that time.
    """
    values = {
        "id": row.id,
        "care_unit_id": row.care_unit_id,
        "backup_unit_id": row.backup_unit_id,
        "occasion": row.occasion,
        "right_h": row.right_h,
        "since": row.since,
        "until": row.until,
        "by": by,
        "at": at,
    }
    await connection.execute(_REGISTER, values)


async def end(connection: Connection, agreement_id: UUID, *, by: str, at: datetime) -> bool:
    """End an agreement; tells whether there was one to end. What was opened stays open."""
    cursor = await connection.execute(_END, {"id": agreement_id, "by": by, "at": at})
    return cursor.rowcount == 1


async def open_to(connection: Connection, rows: Collection[GrantRow]) -> None:
    """Let backup units open these alerts' patients; the row is the right and its log in one."""
    if rows:
        await connection.execute(_OPEN, [packed(rows)])


async def active(connection: Connection, unit: UUID, *, at: datetime) -> list[Grant]:
    """Return what other units' alerts a unit may open now."""
    async with connection.cursor(row_factory=args_row(Grant)) as cursor:
        await cursor.execute(_ACTIVE, {"unit": unit, "at": at})
        return await cursor.fetchall()


async def is_open_to(
    connection: Connection, alert_id: UUID, units: Collection[UUID], *, at: datetime
) -> bool:
    """Tell whether one of these units may open an alert as a backup now."""
    values = {"alert": alert_id, "units": list(units), "at": at}
    row = await (await connection.execute(_IS_OPEN, values)).fetchone()
    return row is not None and bool(row[0])
