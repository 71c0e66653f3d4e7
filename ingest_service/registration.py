"""A document that says who and what is known, until pages can; docs/reference/registration.md."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fhir_mappings import identifiers
from fhir_mappings.identifiers import PersonalIdentity
from ingest_service.store import destruction, patients, registration
from ingest_service.store.connections import Connection
from ingest_service.store.registration import (
    AssignmentRow,
    DeviceRow,
    GatewayRow,
    LimitSetRow,
    PatientRow,
    ProviderRow,
    UnitRow,
)

_Text = Annotated[str, Field(min_length=1, max_length=200)]
_GatewayId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
_Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}$")]
_Limit = Annotated[Decimal, Field(gt=0, le=1000, allow_inf_nan=False)]


class RegistrationError(ValueError):
    """The document is wrong; the text says where, and repeats no value."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CareProvider(_Part):
    """A care provider (vårdgivare)."""

    id: UUID
    hsa_id: _Text
    name: _Text


class CareUnit(_Part):
    """A care unit (vårdenhet) of a provider."""

    id: UUID
    care_provider_id: UUID
    hsa_id: _Text
    name: _Text


class Patient(_Part):
    """A patient; birth date and gender follow from the identifier where they are not given.

    The identifier is a Swedish one and is checked, or with ``identifier_system`` a test person's.
    """

    id: UUID
    care_unit_id: UUID
    identifier: _Text
    identifier_system: Literal["urn:hemvital:sid:test-person"] | None = None
    family: _Text
    given: _Text
    birth_date: date | None = None
    gender: Literal["male", "female", "other", "unknown"] | None = None
    programme: _Text | None = None
    is_protected: bool = False
    language: _Language | None = None
    kin_language: _Language | None = None


class Gateway(_Part):
    """A gateway; its id is its certificate's name."""

    id: _GatewayId
    care_unit_id: UUID


class Device(_Part):
    """A measuring device; its id is its Bluetooth identity address.

    ``gateway_id`` is the gateway of the home that it stands in.
    """

    id: Annotated[str, Field(min_length=1, max_length=64)]
    care_unit_id: UUID
    kind: Literal["blood_pressure", "pulse_oximetry"]
    gateway_id: _GatewayId | None = None
    manufacturer: _Text | None = None
    model: _Text | None = None
    serial: _Text | None = None
    firmware: _Text | None = None


class Assignment(_Part):
    """One patient's time with a device; without ``user_index`` the device has one user."""

    id: UUID
    device_id: str
    user_index: Annotated[int, Field(ge=0, le=254)] | None = None
    patient_id: UUID
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    is_own: bool = False
    decided_by: _Text


class LimitSet(_Part):
    """One measure's limits for one patient."""

    id: UUID
    patient_id: UUID
    measure: Literal["systolic", "diastolic", "pulse", "spo2"]
    red_low: _Limit | None = None
    yellow_low: _Limit | None = None
    yellow_high: _Limit | None = None
    red_high: _Limit | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    approved_by: _Text
    approved_at: AwareDatetime

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        """Red lies outside yellow: else a value would be red before it is yellow."""
        given = [self.red_low, self.yellow_low, self.yellow_high, self.red_high]
        limits = [limit for limit in given if limit is not None]
        if not limits:
            raise ValueError("at least one limit is needed")
        if limits != sorted(limits):
            raise ValueError("limits must rise: red_low, yellow_low, yellow_high, red_high")
        return self


class Registration(_Part):
    """The whole document; every part may be empty."""

    care_providers: tuple[CareProvider, ...] = ()
    care_units: tuple[CareUnit, ...] = ()
    patients: tuple[Patient, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    devices: tuple[Device, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    limit_sets: tuple[LimitSet, ...] = ()


def read(path: Path) -> Registration:
    """Return the document in a file.

    Raises:
        RegistrationError: If it is no such document; one line for each fault.
        OSError: If it cannot be read.
    """
    try:
        return Registration.model_validate_json(path.read_bytes())
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        lines = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
        raise RegistrationError(f"{path.name}: " + "; ".join(lines)) from error


async def register(connection: Connection, document: Registration) -> None:
    """Write the document in one transaction; the same again changes nothing.

    Raises:
        RegistrationError: If a patient's identifier cannot be right.
        psycopg.Error: If it contradicts what is known, for example two patients at one time with
            one device; nothing is written then.
    """
    rows = list(_patient_rows(document.patients))
    concerned = {row.id for row in rows}
    concerned |= {one.patient_id for one in (*document.assignments, *document.limit_sets)}
    async with connection.transaction():
        await patients.lock(connection, concerned)
        if gone := await destruction.destroyed_among(connection, concerned):
            raise RegistrationError(
                f"patients: the record of {min(gone)} was destroyed on a decision; a person who "
                "comes back gets another id"
            )
        await registration.put_organisation(
            connection,
            [ProviderRow(**one.model_dump()) for one in document.care_providers],
            [UnitRow(**one.model_dump()) for one in document.care_units],
        )
        await registration.put_patients(connection, rows)
        await registration.put_equipment(
            connection,
            [GatewayRow(**one.model_dump()) for one in document.gateways],
            [
                DeviceRow(**one.model_dump(), resource_id=identifiers.device_resource_id(one.id))
                for one in document.devices
            ],
        )
        await registration.put_assignments(
            connection, [AssignmentRow(**one.model_dump()) for one in document.assignments]
        )
        await registration.put_limits(
            connection, [LimitSetRow(**one.model_dump()) for one in document.limit_sets]
        )


def _patient_rows(given: Iterable[Patient]) -> Iterable[PatientRow]:
    for index, one in enumerate(given):
        try:
            identity = _identity(one)
        except identifiers.IdentifierError as error:
            raise RegistrationError(f"patients.{index}.identifier: {error}") from error
        birth_date = one.birth_date or identity.birth_date
        yield PatientRow(
            id=one.id,
            care_unit_id=one.care_unit_id,
            identifier_system=identity.system,
            identifier_value=identity.value,
            family=one.family,
            given=one.given,
            birth_date=birth_date.isoformat() if birth_date else None,
            gender=one.gender or identity.gender,
            programme=one.programme,
            is_protected=one.is_protected,
            language=one.language,
            kin_language=one.kin_language,
        )


def _identity(patient: Patient) -> PersonalIdentity:
    if patient.identifier_system == identifiers.TEST_PERSON:
        return PersonalIdentity(identifiers.TEST_PERSON, patient.identifier, None, None)
    return identifiers.personal_identity(patient.identifier)
