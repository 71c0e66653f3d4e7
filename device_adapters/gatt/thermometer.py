"""Health Thermometer Service 1.0: temperature measurement and intermediate temperature."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from device_adapters.contract.readings import (
    BodyTemperature,
    Number,
    TemperatureUnit,
    is_bounded,
)
from device_adapters.errors import FieldError
from device_adapters.gatt.listening import ListeningAdapter
from device_adapters.gatt.reader import Reader
from device_adapters.session import DeviceAdapter

SERVICE: Final = "00001809-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a1c-0000-1000-8000-00805f9b34fb"
INTERMEDIATE_TEMPERATURE: Final = "00002a1e-0000-1000-8000-00805f9b34fb"

_FAHRENHEIT, _TIMESTAMP, _TYPE = 0x01, 0x02, 0x04
_RESERVED: Final = 0xF8

# Thermometers hang up by themselves, as cuffs do; this is for one that forgets to.
_IDLE_S: Final = 15.0


def decode_temperature(value: bytes) -> BodyTemperature:
    """Decode a Temperature Measurement (0x2A1C) or an Intermediate Temperature (0x2A1E).

    Layout of both, little-endian: flags u8; temperature FLOAT, in degrees Celsius or Fahrenheit
    as flag bit 0 says; then, where its flag is set, time stamp 7 bytes, temperature type u8. So
    5 to 13 bytes. An intermediate temperature is one on its way up: it is no reading.

    Returns:
        The reading in the unit that the flags give; a special value stays the special value it
        is; a reserved temperature type is kept as sent. A thermometer that always measures at
        the same place says so in Temperature Type (0x2A1D) and sends no type here.

    Raises:
        TruncatedError: If a field that the flags announce is missing.
        TrailingBytesError: If bytes follow the last announced field.
        FieldError: If a reserved flag is set, or the temperature has a power of ten that no
            record can carry.

    Source:
        Bluetooth SIG, GATT Specification Supplement, Temperature Measurement; Health
        Thermometer Service 1.0, 3.1 and 3.3.
    """
    reader = Reader(value)
    flags = reader.flags("flags", reserved=_RESERVED)
    reading = BodyTemperature(
        temperature=_carried(reader.float32("temperature")),
        unit=TemperatureUnit.FAHRENHEIT if flags & _FAHRENHEIT else TemperatureUnit.CELSIUS,
        device_time=reader.date_time("time stamp") if flags & _TIMESTAMP else None,
        site=reader.uint("temperature type", 1) if flags & _TYPE else None,
    )
    reader.finish()
    return reading


#: Thermometers that keep to the Health Thermometer Service.
ADAPTER: Final[DeviceAdapter] = ListeningAdapter(
    service=SERVICE,
    measurement=MEASUREMENT,
    decode_measurement=decode_temperature,
    passed_over=frozenset({INTERMEDIATE_TEMPERATURE}),
    idle_s=_IDLE_S,
)


def _carried(temperature: Number) -> Number:
    """Return a number that a record can carry: a FLOAT's exponent goes from -128 to 127."""
    if isinstance(temperature, Decimal) and not is_bounded(temperature):
        raise FieldError("temperature: power of ten out of range")
    return temperature
