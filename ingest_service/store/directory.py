"""The patients and devices that observations refer to, for those who may see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from fhir_mappings.resources import DeviceKind, PatientDetails
from ingest_service.store.callers import Caller

_PATIENT = """
SELECT id, identifier_system, identifier_value, family, given, birth_date, gender, is_protected,
       version, last_updated
  FROM patient
 WHERE id = %(id)s
   AND care_unit_id = ANY(%(units)s)
"""

_DEVICE = """
SELECT id, kind, manufacturer, model, serial, firmware, last_updated
  FROM device
 WHERE resource_id = %(id)s
   AND care_unit_id = ANY(%(units)s)
"""

_GATEWAYS = "SELECT id FROM gateway WHERE care_unit_id = ANY(%(units)s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEntry:
    """A cuff or oximeter; ``id`` is its Bluetooth identity address."""

    id: str
    kind: DeviceKind
    manufacturer: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    last_updated: datetime


async def patient(
    connection: AsyncConnection, caller: Caller, patient_id: UUID
) -> PatientDetails | None:
    """Return a patient of the caller's units."""
    async with connection.cursor(row_factory=class_row(PatientDetails)) as cursor:
        await cursor.execute(_PATIENT, {"id": patient_id, "units": list(caller.care_unit_ids)})
        return await cursor.fetchone()


async def device(
    connection: AsyncConnection, caller: Caller, resource_id: UUID
) -> DeviceEntry | None:
    """Return a device of the caller's units by its FHIR id."""
    async with connection.cursor(row_factory=class_row(DeviceEntry)) as cursor:
        await cursor.execute(_DEVICE, {"id": resource_id, "units": list(caller.care_unit_ids)})
        return await cursor.fetchone()


async def gateways(connection: AsyncConnection, caller: Caller) -> list[str]:
    """Return the ids of the gateways of the caller's units."""
    cursor = await connection.execute(_GATEWAYS, {"units": list(caller.care_unit_ids)})
    return [str(row[0]) for row in await cursor.fetchall()]
