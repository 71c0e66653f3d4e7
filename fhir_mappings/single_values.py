"""Readings of one value as Observations: body temperature, body weight, heart rate.

Values stay in the unit sent. Only what is searched by is converted: temperatures to hundredths
of a degree Celsius, weights to grams, both rounded half to even.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from device_adapters.contract.readings import (
    BodyTemperature,
    BodyWeight,
    HeartRate,
    MassUnit,
    TemperatureSite,
    TemperatureUnit,
)
from fhir_mappings import codes, quality
from fhir_mappings.codes import Unit
from fhir_mappings.source import MappedObservation, Source

KILOGRAM_PER_POUND: Final = Decimal("0.45359237")  # by definition

_HUNDREDTH: Final = Decimal("0.01")
_THOUSANDTH: Final = Decimal("0.001")
_DEGREES: Final[dict[TemperatureUnit, Unit]] = {
    TemperatureUnit.CELSIUS: codes.CELSIUS,
    TemperatureUnit.FAHRENHEIT: codes.FAHRENHEIT,
}
_MASSES: Final[dict[MassUnit, Unit]] = {
    MassUnit.KILOGRAM: codes.KILOGRAM,
    MassUnit.POUND: codes.POUND,
}


def celsius(temperature: Decimal, unit: TemperatureUnit) -> Decimal:
    """Return a temperature in degrees Celsius, as sent or to hundredths."""
    if unit is TemperatureUnit.CELSIUS:
        return temperature
    return ((temperature - 32) * 5 / 9).quantize(_HUNDREDTH, ROUND_HALF_EVEN)


def kilograms(weight: Decimal, unit: MassUnit) -> Decimal:
    """Return a weight in kilograms, as sent or to grams."""
    if unit is MassUnit.KILOGRAM:
        return weight
    return (weight * KILOGRAM_PER_POUND).quantize(_THOUSANDTH, ROUND_HALF_EVEN)


def body_temperature(source: Source, reading: BodyTemperature) -> MappedObservation:
    """Return a body temperature, with its site where the thermometer named one."""
    sent = reading.temperature
    return source.observation(
        codes.BODY_TEMPERATURE,
        quality.PLAIN,
        number=sent,
        unit=_DEGREES[reading.unit],
        canonical=celsius(sent, reading.unit) if isinstance(sent, Decimal) else None,
        body_site=_site(reading.site),
    )


def body_weight(source: Source, reading: BodyWeight) -> MappedObservation:
    """Return a body weight; the scale's body mass index and height stay in the record.

    Both rest on what somebody once entered in the scale, and height is not measured at all.
    """
    sent = reading.weight
    return source.observation(
        codes.BODY_WEIGHT,
        quality.PLAIN,
        number=sent,
        unit=_MASSES[reading.unit],
        canonical=None if sent is None else kilograms(sent, reading.unit),
        absent=codes.ABSENT_ERROR if sent is None else None,
    )


def heart_rate(source: Source, reading: HeartRate) -> MappedObservation:
    """Return a heart rate; intervals between beats and energy stay in the record."""
    found = quality.of_heart_rate_sensor(reading.has_contact)
    return source.observation(
        codes.HEART_RATE, found, number=reading.heart_rate_per_min, absent=found.absent
    )


def _site(sent: int | None) -> msgspec.Raw | None:
    # 0 and 10-255 are reserved; the body in general is no site.
    return codes.BODY_SITES.get(TemperatureSite(sent)) if sent in _SITES else None


_SITES: Final = frozenset(TemperatureSite)
