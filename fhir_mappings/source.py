"""What all Observations of one device record share, and how one of them is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec

from device_adapters.contract.messages import Device, Measuring, ReadingRecord, TimeQuality
from device_adapters.contract.readings import Number, PulseOximetry, Reading, Special
from fhir_mappings import codes, possible
from fhir_mappings.codes import Measure, Unit
from fhir_mappings.elements import (
    Annotation,
    Component,
    Extension,
    Identifier,
    Meta,
    Observation,
    Period,
    Quantity,
    Reference,
    SampledData,
    text,
)
from fhir_mappings.identifiers import (
    PHD,
    RECORD,
    bluetooth_address,
    device_resource_id,
    gateway_resource_id,
    observation_id,
    phd_identifier,
    seconds_on_device,
)
from fhir_mappings.possible import is_possible
from fhir_mappings.quality import Quality

_TIME_NOTES: Final[dict[TimeQuality, tuple[Annotation, ...]]] = {
    TimeQuality.SYNCHRONISED: (),
    TimeQuality.CORRECTED: (Annotation("Time corrected by the error of the device's clock."),),
    TimeQuality.ESTIMATED: (Annotation("Time estimated: the device's clock is not known."),),
    TimeQuality.UNKNOWN: (Annotation("Time uncertain: the gateway's clock was not set."),),
}
_ANOTHER_NOTE: Final = (
    Annotation("May be another person's: far from what this patient usually measures."),
)


_LONGEST_REST_S: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose reading it is, as the server decided."""

    patient_id: UUID


class MappedObservation(msgspec.Struct, frozen=True, kw_only=True):
    """One Observation, ready to be stored.

    ``resource`` is its finished JSON text. ``code`` is what it is stored and searched by: its
    LOINC code, or the MDC code of a series. ``value`` is in percent, per minute, degrees Celsius
    or kilograms, ``systolic`` and ``diastolic`` in mm[Hg]; all three are ``None`` where the
    attempt failed, and of a series. ``is_doubtful`` tells that the device itself doubts the
    value.
    """

    id: UUID
    version: int
    code: str
    status: str
    effective_at: datetime
    resource: str
    value: Decimal | None = None
    systolic: Decimal | None = None
    diastolic: Decimal | None = None
    is_failed: bool
    is_irregular: bool
    is_doubtful: bool
    phd_identifier: str | None


def is_fully_described(device: Device) -> bool:
    """Tell whether a device said all that the PHD guide demands of one.

    The guide's profiles hold for an Observation only where they hold for its device.
    """
    return bool(device.manufacturer and device.model and device.firmware)


