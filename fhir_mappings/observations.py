"""Readings as FHIR R4 Observations: finished JSON text, with columns to search by.

A cuff's reading gives a blood pressure panel and, where a pulse was sent, a heart rate; an
oximeter's gives an oxygen saturation and a heart rate. A failed attempt gives the same ones
without values, each saying why: no number that the device sent with it travels further, so that
none can be taken for a reading. A pulse or a mean pressure that no living body can have is left
out as an error and takes nothing else with it. A frame that no codec could read gives none.

Numbers are written to the byte as sent, in plain notation. Pressures sent in kPa are converted
here, the only place, by 7.50062 mmHg a kPa, rounded half to even to a tenth; the number that was
sent stands beside the converted one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final
from uuid import UUID

import msgspec

from device_adapters.contract.messages import Device, ReadingRecord, TimeQuality
from device_adapters.contract.readings import (
    BloodPressure,
    Number,
    PressureUnit,
    PulseOximetry,
    Reading,
    Special,
    UnsupportedFrame,
)
from fhir_mappings import codes, possible, quality
from fhir_mappings.codes import Measure, Unit
from fhir_mappings.elements import (
    Annotation,
    Component,
    Extension,
    Identifier,
    Meta,
    Observation,
    Quantity,
    Reference,
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

MMHG_PER_KPA: Final = Decimal("7.50062")
_TENTH: Final = Decimal("0.1")

_TIME_NOTES: Final[dict[TimeQuality, tuple[Annotation, ...]]] = {
    TimeQuality.SYNCHRONISED: (),
    TimeQuality.CORRECTED: (Annotation("Time corrected by the error of the device's clock."),),
    TimeQuality.ESTIMATED: (Annotation("Time estimated: the device's clock is not known."),),
    TimeQuality.UNKNOWN: (Annotation("Time uncertain: the gateway's clock was not set."),),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose reading it is, as the server decided."""

    patient_id: UUID


class MappedObservation(msgspec.Struct, frozen=True, kw_only=True):
    """One Observation, ready to be stored.

    ``resource`` is its finished JSON text. ``code`` is the LOINC code to search by; ``value`` is
    in percent or per minute, ``systolic`` and ``diastolic`` in mm[Hg]; all three are ``None``
    where the attempt failed. ``is_doubtful`` tells that the device itself doubts the value.
    """

    id: UUID
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


def map_reading(
    record: ReadingRecord,
    subject: Subject,
    *,
    gateway_id: str,
    issued: datetime,
    version: int = 1,
) -> tuple[MappedObservation, ...]:
    """Return the Observations of one device record; none for an unsupported frame.

    Args:
        record: As it travelled; ids and values depend on it and on ``subject`` alone.
        subject: The patient it was assigned to.
        gateway_id: The gateway that delivered it.
        issued: When this version is made available, in UTC.
        version: 1, or more for a correction of what was stored before.
    """
    reading = record.reading
    if isinstance(reading, UnsupportedFrame):
        return ()
    source = _Source(record, subject, gateway_id=gateway_id, issued=issued, version=version)
    if isinstance(reading, BloodPressure):
        return _blood_pressure(source, reading)
    return _pulse_oximetry(source, reading)


def is_fully_described(device: Device) -> bool:
    """Tell whether a device said all that the PHD guide demands of one.

    The guide's profiles hold for an Observation only where they hold for its device.
    """
    return bool(device.manufacturer and device.model and device.firmware)


def _blood_pressure(source: _Source, reading: BloodPressure) -> tuple[MappedObservation, ...]:
    found = quality.of_cuff(reading.status)
    systolic, diastolic = _mmhg(reading.systolic, reading), _mmhg(reading.diastolic, reading)
    absent = _absent(reading.systolic) or _absent(reading.diastolic)
    parts = [
        (codes.SYSTOLIC, reading.systolic, systolic),
        (codes.DIASTOLIC, reading.diastolic, diastolic),
    ]
    if absent:
        components = [
            Component(code=measure.concept, data_absent_reason=_absent(sent) or absent)
            for measure, sent, _ in parts
        ]
    else:
        mean = _mmhg(reading.mean, reading)
        is_mean_possible = is_possible(mean, possible.MEAN)
        if is_mean_possible:
            parts.append((codes.MEAN, reading.mean, mean))
        components = [
            Component(code=measure.concept, value_quantity=_pressure(converted, sent, reading))
            for measure, sent, converted in parts
            if converted is not None  # a cuff need not give the mean
        ]
        if not is_mean_possible:
            error = Component(code=codes.MEAN.concept, data_absent_reason=codes.ABSENT_ERROR)
            components.append(error)
    panel = source.observation(
        codes.BLOOD_PRESSURE,
        found,
        absent=absent,
        components=components,
        systolic=None if absent else systolic,
        diastolic=None if absent else diastolic,
    )
    if reading.pulse_per_min is None:
        return (panel,)
    return (panel, source.pulse(codes.CUFF_PULSE, found, reading.pulse_per_min, absent))


