"""What the downtime list says of each patient, as a role that can change nothing reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from psycopg.rows import args_row

from ingest_service.store.connections import Connection

_UNITS: Final = """
SELECT id, hsa_id, name FROM care_unit WHERE NOT is_synthetic ORDER BY hsa_id
"""

# Who has an open alert here is phoned from here, as the worklist shows them, even once moved.
_PATIENTS: Final = """
SELECT p.id, p.identifier_system, p.identifier_value, p.family, p.given, p.programme,
       p.is_protected, a.priority, a.raised_at
  FROM patient p
  LEFT JOIN LATERAL (
       SELECT priority, raised_at
         FROM alert
        WHERE patient_id = p.id AND state <> 'resolved'
        ORDER BY CASE priority WHEN 'red' THEN 0 WHEN 'yellow' THEN 1 ELSE 2 END, raised_at
        LIMIT 1) AS a ON true
 WHERE NOT p.is_synthetic
   AND (p.care_unit_id = %(unit)s
        OR p.id IN (SELECT patient_id FROM alert
                     WHERE state <> 'resolved' AND care_unit_id = %(unit)s))
 ORDER BY p.id
"""

_VALUES: Final = """
SELECT o.patient_id, o.code, o.effective_at, o.value, o.systolic, o.diastolic
  FROM unnest(%(patients)s::uuid[]) AS patient(id)
 CROSS JOIN unnest(%(codes)s::text[]) AS wanted(code)
 CROSS JOIN LATERAL (
       SELECT patient_id, code, effective_at, value, systolic, diastolic
         FROM observation
        WHERE patient_id = patient.id
          AND code = wanted.code
          AND effective_at >= %(since)s
          AND effective_at < %(until)s
          AND coalesce(systolic, value) IS NOT NULL
          AND status <> 'entered-in-error'
        ORDER BY effective_at DESC, id DESC
        LIMIT 1) AS o
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """A care unit."""

    id: UUID
    hsa_id: str
    name: str


@dataclass(frozen=True, slots=True)
class PatientRow:
    """A patient, and the most urgent alert that is open."""

    id: UUID
    identifier_system: str
    identifier_value: str
    family: str
    given: str
    programme: str | None
    is_protected: bool
    alert: str | None
    alert_since: datetime | None


@dataclass(frozen=True, slots=True)
class ValueRow:
    """The newest value of one LOINC code."""

    patient_id: UUID
    code: str
    measured_at: datetime
    value: Decimal | None
    systolic: Decimal | None
    diastolic: Decimal | None


async def units(connection: Connection) -> list[Unit]:
    """Return the care units, by HSA-id."""
    async with connection.cursor(row_factory=args_row(Unit)) as cursor:
        await cursor.execute(_UNITS)
        return await cursor.fetchall()


async def patients(connection: Connection, unit: UUID) -> list[PatientRow]:
    """Return whom a unit would phone."""
    async with connection.cursor(row_factory=args_row(PatientRow)) as cursor:
        await cursor.execute(_PATIENTS, {"unit": unit})
        return await cursor.fetchall()


async def values(
    connection: Connection,
    ids: Sequence[UUID],
    codes: Sequence[str],
    *,
    since: datetime,
    until: datetime,
) -> Mapping[UUID, Sequence[ValueRow]]:
    """Return each patient's newest value of each of these LOINC codes; bounds are half open."""
    given = {
        "patients": list(ids),
        "codes": list(codes),
        "since": since,
        "until": until,
    }
    async with connection.cursor(row_factory=args_row(ValueRow)) as cursor:
        await cursor.execute(_VALUES, given)
        return _by_patient(await cursor.fetchall())


def _by_patient(rows: Iterable[ValueRow]) -> Mapping[UUID, Sequence[ValueRow]]:
    by_patient = defaultdict[UUID, list[ValueRow]](list)
    for row in rows:
        by_patient[row.patient_id].append(row)
    return by_patient
