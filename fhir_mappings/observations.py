"""Readings as FHIR R4 Observations: finished JSON text, with columns to search by.

A cuff's reading gives a blood pressure panel and, where a pulse was sent, a heart rate; an
oximeter's gives an oxygen saturation and a heart rate, as one value each or as a series each; a
thermometer's, a scale's and a heart rate sensor's give one Observation. A failed attempt gives
the same ones without values, each saying why: no number that the device sent with it travels
further, so that none can be taken for a reading. A pulse or a mean pressure that no living body
can have is left out as an error and takes nothing else with it. A frame that no codec could read
gives none.

Numbers are written to the byte as sent, in plain notation and in the unit sent: temperatures in
Celsius or Fahrenheit, weights in kilograms or pounds. Pressures sent in kPa are converted here,
the only place, because R4's vital signs know no kPa: by 7.50062 mmHg a kPa, rounded half to even
to a tenth; the number that was sent stands beside the converted one.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from device_adapters.contract.messages import ReadingRecord
from device_adapters.contract.readings import (
    BloodPressure,
    BodyTemperature,
    BodyWeight,
    HeartRate,
    Number,
    OximetrySeries,
    PressureUnit,
    PulseOximetry,
    Special,
    UnsupportedFrame,
)
from fhir_mappings import codes, possible, quality, series, single_values
from fhir_mappings.elements import Component, Extension, Quantity
from fhir_mappings.possible import is_possible
from fhir_mappings.source import MappedObservation, Source, Subject, absent_of, quantity

MMHG_PER_KPA: Final = Decimal("7.50062")
_TENTH: Final = Decimal("0.1")


def map_reading(
    record: ReadingRecord,
    subject: Subject,
    *,
    gateway_id: str,
    issued: datetime,
    version: int = 1,
    attribution: int = 0,
    may_be_another: bool = False,
    is_entered_in_error: bool = False,
) -> tuple[MappedObservation, ...]:
    """Return the Observations of one device record; none for an unsupported frame.

    Args:
        record: As it travelled; ids and values depend on it and on ``subject`` alone.
        subject: The patient it was assigned to.
        gateway_id: The gateway that delivered it.
        issued: When this version is made available, in UTC.
        version: 1, or more for a correction of what was stored before.
        attribution: How often the record was given to another patient before.
        may_be_another: It is far from what the patient usually measures; said in a note, since it
            is a guess about the person and not about the measurement.
        is_entered_in_error: This version takes back what was stored before: it was another
            person's, or nobody's. It keeps its value, and its status says not to use it.
    """
    reading = record.reading
    source = Source(
        record,
        subject,
        gateway_id=gateway_id,
        issued=issued,
        version=version,
        attribution=attribution,
        may_be_another=may_be_another,
        is_entered_in_error=is_entered_in_error,
    )
    match reading:
        case BloodPressure():
            mapped = _blood_pressure(source, reading)
        case PulseOximetry():
            mapped = _pulse_oximetry(source, reading)
        case OximetrySeries():
            mapped = series.observations(source, reading)
        case BodyTemperature():
            mapped = (single_values.body_temperature(source, reading),)
        case BodyWeight():
            mapped = (single_values.body_weight(source, reading),)
        case HeartRate():
            mapped = (single_values.heart_rate(source, reading),)
        case UnsupportedFrame():
            mapped = ()
    return mapped


def _blood_pressure(source: Source, reading: BloodPressure) -> tuple[MappedObservation, ...]:
    found = quality.of_cuff(reading.status)
    systolic, diastolic = _mmhg(reading.systolic, reading), _mmhg(reading.diastolic, reading)
    absent = absent_of(reading.systolic) or absent_of(reading.diastolic)
    parts = [
        (codes.SYSTOLIC, reading.systolic, systolic),
        (codes.DIASTOLIC, reading.diastolic, diastolic),
    ]
    if absent:
        components = [
            Component(code=measure.concept, data_absent_reason=absent_of(sent) or absent)
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


def _pulse_oximetry(source: Source, reading: PulseOximetry) -> tuple[MappedObservation, ...]:
    found = quality.of_oximeter(reading.status, reading.sensor_status)
    absent = found.absent or absent_of(reading.spo2)
    return (
        source.observation(codes.SPO2, found, number=reading.spo2, absent=absent),
        source.pulse(codes.OXIMETER_PULSE, found, reading.pulse_per_min, absent),
    )


def _mmhg(number: Number, reading: BloodPressure) -> Decimal | None:
    if isinstance(number, Special):
        return None
    if reading.unit is PressureUnit.MMHG:
        return number
    return (number * MMHG_PER_KPA).quantize(_TENTH, ROUND_HALF_EVEN)


def _pressure(converted: Decimal, sent: Number, reading: BloodPressure) -> Quantity:
    if reading.unit is PressureUnit.MMHG or isinstance(sent, Special):
        return quantity(converted, codes.MMHG)
    translation = Extension(codes.QUANTITY_TRANSLATION, value_quantity=quantity(sent, codes.KPA))
    return quantity(converted, codes.MMHG, extension=(translation,))