def _pulse_oximetry(source: _Source, reading: PulseOximetry) -> tuple[MappedObservation, ...]:
    found = quality.of_oximeter(reading.status, reading.sensor_status)
    absent = found.absent or _absent(reading.spo2)
    return (
        source.observation(codes.SPO2, found, number=reading.spo2, absent=absent),
        source.pulse(codes.OXIMETER_PULSE, found, reading.pulse_per_min, absent),
    )


class _Source:
    """What all Observations of one record have in common."""

    __slots__ = (
        "_address",
        "_device",
        "_effective",
        "_gateway",
        "_identifier",
        "_is_phd",
        "_issued",
        "_patient_id",
        "_record",
        "_seconds",
        "_subject",
        "_time_notes",
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
    ) -> None:
        self._record = record
        self._version = version
        self._patient_id = str(subject.patient_id)
        self._subject = Reference(f"Patient/{self._patient_id}")
        self._device = Reference(f"Device/{device_resource_id(record.device.id)}")
        self._gateway = Extension(
            codes.GATEWAY_DEVICE, Reference(f"Device/{gateway_resource_id(gateway_id)}")
        )
        self._identifier = Identifier(system=RECORD, value=str(record.record_id))
        self._address = bluetooth_address(record.device.id)
        self._seconds = _seconds_on_device(record.reading)
        self._effective = record.effective_at.isoformat()
        self._issued = issued.isoformat()
        self._is_phd = is_fully_described(record.device)
        self._time_notes = _TIME_NOTES[record.time_quality]

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
        absent: msgspec.Raw | None = None,
        components: Iterable[Component] = (),
        systolic: Decimal | None = None,
        diastolic: Decimal | None = None,
    ) -> MappedObservation:
        """Return one Observation: with a number, with components, or with neither and why."""
        absent = _absent(number) or absent
        value = number if isinstance(number, Decimal) and not absent else None
        status = self._status(found)
        identity = observation_id(self._record.record_id, measure.code)
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
            extension=(self._gateway,),
            identifier=identifier,
            status=status,
            category=codes.CATEGORIES,
            code=measure.concept,
            subject=self._subject,
            effective_date_time=self._effective,
            issued=self._issued,
            value_quantity=None if value is None else _quantity(value, measure.unit),
            data_absent_reason=absent,
            interpretation=found.interpretation,
            note=found.notes + self._time_notes,
            device=self._device,
            component=tuple(components),
        )
        return MappedObservation(
            id=identity,
            code=measure.code,
            status=status,
            effective_at=self._record.effective_at,
            resource=text(resource),
            value=value,
            systolic=systolic,
            diastolic=diastolic,
            is_failed=absent is not None,
            is_irregular=found.is_irregular,
            is_doubtful=found.is_doubtful,
            phd_identifier=phd,
        )

    def _phd_identifier(self, measure: Measure) -> str | None:
        if self._address is None or self._seconds is None:
            return None
        return phd_identifier(self._address, self._patient_id, measure.mdc, self._seconds)

    def _status(self, found: Quality) -> str:
        if found.is_preliminary:
            return "preliminary"
        return "final" if self._version == 1 else "corrected"


def _seconds_on_device(reading: Reading) -> int | None:
    """Return the device's time, unless it gave none or says that its clock is not set."""
    is_clock_set = reading.is_device_clock_set if isinstance(reading, PulseOximetry) else True
    if reading.device_time is None or not is_clock_set:
        return None
    return seconds_on_device(reading.device_time)


def _absent(number: Number | None) -> msgspec.Raw | None:
    return codes.ABSENT_OF_SPECIAL[number] if isinstance(number, Special) else None


def _mmhg(number: Number, reading: BloodPressure) -> Decimal | None:
    if isinstance(number, Special):
        return None
    if reading.unit is PressureUnit.MMHG:
        return number
    return (number * MMHG_PER_KPA).quantize(_TENTH, ROUND_HALF_EVEN)


def _pressure(converted: Decimal, sent: Number, reading: BloodPressure) -> Quantity:
    if reading.unit is PressureUnit.MMHG or isinstance(sent, Special):
        return _quantity(converted, codes.MMHG)
    translation = Extension(codes.QUANTITY_TRANSLATION, value_quantity=_quantity(sent, codes.KPA))
    return _quantity(converted, codes.MMHG, extension=(translation,))


def _quantity(value: Decimal, unit: Unit, *, extension: tuple[Extension, ...] = ()) -> Quantity:
    return Quantity(
        extension=extension,
        value=msgspec.Raw(f"{value:f}".encode()),  # never 1E+2: not every reader takes it
        unit=unit.text,
        system=codes.UCUM,
        code=unit.code,
    )
