"""Identifiers: of people in Sweden, of devices, and of what they measured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Final, Literal
from uuid import UUID, uuid5

from device_adapters.contract.readings import DeviceTime
from fhir_mappings.codes import PHD_STRUCTURE

PERSONNUMMER: Final = "http://electronichealth.se/identifier/personnummer"
SAMORDNINGSNUMMER: Final = "http://electronichealth.se/identifier/samordningsnummer"
RESERVNUMMER: Final = "http://electronichealth.se/identifier/nationelltReservnummer"
TEST_PERSON: Final = "urn:hemvital:sid:test-person"  # nobody's: for benchmarks and simulations
HSA_ID: Final = "urn:oid:1.2.752.29.4.19"

BLUETOOTH_ADDRESS: Final = "http://hl7.org/fhir/sid/eui-48/bluetooth"
DEVICE: Final = "urn:hemvital:sid:device"  # of one that has no Bluetooth address
GATEWAY: Final = "urn:hemvital:sid:gateway"
#: The device record that an Observation was made from, the same however often it is sent.
RECORD: Final = "urn:hemvital:sid:record"
#: A message as it came: SHA-256 over its payload, in hexadecimal.
MESSAGE: Final = "urn:hemvital:sid:message-sha256"
#: An average: patient, protocol with version, kind and days of its period.
AVERAGE: Final = "urn:hemvital:sid:average"
#: What somebody did in this system, where it changed what is stored.
CHANGE: Final = "urn:hemvital:sid:change"
#: Who works for the operator or the care provider and has no HSA-id.
WORKER: Final = "urn:hemvital:sid:worker"
#: A measure of a device: the device's identity and the decimal MDC code.
METRIC: Final = "urn:hemvital:sid:device-metric"
#: The implementation guide's own way to tell whether two Observations are the same.
PHD: Final = PHD_STRUCTURE + "PhdBaseObservation"

_DEVICE_RESOURCE: Final = UUID("0f0e5b0a-6d0b-5b7a-9a54-0c9f3c1b7a10")
_GATEWAY_RESOURCE: Final = UUID("4a5b4c5e-91f6-5f55-8a2c-5a3bd6b0d7c2")

_METRIC_RESOURCE: Final = UUID("c0a57b52-5a3a-5a6e-8f0e-8a6a3f1f9e21")
_PROVENANCE_RESOURCE: Final = UUID("7d1f2f7e-0a51-5b0c-9d0b-5f6f0d2b7c33")

_AVERAGE_RESOURCE: Final = UUID("b3d7c1a4-52e0-5c1d-9f46-2e8a7d0c6b15")

_MAC: Final = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_EPOCH: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - device time has no zone
_TWELVE_DIGITS: Final = re.compile(r"(18|19|[2-9][0-9])[0-9]{10}", re.ASCII)
# Eight digits, then two or three letters without I, O, Q, V and W, and digits up to twelve.
_RESERVE: Final = re.compile(r"[0-9]{8}[A-HJ-NPR-UX-Z]{2}(?:[0-9]{2}|[A-HJ-NPR-UX-Z][0-9])")
_HSA_ID: Final = re.compile(r"SE[0-9]{10}-[0-9A-Z]{1,18}")
_COORDINATION_DAYS: Final = 60  # added to the day of birth in a samordningsnummer


class IdentifierError(ValueError):
    """The identifier cannot be right; the text does not repeat it."""


@dataclass(frozen=True, slots=True)
class PersonalIdentity:
    """A person's identifier with what it tells: ``None`` where it tells nothing."""

    system: str
    value: str
    birth_date: date | None
    gender: Literal["female", "male"] | None


def personal_identity(text: str) -> PersonalIdentity:
    """Recognise a personnummer, a samordningsnummer or a national reservnummer.

    Args:
        text: Twelve characters; a hyphen before the last four and blanks around are allowed.
            Ten digits are refused: they leave the century open.

    Raises:
        IdentifierError: If it is none of them, or its date or check digit is wrong.

    Source:
        HL7 Sweden base profiles R4 (systems, patterns); Skatteverket SKV 704 (Luhn's check digit
        over the last ten digits, the ninth of them odd for men, 60 added to the day); Inera,
        Nationellt reserv-id 1.0.
    """
    value = text.strip().upper()
    if value[8:9] == "-":
        value = value[:8] + value[9:]
    if _RESERVE.fullmatch(value):
        digit = value[10]
        return PersonalIdentity(RESERVNUMMER, value, None, _gender(digit))
    if not _TWELVE_DIGITS.fullmatch(value):
        raise IdentifierError("neither personnummer, samordningsnummer nor reservnummer")
    if not has_valid_check_digit(value[2:]):
        raise IdentifierError("the check digit is wrong")
    day = int(value[6:8])
    is_coordination = day >= _COORDINATION_DAYS
    return PersonalIdentity(
        SAMORDNINGSNUMMER if is_coordination else PERSONNUMMER,
        value,
        _birth_date(value, day - _COORDINATION_DAYS if is_coordination else day),
        _gender(value[10]),
    )


