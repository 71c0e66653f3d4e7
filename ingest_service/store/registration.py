"""Who and what is known: care units, gateways, patients, devices and assignments.

Written by the schema's owner from a document until pages do it; writing the same again changes
nothing. Patients are locked first, as everywhere.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

_PROVIDERS: Final = """
INSERT INTO care_provider (id, hsa_id, name)
SELECT id, hsa_id, name
  FROM json_to_recordset(%s::json) AS row(id uuid, hsa_id text, name text)
 ORDER BY id
    ON CONFLICT (id) DO UPDATE SET hsa_id = excluded.hsa_id, name = excluded.name
"""

_UNITS: Final = """
INSERT INTO care_unit (id, care_provider_id, hsa_id, name)
SELECT id, care_provider_id, hsa_id, name
  FROM json_to_recordset(%s::json)
       AS row(id uuid, care_provider_id uuid, hsa_id text, name text)
 ORDER BY id
    ON CONFLICT (id) DO UPDATE
   SET care_provider_id = excluded.care_provider_id, hsa_id = excluded.hsa_id,
       name = excluded.name
"""

# A version number and a time of change belong to a change, not to writing the same again.
_PATIENTS: Final = """
INSERT INTO patient AS known (id, care_unit_id, identifier_system, identifier_value, family, given,
       birth_date, gender, programme, is_protected, language, kin_language)
SELECT id, care_unit_id, identifier_system, identifier_value, family, given,
       birth_date, gender, programme, is_protected, language, kin_language
  FROM json_to_recordset(%s::json)
       AS row(id uuid, care_unit_id uuid, identifier_system text, identifier_value text,
              family text, given text, birth_date date, gender text, programme text,
              is_protected boolean, language text, kin_language text)
 ORDER BY id
    ON CONFLICT (id) DO UPDATE
   SET care_unit_id = excluded.care_unit_id, identifier_system = excluded.identifier_system,
       identifier_value = excluded.identifier_value, family = excluded.family,
       given = excluded.given, birth_date = excluded.birth_date, gender = excluded.gender,
       programme = excluded.programme, is_protected = excluded.is_protected,
       language = excluded.language, kin_language = excluded.kin_language,
       version = known.version + 1, last_updated = clock_timestamp()
 WHERE (known.care_unit_id, known.identifier_system, known.identifier_value, known.family,
        known.given, known.birth_date, known.gender, known.programme, known.is_protected,
        known.language, known.kin_language)
       IS DISTINCT FROM
       (excluded.care_unit_id, excluded.identifier_system, excluded.identifier_value,
        excluded.family, excluded.given, excluded.birth_date, excluded.gender,
        excluded.programme, excluded.is_protected, excluded.language, excluded.kin_language)
"""

_GATEWAYS: Final = """
INSERT INTO gateway (id, care_unit_id)
SELECT id, care_unit_id
  FROM json_to_recordset(%s::json) AS row(id text, care_unit_id uuid)
 ORDER BY id
    ON CONFLICT (id) DO UPDATE SET care_unit_id = excluded.care_unit_id
"""

_DEVICES: Final = """
INSERT INTO device AS known (id, resource_id, care_unit_id, kind, manufacturer, model, serial,
       firmware, gateway_id)
SELECT id, resource_id, care_unit_id, kind, manufacturer, model, serial, firmware, gateway_id
  FROM json_to_recordset(%s::json)
       AS row(id text, resource_id uuid, care_unit_id uuid, kind text, manufacturer text,
              model text, serial text, firmware text, gateway_id text)
 ORDER BY id
    ON CONFLICT (id) DO UPDATE
   SET care_unit_id = excluded.care_unit_id, kind = excluded.kind,
       gateway_id = coalesce(excluded.gateway_id, known.gateway_id),
       manufacturer = coalesce(excluded.manufacturer, known.manufacturer),
       model = coalesce(excluded.model, known.model),
       serial = coalesce(excluded.serial, known.serial),
       firmware = coalesce(excluded.firmware, known.firmware)
"""

_ASSIGNMENTS: Final = """
INSERT INTO assignment (id, device_id, user_index, patient_id, valid, is_own, decided_by)
SELECT id, device_id, user_index, patient_id, tstzrange(since, until), is_own, decided_by
  FROM json_to_recordset(%s::json)
       AS row(id uuid, device_id text, user_index smallint, patient_id uuid, since timestamptz,
              until timestamptz, is_own boolean, decided_by text)
 ORDER BY id
    ON CONFLICT (id) DO UPDATE
   SET valid = excluded.valid, is_own = excluded.is_own
"""


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True):
    """A care provider."""

    id: UUID
    hsa_id: str
    name: str


class UnitRow(msgspec.Struct, frozen=True, kw_only=True):
    """A care unit."""

    id: UUID
    care_provider_id: UUID
    hsa_id: str
    name: str


class PatientRow(msgspec.Struct, frozen=True, kw_only=True):
    """A patient; ``birth_date`` as YYYY-MM-DD."""

    id: UUID
    care_unit_id: UUID
    identifier_system: str
    identifier_value: str
    family: str
    given: str
    birth_date: str | None
    gender: str | None
    programme: str | None
    is_protected: bool
    language: str | None
    kin_language: str | None


class GatewayRow(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway and the unit that owns it."""

    id: str
    care_unit_id: UUID


class DeviceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A measuring device."""

    id: str
    resource_id: UUID
    care_unit_id: UUID
    kind: str
    manufacturer: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    gateway_id: str | None


class AssignmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One patient's time with a device or one slot of it."""

    id: UUID
    device_id: str
    user_index: int | None
    patient_id: UUID
    since: datetime | None
    until: datetime | None
    is_own: bool
    decided_by: str


async def put_organisation(
    connection: Connection, providers: Collection[ProviderRow], units: Collection[UnitRow]
) -> None:
    """Write care providers and their units."""
    await connection.execute(_PROVIDERS, [packed(providers)])
    await connection.execute(_UNITS, [packed(units)])


async def put_patients(connection: Connection, rows: Collection[PatientRow]) -> None:
    """Write patients; a change gives a new version."""
    await connection.execute(_PATIENTS, [packed(rows)])


async def put_equipment(
    connection: Connection, gateways: Collection[GatewayRow], devices: Collection[DeviceRow]
) -> None:
    """Write gateways and devices; what a device said of itself stays where nothing is given."""
    await connection.execute(_GATEWAYS, [packed(gateways)])
    await connection.execute(_DEVICES, [packed(devices)])


async def put_assignments(connection: Connection, rows: Collection[AssignmentRow]) -> None:
    """Write assignments; of a known one only its time and ownership change."""
    await connection.execute(_ASSIGNMENTS, [packed(rows)])