class Source:
    """What all Observations of one record have in common."""

    __slots__ = (
        "_address",
        "_attribution",
        "_context_notes",
        "_device",
        "_effective",
        "_extensions",
        "_identifier",
        "_is_entered_in_error",
        "_is_phd",
        "_issued",
        "_patient_id",
        "_record",
        "_seconds",
        "_subject",
        "_version",
    )

    def __init__(
        self,
        record: ReadingRecord,
        subject: Subject,
        *,
        gateway_id: str,
        issued: datetime,
        version: int,
        attribution: int,
        may_be_another: bool,
        is_entered_in_error: bool,
    ) -> None:
        self._record = record
        self._version = version
        self._attribution = attribution
        self._is_entered_in_error = is_entered_in_error
        self._patient_id = str(subject.patient_id)
        self._subject = Reference(f"Patient/{self._patient_id}")
        self._device = _device(record.device.id)
        self._extensions = (_gateway(gateway_id),)
        self._identifier = Identifier(system=RECORD, value=str(record.record_id))
        self._address = bluetooth_address(record.device.id)
        self._seconds = _seconds_on_device(record.reading)
        self._effective = record.effective_at.isoformat()
        self._issued = issued.isoformat()
        self._is_phd = is_fully_described(record.device)
        self._context_notes = _TIME_NOTES[record.time_quality]
        if record.measuring is not None and record.measuring.is_too_close:
            note, rest = _too_close(record.measuring)
            self._context_notes += note
            self._extensions += rest
        if may_be_another:
            self._context_notes += _ANOTHER_NOTE

    def pulse(
        self, measure: Measure, found: Quality, number: Number, absent: msgspec.Raw | None
    ) -> MappedObservation:
        """Return a pulse; an impossible one as an error, without its value."""
        if not is_possible(number, possible.PULSE):
            absent = absent or codes.ABSENT_ERROR
        return self.observation(measure, found, number=number, absent=absent)

    def observation(
        self,
        measure: Measure,
        found: Quality,
        *,
        number: Number | None = None,
        unit: Unit | None = None,
        canonical: Decimal | None = None,
        absent: msgspec.Raw | None = None,
        components: Iterable[Component] = (),
        systolic: Decimal | None = None,
        diastolic: Decimal | None = None,
        body_site: msgspec.Raw | None = None,
        sampled: SampledData | None = None,
        until: datetime | None = None,
    ) -> MappedObservation:
        """Return one Observation: with a value, with components, or with neither and why.

        Args:
            measure: What was measured.
            found: How far it can be relied on.
            number: As sent, in ``unit``.
            unit: Where it is not the measure's own.
            canonical: The number in the measure's own unit, to search by, where it was converted.
            absent: Why there is no value; a number that was sent does not travel further then.
            components: Of a compound measure.
            systolic: Of a blood pressure, to search by.
            diastolic: The same.
            body_site: Where on the body, if the device said so.
            sampled: The samples of a series.
            until: When a series ended.
        """
        absent = absent_of(number) or absent
        value = number if isinstance(number, Decimal) and not absent else None
        status = self._status(found)
        identity = observation_id(self._record.record_id, measure.code, self._attribution)
        identifier, phd = (self._identifier,), self._phd_identifier(measure)
        if phd:
            identifier = (*identifier, Identifier(system=PHD, value=phd))
        resource = Observation(
            id=identity,
            meta=Meta(
                version_id=str(self._version),
                last_updated=self._issued,
                profile=measure.vital_sign_of_phd if self._is_phd else measure.vital_sign,
                security=(codes.TEST_DATA,) if found.is_test else (),
            ),
            extension=self._extensions,
            identifier=identifier,
            status=status,
            category=codes.CATEGORIES,
            code=measure.concept,
            subject=self._subject,
            effective_date_time=self._effective if until is None else None,
            effective_period=Period(self._effective, until.isoformat()) if until else None,
            issued=self._issued,
            value_quantity=None if value is None else quantity(value, unit or measure.unit),
            value_sampled_data=None if absent else sampled,
            data_absent_reason=absent,
            interpretation=found.interpretation,
            note=found.notes + self._context_notes,
            body_site=body_site,
            device=self._device,
            component=tuple(components),
        )
        return MappedObservation(
            id=identity,
            version=self._version,
            code=measure.code,
            status=status,
            effective_at=self._record.effective_at,
            resource=text(resource),
            value=value if value is None or canonical is None else canonical,
            systolic=systolic,
            diastolic=diastolic,
            is_failed=absent is not None,
            is_irregular=found.is_irregular,
            is_doubtful=found.is_doubtful,
            phd_identifier=phd,
        )

    @property
    def effective_at(self) -> datetime:
        """When it was measured, or the first sample of a series was, with the home's offset."""
        return self._record.effective_at

    def _phd_identifier(self, measure: Measure) -> str | None:
        if self._address is None or self._seconds is None:
            return None
        return phd_identifier(self._address, self._patient_id, measure.mdc, self._seconds)

    def _status(self, found: Quality) -> str:
        if self._is_entered_in_error:
            return "entered-in-error"
        if found.is_preliminary:
            return "preliminary"
        return "final" if self._version == 1 else "corrected"


def _too_close(
    measuring: Measuring,
) -> tuple[tuple[Annotation, ...], tuple[Extension, ...]]:
    """Return that a reading followed another too soon, in words and as the rest in seconds.

    A rest that no clock can have measured is left out: what was sent stays in the record.
    """
    if not 0 <= measuring.rest_s <= _LONGEST_REST_S:
        return (Annotation("Measured too soon after the device's reading before it."),), ()
    seconds = Decimal(str(measuring.rest_s)).quantize(Decimal(1), ROUND_HALF_EVEN)
    note = Annotation(f"Measured too soon: {seconds} s after the device's reading before it.")
    return (note,), (Extension(codes.REST, value_quantity=quantity(seconds, codes.SECOND)),)


def quantity(value: Decimal, unit: Unit, *, extension: tuple[Extension, ...] = ()) -> Quantity:
    """Return a number with its unit: to the byte as given, in plain notation."""
    return Quantity(
        extension=extension,
        value=msgspec.Raw(f"{value:f}".encode()),  # never 1E+2: not every reader takes it
        unit=unit.text,
        system=codes.UCUM,
        code=unit.code,
    )


@lru_cache(maxsize=4096)
def _device(device_id: str) -> Reference:
    return Reference(f"Device/{device_resource_id(device_id)}")


@lru_cache(maxsize=4096)
def _gateway(gateway_id: str) -> Extension:
    return Extension(codes.GATEWAY_DEVICE, Reference(f"Device/{gateway_resource_id(gateway_id)}"))


def _seconds_on_device(reading: Reading) -> int | None:
    """Return the device's time, unless it gave none or says that its clock is not set."""
    is_clock_set = reading.is_device_clock_set if isinstance(reading, PulseOximetry) else True
    if reading.device_time is None or not is_clock_set:
        return None
    return seconds_on_device(reading.device_time)


def absent_of(number: Number | None) -> msgspec.Raw | None:
    """Return why there is no number, where the device sent a special value."""
    return codes.ABSENT_OF_SPECIAL[number] if isinstance(number, Special) else None