def has_valid_check_digit(digits: str) -> bool:
    """Tell whether the last digit is Luhn's check digit of those before it."""
    doubled = (int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits)))
    return sum(number // 10 + number % 10 for number in doubled) % 10 == 0


def is_hsa_id(text: str) -> bool:
    """Tell whether this is the HSA-id of a unit or person: ``SE2321000016-1003``."""
    return _HSA_ID.fullmatch(text) is not None


def observation_id(record_id: UUID, code: str, attribution: int = 0) -> UUID:
    """Return the id of the Observation with this LOINC code from one device record.

    A record that was given to another patient makes other Observations: ``attribution`` counts
    how often that happened.
    """
    return uuid5(record_id, f"{code}|{attribution}" if attribution else code)


@lru_cache(maxsize=4096)
def device_resource_id(device_id: str) -> UUID:
    """Return the id of the Device resource of a measuring device."""
    return uuid5(_DEVICE_RESOURCE, device_id)


@lru_cache(maxsize=4096)
def gateway_resource_id(gateway_id: str) -> UUID:
    """Return the id of the Device resource of a gateway."""
    return uuid5(_GATEWAY_RESOURCE, gateway_id)


def device_metric_id(device_id: str, mdc: int) -> UUID:
    """Return the id of the DeviceMetric of one measure of a device."""
    return uuid5(_METRIC_RESOURCE, f"{device_id}|{mdc}")


def provenance_id(*parts: object) -> UUID:
    """Return the id of the Provenance that these tell apart from every other."""
    return uuid5(_PROVENANCE_RESOURCE, "|".join(map(str, parts)))


def average_identifier(
    patient_id: UUID, protocol_id: str, protocol_version: int, kind: str, days: tuple[date, date]
) -> str:
    """Return what an average is the same by, however often it is issued again.

    Layout: the patient's logical id, the protocol's id and version, ``course`` or ``rolling``,
    first and last day; joined by bars.
    """
    first, last = days
    return f"{patient_id}|{protocol_id}|{protocol_version}|{kind}|{first}|{last}"


def average_id(identifier: str) -> UUID:
    """Return the id of the Observation of an average, from its `average_identifier`."""
    return uuid5(_AVERAGE_RESOURCE, identifier)


@lru_cache(maxsize=4096)
def bluetooth_address(device_id: str) -> str | None:
    """Return a Bluetooth address as FHIR writes it (``F0-A1-…``), ``None`` if it is none."""
    return device_id.replace(":", "-").upper() if _MAC.fullmatch(device_id) else None


def seconds_on_device(time: DeviceTime) -> int | None:
    """Return whole seconds since 2000-01-01 on the device's own clock.

    Returns:
        ``None`` for a time that no calendar has, and for one before 2000.
    """
    try:
        local = datetime(  # noqa: DTZ001 - device time has no zone
            time.year, time.month, time.day, time.hour, time.minute, time.second
        )
    except ValueError:
        return None
    elapsed = local - _EPOCH
    return elapsed.days * 86_400 + elapsed.seconds if elapsed.days >= 0 else None


def phd_identifier(address: str, patient_id: UUID | str, mdc: int, seconds: int) -> str:
    """Return the PHD guide's identifier: device, patient, type, time as the device gave it.

    Layout: the device's address as twelve capital hex digits, the patient's logical id (never a
    personnummer: this travels in headers and logs), the decimal MDC code, the seconds; joined by
    hyphens.

    Args:
        address: As `bluetooth_address` gives it.
        patient_id: The patient's logical id.
        mdc: What was measured.
        seconds: As `seconds_on_device` gives them.

    Source:
        HL7 Personal Health Device implementation guide 2.0.0, identifier of PhdBaseObservation.
    """
    return f"{address.replace('-', '')}-{patient_id}-{mdc}-{seconds}"


def _birth_date(value: str, day: int) -> date | None:
    if day == 0 and int(value[6:8]) == _COORDINATION_DAYS:
        return None  # a samordningsnummer of somebody whose day of birth is not known
    try:
        return date(int(value[:4]), int(value[4:6]), day)
    except ValueError as error:
        raise IdentifierError("no such date of birth") from error


def _gender(digit: str) -> Literal["female", "male"] | None:
    if not digit.isdigit():
        return None
    return "male" if int(digit) % 2 else "female"
