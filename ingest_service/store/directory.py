"""The patients and devices that observations refer to, for those who may see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from ingest_service.store.callers import Caller

_PATIENT = """
SELECT id, identifier_system, identifier_value, family, given, birth_date, gender, is_protected,
       version, last_updated
  FROM patient
 WHERE id = %(id)s
   AND care_unit_id = ANY(%(units)s)
"""

_DEVICE = """
SELECT id, resource_id, kind, manufacturer, model, serial, firmware, last_updated
  FROM device
 WHERE resource_id = %(id)s
   AND care_unit_id = ANY(%(units)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientEntry:
    """A patient as the resource tells of one."""

    id: UUID
    identifier_system: str
    identifier_value: str
    family: str
    given: str
    birth_date: date | None
    gender: str | None
    is_protected: bool
    version: int
    last_updated: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEntry:
    """A device; ``id`` is its Bluetooth identity address, ``resource_id`` its FHIR id."""

    id: str
    resource_id: UUID
    kind: str
    manufacturer: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    last_updated: datetime


async def patient(
    connection: AsyncConnection, caller: Caller, patient_id: UUID
) -> PatientEntry | None:
    """Return a patient of the caller's units."""
    async with connection.cursor(row_factory=class_row(PatientEntry)) as cursor:
        await cursor.execute(_PATIENT, {"id": patient_id, "units": list(caller.care_unit_ids)})
        return await cursor.fetchone()


async def device(
    connection: AsyncConnection, caller: Caller, resource_id: UUID
) -> DeviceEntry | None:
    """Return a device of the caller's units by its FHIR id."""
    async with connection.cursor(row_factory=class_row(DeviceEntry)) as cursor:
        await cursor.execute(_DEVICE, {"id": resource_id, "units": list(caller.care_unit_ids)})
        return await cursor.fetchone()
