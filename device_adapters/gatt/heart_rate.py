"""Heart Rate Service 1.0: heart rate measurement.

A codec only: a sensor notifies about once a second for as long as it is worn, so its stream
must be reduced before it makes records, and nothing here subscribes to it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from device_adapters.contract.readings import HeartRate
from device_adapters.errors import TruncatedError
from device_adapters.gatt.reader import Reader

SERVICE: Final = "0000180d-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a37-0000-1000-8000-00805f9b34fb"

_TWO_BYTES, _CONTACT, _CONTACT_SUPPORTED, _ENERGY, _RR = 0x01, 0x02, 0x04, 0x08, 0x10
_RESERVED: Final = 0xE0
_RR_BYTES: Final = 2


def decode_measurement(value: bytes) -> HeartRate:
    """Decode one Heart Rate Measurement (0x2A37) notification.

    Layout, little-endian: flags u8; heart rate per minute u8, or u16 where flag bit 0 is set;
    then, where its flag is set, energy expended u16 in kilojoule; where bit 4 is set, one or
    more RR intervals u16 in 1/1024 s, oldest first, to the end. Bit 2: contact with the skin is
    sensed; bit 1: it is there.

    Raises:
        TruncatedError: If a field that the flags announce is missing, or the last interval is
            cut.
        TrailingBytesError: If bytes follow the last announced field.
        FieldError: If a reserved flag is set.

    Source:
        Bluetooth SIG, GATT Specification Supplement, Heart Rate Measurement.
    """
    reader = Reader(value)
    flags = reader.flags("flags", reserved=_RESERVED)
    rate = reader.uint("heart rate", 2 if flags & _TWO_BYTES else 1)
    reading = HeartRate(
        heart_rate_per_min=Decimal(rate),
        has_contact=bool(flags & _CONTACT) if flags & _CONTACT_SUPPORTED else None,
        energy_kj=reader.uint("energy expended", 2) if flags & _ENERGY else None,
        rr_intervals=_intervals(reader.rest()) if flags & _RR else (),
    )
    reader.finish()
    return reading


def _intervals(value: bytes) -> tuple[int, ...]:
    left = len(value) % _RR_BYTES
    if left or not value:
        raise TruncatedError("RR interval", needed=_RR_BYTES, left=left)
    return tuple(
        int.from_bytes(value[start : start + _RR_BYTES], "little")
        for start in range(0, len(value), _RR_BYTES)
    )
