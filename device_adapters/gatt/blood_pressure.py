"""Blood Pressure Service 1.1.1: measurement, intermediate cuff pressure, feature."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from device_adapters.contract.readings import (
    BloodPressure,
    DeviceTime,
    Number,
    PressureUnit,
)
from device_adapters.gatt.listening import ListeningAdapter
from device_adapters.gatt.reader import Reader
from device_adapters.session import DeviceAdapter

SERVICE: Final = "00001810-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a35-0000-1000-8000-00805f9b34fb"
INTERMEDIATE_CUFF_PRESSURE: Final = "00002a36-0000-1000-8000-00805f9b34fb"
FEATURE: Final = "00002a49-0000-1000-8000-00805f9b34fb"

_KPA, _TIMESTAMP, _PULSE, _USER, _STATUS = 0x01, 0x02, 0x04, 0x08, 0x10
_RESERVED: Final = 0xE0
_UNKNOWN_USER: Final = 0xFF

# A cuff hangs up by itself some five seconds after its last record; this is for one that
# forgets to, and leaves room for the pause that the first record may take after subscribing.
_IDLE_S: Final = 15.0


class Feature(IntFlag):
    """What a cuff says it can do (0x2A49)."""

    BODY_MOVEMENT_DETECTION = 1 << 0
    CUFF_FIT_DETECTION = 1 << 1
    IRREGULAR_PULSE_DETECTION = 1 << 2
    PULSE_RATE_RANGE_DETECTION = 1 << 3
    POSITION_DETECTION = 1 << 4
    MULTIPLE_BONDS = 1 << 5
    E2E_CRC = 1 << 6
    USER_DATA_SERVICE = 1 << 7
    USER_FACING_TIME = 1 << 8


@dataclass(frozen=True, slots=True, kw_only=True)
class IntermediateCuffPressure:
    """The pressure in the cuff while it inflates or deflates; no reading."""

    cuff_pressure: Number
    unit: PressureUnit
    device_time: DeviceTime | None = None
    pulse_per_min: Number | None = None
    user_index: int | None = None
    status: int | None = None


def decode_measurement(value: bytes) -> BloodPressure:
    """Decode one Blood Pressure Measurement (0x2A35) indication.

    Layout, little-endian: flags u8; systolic, diastolic, mean SFLOAT; then, where its flag is
    set, time stamp 7 bytes, pulse rate SFLOAT (per minute), user u8, status u16. So 7 to 19
    bytes.

    Args:
        value: The characteristic's value, whole: indications of this kind are never split.

    Returns:
        The reading in the unit that the flags give; a special value stays the special value it
        is, never zero; a partial time stamp keeps the parts that were sent. User 255 means
        "unknown user" and becomes ``None``, as if none had been sent.

    Raises:
        TruncatedError: If a field that the flags announce is missing.
        TrailingBytesError: If bytes follow the last announced field.
        FieldError: If a reserved flag is set.

    Source:
        Bluetooth SIG, GATT Specification Supplement, Blood Pressure Measurement.
    """
    reader = Reader(value)
    flags = reader.flags("flags", reserved=_RESERVED)
    reading = BloodPressure(
        systolic=reader.sfloat("systolic"),
        diastolic=reader.sfloat("diastolic"),
        mean=reader.sfloat("mean"),
        unit=_unit(flags),
        device_time=reader.date_time("time stamp") if flags & _TIMESTAMP else None,
        pulse_per_min=reader.sfloat("pulse rate") if flags & _PULSE else None,
        user_index=_user(reader.uint("user", 1)) if flags & _USER else None,
        status=reader.uint("status", 2) if flags & _STATUS else None,
    )
    reader.finish()
    return reading


def decode_intermediate_cuff_pressure(value: bytes) -> IntermediateCuffPressure:
    """Decode one Intermediate Cuff Pressure (0x2A36) notification.

    Layout: as `decode_measurement`, with the cuff's pressure in the place of the systolic one.
    The other two should be NaN; devices send 0 too, and neither is a pressure.

    Raises:
        DecodeError: As `decode_measurement`.

    Source:
        Bluetooth SIG, GATT Specification Supplement, Intermediate Cuff Pressure.
    """
    reader = Reader(value)
    flags = reader.flags("flags", reserved=_RESERVED)
    cuff_pressure = reader.sfloat("cuff pressure")
    reader.sfloat("unused")
    reader.sfloat("unused")
    pressure = IntermediateCuffPressure(
        cuff_pressure=cuff_pressure,
        unit=_unit(flags),
        device_time=reader.date_time("time stamp") if flags & _TIMESTAMP else None,
        pulse_per_min=reader.sfloat("pulse rate") if flags & _PULSE else None,
        user_index=_user(reader.uint("user", 1)) if flags & _USER else None,
        status=reader.uint("status", 2) if flags & _STATUS else None,
    )
    reader.finish()
    return pressure


def decode_feature(value: bytes) -> Feature:
    """Decode a Blood Pressure Feature (0x2A49): one u16, bits of later versions kept.

    Raises:
        DecodeError: If it is not two bytes long.
    """
    reader = Reader(value)
    feature = Feature(reader.uint("feature", 2))
    reader.finish()
    return feature


#: Cuffs that keep to the Blood Pressure Service.
ADAPTER: Final[DeviceAdapter] = ListeningAdapter(
    service=SERVICE,
    measurement=MEASUREMENT,
    decode_measurement=decode_measurement,
    passed_over=frozenset({INTERMEDIATE_CUFF_PRESSURE}),
    idle_s=_IDLE_S,
)


def _unit(flags: int) -> PressureUnit:
    return PressureUnit.KPA if flags & _KPA else PressureUnit.MMHG


def _user(index: int) -> int | None:
    return None if index == _UNKNOWN_USER else index
