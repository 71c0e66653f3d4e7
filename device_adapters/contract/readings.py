"""Readings as devices gave them: numbers in the device's precision, unit as sent, gaps kept."""

from __future__ import annotations

from decimal import Decimal
from enum import IntFlag, StrEnum
from typing import Annotated, Final, Literal

import msgspec


class Special(msgspec.Struct, frozen=True):
    """A number that the device sent as "no number"; never zero, never left out.

    It travels as an object (``{"special": "NaN"}``), so that no reader can take the raw 2047 of
    a failed measurement for a pressure.

    Source:
        IEEE 11073-20601, SFLOAT-Type and FLOAT-Type.
    """

    special: Literal["NaN", "NRes", "+INFINITY", "-INFINITY", "RESERVED"]

    def __str__(self) -> str:
        return self.special


NAN: Final = Special("NaN")
NRES: Final = Special("NRes")  # not at this resolution
POSITIVE_INFINITY: Final = Special("+INFINITY")
NEGATIVE_INFINITY: Final = Special("-INFINITY")
RESERVED: Final = Special("RESERVED")

Number = Decimal | Special

# What the wire format of each field can hold; anything else cannot have come from a device.
UInt8 = Annotated[int, msgspec.Meta(ge=0, le=0xFF)]
UInt16 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
UInt24 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFF)]


class Kind(StrEnum):
    """What became of one attempt to measure; only a measurement has a value to judge."""

    MEASUREMENT = "measurement"
    FAILED_ATTEMPT = "failed_attempt"
    INCOMPLETE = "incomplete"
    UNSUPPORTED_FRAME = "unsupported_frame"


class PressureUnit(StrEnum):
    """Unit of a pressure as the device sent it, spelt as UCUM spells it."""

    MMHG = "mm[Hg]"
    KPA = "kPa"


class DeviceTime(msgspec.Struct, frozen=True):
    """A Date Time (0x2A08) as sent: local wall clock, no zone, 0 for an unknown part.

    Real devices send year 0, month 0 and 31 February too; whether it can be trusted is judged
    where the device's clock is known.
    """

    year: UInt16
    month: UInt8
    day: UInt8
    hour: UInt8
    minute: UInt8
    second: UInt8


class CuffStatus(IntFlag):
    """Measurement Status of a cuff, the bits of its 16-bit field.

    Source:
        Bluetooth SIG, GATT Specification Supplement, Blood Pressure Measurement.
    """

    BODY_MOVEMENT = 1 << 0
    CUFF_TOO_LOOSE = 1 << 1
    IRREGULAR_PULSE = 1 << 2
    PULSE_OVER_RANGE = 1 << 3
    PULSE_UNDER_RANGE = 1 << 4
    IMPROPER_POSITION = 1 << 5


class OximeterStatus(IntFlag):
    """Measurement Status of a pulse oximeter, the bits of its 16-bit field.

    Source:
        Bluetooth SIG, Pulse Oximeter Service, Measurement Status; bits 0-4 are reserved.
    """

    ONGOING = 1 << 5
    EARLY_ESTIMATE = 1 << 6
    VALIDATED = 1 << 7
    FULLY_QUALIFIED = 1 << 8
    FROM_STORAGE = 1 << 9
    DEMONSTRATION = 1 << 10
    TESTING = 1 << 11
    CALIBRATING = 1 << 12
    UNAVAILABLE = 1 << 13
    QUESTIONABLE = 1 << 14
    INVALID = 1 << 15


class SensorStatus(IntFlag):
    """Device and Sensor Status of a pulse oximeter, the bits of its 24-bit field."""

    EXTENDED_DISPLAY_UPDATE = 1 << 0
    EQUIPMENT_MALFUNCTION = 1 << 1
    SIGNAL_PROCESSING_IRREGULARITY = 1 << 2
    INADEQUATE_SIGNAL = 1 << 3
    POOR_SIGNAL = 1 << 4
    LOW_PERFUSION = 1 << 5
    ERRATIC_SIGNAL = 1 << 6
    NON_PULSATILE = 1 << 7
    QUESTIONABLE_PULSE = 1 << 8
    ANALYSIS_ONGOING = 1 << 9
    INTERFERENCE = 1 << 10
    UNCONNECTED_TO_USER = 1 << 11
    UNKNOWN_SENSOR = 1 << 12
    DISPLACED = 1 << 13
    SENSOR_MALFUNCTION = 1 << 14
    DISCONNECTED = 1 << 15


_NO_VALUE_OXIMETER: Final = (
    OximeterStatus.DEMONSTRATION
    | OximeterStatus.TESTING
    | OximeterStatus.CALIBRATING
    | OximeterStatus.UNAVAILABLE
    | OximeterStatus.INVALID
)


class BloodPressure(msgspec.Struct, frozen=True, kw_only=True, tag="blood_pressure"):
    """One cuff reading; pressures in ``unit``, ``mean`` is the mean arterial pressure.

    ``user_index`` is the cuff's user slot, ``None`` where it sent none or "unknown user";
    ``status`` is the raw field that `CuffStatus` names, reserved bits kept.
    """

    systolic: Number
    diastolic: Number
    mean: Number
    unit: PressureUnit
    device_time: DeviceTime | None = None
    pulse_per_min: Number | None = None
    user_index: UInt8 | None = None
    status: UInt16 | None = None

    @property
    def kind(self) -> Kind:
        """Tell a measurement from an attempt that failed: a cuff's error is NaN pressures."""
        if isinstance(self.systolic, Special) or isinstance(self.diastolic, Special):
            return Kind.FAILED_ATTEMPT
        return Kind.MEASUREMENT


class PulseOximetry(msgspec.Struct, frozen=True, kw_only=True, tag="pulse_oximetry"):
    """One spot check of a pulse oximeter; ``spo2`` and ``pulse_amplitude_index`` in percent.

    ``status`` and ``sensor_status`` are the raw fields that `OximeterStatus` and `SensorStatus`
    name, reserved bits kept. Where ``is_device_clock_set`` is false, the device itself says
    that ``device_time`` means nothing.
    """

    spo2: Number
    pulse_per_min: Number
    device_time: DeviceTime | None = None
    status: UInt16 | None = None
    sensor_status: UInt24 | None = None
    pulse_amplitude_index: Number | None = None
    is_device_clock_set: bool = True

    @property
    def kind(self) -> Kind:
        """Tell a measurement from an attempt: no number, or a status that forbids its use."""
        if isinstance(self.spo2, Special) or (self.status or 0) & _NO_VALUE_OXIMETER:
            return Kind.FAILED_ATTEMPT
        return Kind.MEASUREMENT


class UnsupportedFrame(msgspec.Struct, frozen=True, kw_only=True, tag="unsupported_frame"):
    """Bytes that no codec could read; they travel, and are stored and shown, as they came."""

    reason: str
    is_truncated: bool = False
    device_time: DeviceTime | None = None

    @property
    def kind(self) -> Kind:
        """Tell a frame cut short from one of an unknown shape."""
        return Kind.INCOMPLETE if self.is_truncated else Kind.UNSUPPORTED_FRAME


Reading = BloodPressure | PulseOximetry | UnsupportedFrame
