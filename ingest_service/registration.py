"""A document that says who and what is known, until pages can; docs/reference/registration.md."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
)

from fhir_mappings import identifiers
from fhir_mappings.identifiers import PersonalIdentity
from ingest_service.plans import checking, reading
from ingest_service.plans import hours as opening_hours
from ingest_service.plans.hours import Hours
from ingest_service.plans.plan import Plan, Status
from ingest_service.plans.reading import PlanError
from ingest_service.store import destruction, patients, plans, registration
from ingest_service.store.connections import Connection
from ingest_service.store.plans import HoursRow, PlanRow
from ingest_service.store.registration import (
    AssignmentRow,
    DeviceRow,
    GatewayRow,
    PatientRow,
    ProviderRow,
    UnitRow,
)

_Text = Annotated[str, Field(min_length=1, max_length=200)]
_GatewayId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
_Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}$")]


class RegistrationError(ValueError):
    """The document is wrong; the text says where, and repeats no value."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _plan(given: object) -> Plan:
    """Return a plan of the document: whole, and approved by somebody unless it is a draft."""
    plan = reading.decode(msgspec.json.encode(given))
    found = checking.faults(plan)
    if plan.status is not Status.DRAFT:
        if plan.approval is None:
            found.append("plan.approval: who approved it must be stated, or it is a draft")
        if plan.status is Status.ACTIVE:
            found += checking.unready(plan)
    elif plan.approval is not None:
        found.append("plan.approval: a draft is approved by nobody")
    if found:
        raise PlanError("; ".join(found))
    return plan


def _hours(given: object) -> Hours:
    return opening_hours.decode(msgspec.json.encode(given))


def _as_json(given: Plan | Hours) -> object:
    return msgspec.json.decode(msgspec.json.encode(given))


# These documents read and write themselves.
_AS_JSON: Final = PlainSerializer(_as_json, when_used="json")


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


class UnitHours(_Part):
    """When a care unit is open; docs/reference/opening-hours.md."""

    care_unit_id: UUID
    hours: Annotated[Hours, PlainValidator(_hours), _AS_JSON]
    decided_by: _Text
    decided_at: AwareDatetime


class Registration(_Part):
    """The whole document; every part may be empty."""

    care_providers: tuple[CareProvider, ...] = ()
    care_units: tuple[CareUnit, ...] = ()
    patients: tuple[Patient, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    devices: tuple[Device, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    care_unit_hours: tuple[UnitHours, ...] = ()
    plans: tuple[Annotated[Plan, PlainValidator(_plan), _AS_JSON], ...] = ()


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


async def register(connection: Connection, document: Registration, *, now: datetime) -> None:
    """Write the document in one transaction; the same again changes nothing.

    Raises:
        RegistrationError: If a patient's identifier cannot be right.
        psycopg.Error: If it contradicts what is known, for example two patients at one time with
            one device; nothing is written then.
    """
    rows = list(_patient_rows(document.patients))
    concerned = {row.id for row in rows}
    concerned |= {one.patient_id for one in (*document.assignments, *document.plans)}
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
        await plans.put_hours(connection, [_hours_row(one) for one in document.care_unit_hours])
        for index, plan in enumerate(document.plans):
            if await _put_plan(connection, plan, f"plans.{index}"):
                await plans.judge_soon(connection, plan.patient_id, now)


async def _put_plan(connection: Connection, plan: Plan, place: str) -> bool:
    """Write a plan's version, and tell whether it is new; another one ends the one before."""
    known = await plans.versions(connection, plan.id)
    body = reading.encode(plan)
    if any(one.version == plan.version for one in known):
        if all(one.body != body for one in known if one.version == plan.version):
            raise RegistrationError(
                f"{place}.version: version {plan.version} of plan {plan.id} says something else; "
                "a change is a new version, approved anew"
            )
        return False
    if any(one.version > plan.version or one.patient_id != plan.patient_id for one in known):
        raise RegistrationError(
            f"{place}: plan {plan.id} is another patient's, or has a later version already"
        )
    begins = plan.since
    if plan.approval is not None and known:
        begins = max(plan.since, plan.approval.at)
        await plans.end(connection, plan.id, begins)
    await plans.add(connection, [_plan_row(plan, body, begins)])
    return True


def _plan_row(plan: Plan, body: str, begins: datetime) -> PlanRow:
    approval = plan.approval
    is_in_force = plan.status is Status.ACTIVE
    return PlanRow(
        id=plan.id,
        version=plan.version,
        patient_id=plan.patient_id,
        care_unit_id=plan.care_unit_id,
        programme=plan.programme,
        status=plan.status,
        valid_from=begins if is_in_force else None,
        valid_until=plan.until if is_in_force else None,
        template_id=plan.template.id if plan.template else None,
        template_version=plan.template.version if plan.template else None,
        approved_by=approval.by if approval else None,
        approved_role=approval.role if approval else None,
        approved_at=approval.at if approval else None,
        written_by=approval.by if approval else "registration",
        written_at=approval.at if approval else plan.since,
        reason="registered",
        body=body,
    )


def _hours_row(given: UnitHours) -> HoursRow:
    return HoursRow(
        care_unit_id=given.care_unit_id,
        body=msgspec.json.encode(given.hours).decode(),
        written_by=given.decided_by,
        written_at=given.decided_at,
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
