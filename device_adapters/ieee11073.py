"""IEEE 11073-20601 numbers as Bluetooth health profiles carry them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from device_adapters.contract.readings import (
    NAN,
    NEGATIVE_INFINITY,
    NRES,
    POSITIVE_INFINITY,
    RESERVED,
    Number,
    Special,
)

_SFLOAT_SPECIALS: Final[dict[int, Special]] = {
    0x07FF: NAN,
    0x0800: NRES,
    0x07FE: POSITIVE_INFINITY,
    0x0802: NEGATIVE_INFINITY,
    0x0801: RESERVED,
}
_FLOAT_SPECIALS: Final[dict[int, Special]] = {
    0x007FFFFF: NAN,
    0x00800000: NRES,
    0x007FFFFE: POSITIVE_INFINITY,
    0x00800002: NEGATIVE_INFINITY,
    0x00800001: RESERVED,
}


def sfloat(raw: int) -> Number:
    """Decode a 16-bit SFLOAT without going through binary floating point.

    Layout: bits 15-12 a signed base-10 exponent, bits 11-0 a signed mantissa, both two's
    complement; the value is ``mantissa * 10**exponent``.

    Args:
        raw: The two bytes as an unsigned little-endian integer, 0x0000-0xFFFF.

    Returns:
        The exact value with its own precision, or the special value that was sent: FHIR tells
        them apart (``not-a-number``, ``error``, ``positive-infinity``), so we do too.

    Source:
        IEEE 11073-20601, SFLOAT-Type; Bluetooth SIG, Personal Health Devices Transcoding.

    >>> sfloat(0x0072)
    Decimal('114')
    >>> sfloat(0xF16E)
    Decimal('36.6')
    """
    if special := _SFLOAT_SPECIALS.get(raw):
        return special
    return Decimal(_signed(raw & 0x0FFF, bits=12)).scaleb(_signed(raw >> 12, bits=4))


def float32(raw: int) -> Number:
    """Decode a 32-bit FLOAT; as `sfloat`, with an 8-bit exponent and a 24-bit mantissa.

    Args:
        raw: The four bytes as an unsigned little-endian integer, 0x00000000-0xFFFFFFFF.

    Source:
        IEEE 11073-20601, FLOAT-Type.

    >>> float32(0xFF00016C)
    Decimal('36.4')
    """
    if special := _FLOAT_SPECIALS.get(raw):
        return special
    return Decimal(_signed(raw & 0xFFFFFF, bits=24)).scaleb(_signed(raw >> 24, bits=8))


def _signed(value: int, *, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
