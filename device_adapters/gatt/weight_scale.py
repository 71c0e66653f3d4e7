"""Weight Scale Service 1.0: weight measurement."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from device_adapters.contract.readings import BodyWeight, MassUnit
from device_adapters.gatt.listening import ListeningAdapter
from device_adapters.gatt.reader import Reader
from device_adapters.session import DeviceAdapter

SERVICE: Final = "0000181d-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a9d-0000-1000-8000-00805f9b34fb"

_IMPERIAL, _TIMESTAMP, _USER, _BODY = 0x01, 0x02, 0x04, 0x08
_RESERVED: Final = 0xF0
_UNKNOWN_USER: Final = 0xFF
_UNSUCCESSFUL: Final = 0xFFFF

# The unit of the last place of each field. The resolution that a scale states in Weight Scale
# Feature (0x2A9E) says how fine it weighs; it is no factor, though some programs multiply by it.
_KILOGRAM: Final = Decimal("0.005")
_POUND: Final = Decimal("0.01")
_METRE: Final = Decimal("0.001")
_INCH: Final = Decimal("0.1")
_BMI: Final = Decimal("0.1")

# Scales hang up by themselves, as cuffs do; this is for one that forgets to.
_IDLE_S: Final = 15.0


def decode_measurement(value: bytes) -> BodyWeight:
    """Decode one Weight Measurement (0x2A9D) indication.

    Layout, little-endian: flags u8; weight u16 in 0.005 kg, or in 0.01 lb where flag bit 0 is
    set; then, where its flag is set, time stamp 7 bytes, user u8, and together body mass index
    u16 in 0.1 kg/m2 and height u16 in 0.001 m or 0.1 in. So 3 to 15 bytes.

    Returns:
        The reading in the unit that the flags give, as fine as the field: 14900 is 74.500 kg.
        Weight 65535 means "measurement unsuccessful" and becomes ``None``, user 255 means
        "unknown user" and becomes ``None``, as if none had been sent.

    Raises:
        TruncatedError: If a field that the flags announce is missing.
        TrailingBytesError: If bytes follow the last announced field.
        FieldError: If a reserved flag is set.

    Source:
        Bluetooth SIG, GATT Specification Supplement, Weight Measurement; Weight Scale Service
        1.0, 3.2 (measurement unsuccessful).
    """
    reader = Reader(value)
    flags = reader.flags("flags", reserved=_RESERVED)
    is_imperial = bool(flags & _IMPERIAL)
    weight = reader.uint("weight", 2)
    reading = BodyWeight(
        weight=None
        if weight == _UNSUCCESSFUL
        else weight * (_POUND if is_imperial else _KILOGRAM),
        unit=MassUnit.POUND if is_imperial else MassUnit.KILOGRAM,
        device_time=reader.date_time("time stamp") if flags & _TIMESTAMP else None,
        user_index=_user(reader.uint("user", 1)) if flags & _USER else None,
        bmi=reader.uint("body mass index", 2) * _BMI if flags & _BODY else None,
        height=(
            reader.uint("height", 2) * (_INCH if is_imperial else _METRE)
            if flags & _BODY
            else None
        ),
    )
    reader.finish()
    return reading


#: Scales that keep to the Weight Scale Service and ask for no user's consent.
ADAPTER: Final[DeviceAdapter] = ListeningAdapter(
    service=SERVICE,
    measurement=MEASUREMENT,
    decode_measurement=decode_measurement,
    idle_s=_IDLE_S,
)


def _user(index: int) -> int | None:
    return None if index == _UNKNOWN_USER else index
