"""Patients, devices, what they measure, and gateways as FHIR R4: finished JSON text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal
from uuid import UUID

from device_adapters.contract import messages
from fhir_mappings import codes
from fhir_mappings.codes import PHD_STRUCTURE, Measure
from fhir_mappings.elements import (
    CodeableConcept,
    Coding,
    Device,
    DeviceMetric,
    HumanName,
    Identifier,
    Meta,
    Patient,
    Reference,
    Specialization,
    Version,
    text,
)
from fhir_mappings.identifiers import (
    BLUETOOTH_ADDRESS,
    DEVICE,
    GATEWAY,
    METRIC,
    bluetooth_address,
    device_metric_id,
    device_resource_id,
    gateway_resource_id,
)
from fhir_mappings.source import is_fully_described

_SE_PATIENT: Final = "http://hl7.se/fhir/ig/base/StructureDefinition/SEBasePatient"
_PROTECTED: Final = Coding(
    "http://hl7.se/fhir/ig/base/CodeSystem/SecurityLabel",
    "sekretessmarkering",
    "Sekretessmarkering",
)
_BLUETOOTH_TYPE: Final = CodeableConcept(
    (Coding("http://terminology.hl7.org/CodeSystem/ContinuaDeviceIdentifiers", "BTMAC"),)
)

DeviceKind = Literal[
    "blood_pressure", "pulse_oximetry", "body_temperature", "body_weight", "heart_rate"
]
_SPECIALIZATIONS: Final[dict[DeviceKind, CodeableConcept]] = {
    "blood_pressure": codes.SPECIALIZED_IN_BLOOD_PRESSURE,
    "pulse_oximetry": codes.SPECIALIZED_IN_OXIMETRY,
    "body_temperature": codes.SPECIALIZED_IN_THERMOMETRY,
    "body_weight": codes.SPECIALIZED_IN_WEIGHT,
    "heart_rate": codes.SPECIALIZED_IN_GENERAL,
}
_MEASURES: Final[dict[DeviceKind, tuple[Measure, ...]]] = {
    "blood_pressure": (codes.BLOOD_PRESSURE, codes.CUFF_PULSE),
    "pulse_oximetry": (codes.SPO2, codes.OXIMETER_PULSE),
    "body_temperature": (codes.BODY_TEMPERATURE,),
    "body_weight": (codes.BODY_WEIGHT,),
    "heart_rate": (codes.HEART_RATE,),
}
_SPECIALIZATION_VERSION: Final = "1"  # of the device specialisations that the profiles follow


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientDetails:
    """What we know of a patient; the identifier is one of Sweden's personal identities."""

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


def patient(details: PatientDetails) -> str:
    """Return a Patient.

    One with protected identity carries the security label and no name: the record reaches the
    owning unit's systems, the name does not travel with it.

    Source:
        HL7 Sweden, base profiles R4 1.1.0, SEBasePatient and SecurityLabelCS.
    """
    name = HumanName(
        "official",
        f"{details.given} {details.family}",
        details.family,
        tuple(details.given.split()),
    )
    return text(
        Patient(
            id=details.id,
            meta=Meta(
                version_id=str(details.version),
                last_updated=details.last_updated.isoformat(),
                profile=(_SE_PATIENT,),
                security=(_PROTECTED,) if details.is_protected else (),
            ),
            identifier=(
                Identifier(
                    use="official",
                    system=details.identifier_system,
                    value=details.identifier_value,
                ),
            ),
            active=True,
            name=() if details.is_protected else (name,),
            gender=details.gender,
            birth_date=details.birth_date.isoformat() if details.birth_date else None,
        )
    )


def measuring_device(
    device: messages.Device, kind: DeviceKind, *, last_updated: datetime | None = None
) -> str:
    """Return the Device of a measuring device, as it described itself.

    It claims the PHD guide's profile only where it said all that the profile demands.

    Source:
        HL7 Personal Health Device implementation guide 2.0.0, PhdDevice.
    """
    address = bluetooth_address(device.id)
    identifier = Identifier(
        type=_BLUETOOTH_TYPE if address else None,
        system=BLUETOOTH_ADDRESS if address else DEVICE,
        value=address or device.id,
    )
    is_phd = is_fully_described(device) and address is not None
    return text(
        Device(
            id=device_resource_id(device.id),
            meta=_meta("PhdDevice" if is_phd else None, last_updated),
            identifier=(identifier,),
            manufacturer=device.manufacturer,
            serial_number=device.serial,
            model_number=device.model,
            type=codes.PERSONAL_HEALTH_DEVICE,
            specialization=(
                Specialization(
                    system_type=_SPECIALIZATIONS[kind], version=_SPECIALIZATION_VERSION
                ),
            ),
            version=(
                (Version(codes.FIRMWARE_VERSION, device.firmware),) if device.firmware else ()
            ),
        )
    )


def device_metrics(
    device: messages.Device, kind: DeviceKind, *, last_updated: datetime | None = None
) -> tuple[str, ...]:
    """Return a DeviceMetric for each measure of a device: what it measures, in which unit.

    The unit is the one that the measure is compared in; a thermometer or scale may send another
    one, which stands in each Observation. Operational status and calibration are left out: a
    home device tells neither.

    Source:
        FHIR R4, DeviceMetric; HL7 Personal Health Device implementation guide, its draft
        PhdDeviceMetric (MDC type, no operational status).
    """
    device_resource = Reference(f"Device/{device_resource_id(device.id)}")
    return tuple(
        text(
            DeviceMetric(
                id=device_metric_id(device.id, measure.mdc),
                meta=_meta(None, last_updated),
                identifier=(Identifier(system=METRIC, value=f"{device.id}|{measure.mdc}"),),
                type=measure.concept,
                unit=CodeableConcept(
                    (Coding(codes.UCUM, measure.unit.code, measure.unit.code),),
                    measure.unit.text,
                ),
                source=device_resource,
                category="measurement",
            )
        )
        for measure in _MEASURES[kind]
    )


def gateway_device(
    gateway_id: str, *, software: str | None = None, last_updated: datetime | None = None
) -> str:
    """Return the Device of a gateway; ``software`` is the version it last reported.

    Source:
        HL7 Personal Health Device implementation guide 2.0.0, PhgDevice.
    """
    return text(
        Device(
            id=gateway_resource_id(gateway_id),
            meta=_meta("PhgDevice" if software else None, last_updated),
            identifier=(Identifier(system=GATEWAY, value=gateway_id),),
            type=codes.PERSONAL_HEALTH_GATEWAY,
            specialization=(
                Specialization(
                    system_type=codes.SPECIALIZED_IN_GENERAL, version=_SPECIALIZATION_VERSION
                ),
            ),
            version=(Version(codes.SOFTWARE_VERSION, software),) if software else (),
        )
    )


def _meta(profile: str | None, last_updated: datetime | None) -> Meta | None:
    if not profile and not last_updated:
        return None  # FHIR has no empty objects
    return Meta(
        last_updated=last_updated.isoformat() if last_updated else None,
        profile=(PHD_STRUCTURE + profile,) if profile else None,
    )
