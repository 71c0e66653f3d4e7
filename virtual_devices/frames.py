"""Encoders of what the virtual devices send; independent of the gateway's decoders on purpose."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import IntFlag
from typing import Final

import msgspec

NAN: Final = b"\xff\x07"

_MANTISSA_LIMIT: Final = 2045  # 2046, 2047 and -2046 to -2048 stand for special values
_KPA, _HAS_TIME, _HAS_PULSE, _HAS_USER, _HAS_STATUS = 0x01, 0x02, 0x04, 0x08, 0x10

DateTime = tuple[int, int, int, int, int, int]
"""Year, month, day, hour, minute, second as a device shows them; 0 where it does not know."""


class CuffStatus(IntFlag):
    """Measurement Status of a cuff, as far as the virtual one reports it."""

    BODY_MOVEMENT = 1 << 0
    IRREGULAR_PULSE = 1 << 2


class OximeterStatus(IntFlag):
    """Measurement Status of an oximeter, as far as the virtual one reports it."""

    ONGOING = 1 << 5
    FULLY_QUALIFIED = 1 << 8
    FROM_STORAGE = 1 << 9


class Pressures(msgspec.Struct, frozen=True, kw_only=True):
    """What a Blood Pressure Measurement says; ``None`` is NaN, an absent field is left out."""

    systolic: Decimal | None
    diastolic: Decimal | None
    mean: Decimal | None
    is_kpa: bool = False
    at: DateTime | None = None
    pulse: Decimal | msgspec.UnsetType | None = msgspec.UNSET
    user: int | None = None
    status: int | None = None


def sfloat(value: Decimal | None) -> bytes:
    """Encode a 16-bit SFLOAT with the value's own exponent; ``None`` gives NaN.

    Layout: bits 15-12 a signed exponent of ten, bits 11-0 a signed mantissa, little-endian.

    Raises:
        ValueError: If the value does not fit.

    Source:
        IEEE 11073-20601, SFLOAT-Type.

    >>> sfloat(Decimal("17.6")).hex()
    'b0f0'
    """
    if value is None:
        return NAN
    sign, digits, exponent = value.as_tuple()
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
    if not isinstance(exponent, int) or exponent not in range(-8, 8):
        raise ValueError(f"{value}: no SFLOAT has this exponent")
    if abs(mantissa) > _MANTISSA_LIMIT:
        raise ValueError(f"{value}: more digits than an SFLOAT holds")
    return ((exponent & 0xF) << 12 | mantissa & 0xFFF).to_bytes(2, "little")


def date_time(at: DateTime) -> bytes:
    """Encode a Date Time (0x2A08): year u16, month, day, hour, minute, second u8."""
    return at[0].to_bytes(2, "little") + bytes(at[1:])


def parts(at: datetime) -> DateTime:
    """Return a time as a device's display has it."""
    return (at.year, at.month, at.day, at.hour, at.minute, at.second)


def read_date_time(value: bytes) -> datetime:
    """Return the wall-clock time that was written to a Date Time (0x2A08), without a zone.

    Raises:
        ValueError: If it is not seven bytes, or no such date exists.
    """
    if len(value) != 7:  # noqa: PLR2004 - the field's length
        raise ValueError(f"{len(value)} bytes, not 7")
    month, day, hour, minute, second = value[2:]
    year = int.from_bytes(value[:2], "little")
    return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - a wall clock


def blood_pressure(pressures: Pressures) -> bytes:
    """Encode a Blood Pressure Measurement (0x2A35).

    Layout: flags u8; systolic, diastolic, mean SFLOAT; then, where given, time stamp 7 bytes,
    pulse rate SFLOAT, user u8, status u16.

    Source:
        Bluetooth SIG, GATT Specification Supplement, Blood Pressure Measurement.
    """
    flags = _KPA if pressures.is_kpa else 0
    optional = b""
    if pressures.at is not None:
        flags |= _HAS_TIME
        optional += date_time(pressures.at)
    if pressures.pulse is not msgspec.UNSET:
        flags |= _HAS_PULSE
        optional += sfloat(pressures.pulse)
    if pressures.user is not None:
        flags |= _HAS_USER
        optional += bytes([pressures.user])
    if pressures.status is not None:
        flags |= _HAS_STATUS
        optional += pressures.status.to_bytes(2, "little")
    main = b"".join(map(sfloat, (pressures.systolic, pressures.diastolic, pressures.mean)))
    return bytes([flags]) + main + optional


def cuff_pressure(pressure: Decimal) -> bytes:
    """Encode an Intermediate Cuff Pressure (0x2A36): the same frame, two of its values NaN."""
    return blood_pressure(Pressures(systolic=pressure, diastolic=None, mean=None))


def spot_check(spo2: Decimal | None, pulse: Decimal | None, at: DateTime, status: int) -> bytes:
    """Encode a PLX Spot-check Measurement (0x2A5E) with time stamp and measurement status.

    Layout: flags u8 (bit 0 time stamp, bit 1 measurement status); SpO2, pulse rate SFLOAT; time
    stamp 7 bytes; measurement status u16.
    """
    return b"\x03" + sfloat(spo2) + sfloat(pulse) + date_time(at) + status.to_bytes(2, "little")


def continuous(spo2: Decimal, pulse: Decimal) -> bytes:
    """Encode a PLX Continuous Measurement (0x2A5F) of an ongoing measurement.

    Layout: flags u8 (bit 2 measurement status); SpO2, pulse rate SFLOAT; measurement status u16.
    """
    status = OximeterStatus.ONGOING.to_bytes(2, "little")
    return b"\x04" + sfloat(spo2) + sfloat(pulse) + status
