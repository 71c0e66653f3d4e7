"""Readings as devices gave them: numbers in the device's precision, unit as sent, gaps kept."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum, IntFlag, StrEnum
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


# A Decimal of 1E+999999999 takes 18 bytes in a message and a gigabyte once it is written out.
# Every SFLOAT fits: the smallest is 1E-8, the largest 2045E+7.
_MAGNITUDES: Final = range(-9, 11)  # powers of ten of the leading digit
_MAX_NUMBER_LENGTH: Final = 24

#: Half an hour at one a second, and far below what one message may weigh.
MAX_SAMPLES: Final = 1800
_MAX_RR_INTERVALS: Final = 255  # what the longest notification holds

Samples = Annotated[tuple[Decimal | None, ...], msgspec.Meta(min_length=1, max_length=MAX_SAMPLES)]


def is_bounded(number: Decimal) -> bool:
    """Tell whether a record can carry a number: finite, and short once it is written out."""
    return (
        number.is_finite()
        and number.adjusted() in _MAGNITUDES
        and len(str(number)) <= _MAX_NUMBER_LENGTH
    )


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


class TemperatureUnit(StrEnum):
    """Unit of a temperature as the device sent it, spelt as UCUM spells it."""

    CELSIUS = "Cel"
    FAHRENHEIT = "[degF]"


class MassUnit(StrEnum):
    """Unit of a weight as the device sent it, spelt as UCUM spells it."""

    KILOGRAM = "kg"
    POUND = "[lb_av]"


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


class TemperatureSite(IntEnum):
    """Where on the body a temperature was taken: Temperature Type (0x2A1D).

    Source:
        Bluetooth SIG, GATT Specification Supplement, Temperature Type; 0 and 10-255 are reserved.
    """

    ARMPIT = 1
    BODY = 2  # the body in general
    EAR = 3
    FINGER = 4
    GASTROINTESTINAL_TRACT = 5
    MOUTH = 6
    RECTUM = 7
    TOE = 8
    TYMPANUM = 9


#: Statuses with which an oximeter's number, if there is one, is nobody's saturation.
NO_VALUE_OXIMETER: Final = (
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
        if isinstance(self.spo2, Special) or (self.status or 0) & NO_VALUE_OXIMETER:
            return Kind.FAILED_ATTEMPT
        return Kind.MEASUREMENT


class OximetrySeries(msgspec.Struct, frozen=True, kw_only=True, tag="oximetry_series"):
    """A continuous measurement reduced to equally spaced samples: SpO2 in percent, and pulse.

    The first sample's time is the record's ``effective_at`` and its reception that of the first
    sample's frame; each next one's is ``period_ms`` later. So a better time moves the whole
    series. ``None`` is a gap: nothing came, or nothing
    that stands for a value. Both rows are equally long, and an oximeter that gives no pulse has
    a row of gaps. ``status`` and ``sensor_status`` hold every bit that was set at some time.
    """

    period_ms: Annotated[int, msgspec.Meta(ge=1, le=3_600_000)]
    spo2: Samples
    pulse_per_min: Samples
    status: UInt16 | None = None
    sensor_status: UInt24 | None = None
    device_time: DeviceTime | None = None

    def __post_init__(self) -> None:
        """Refuse rows of different lengths: one of them would be placed wrongly in time."""
        if len(self.spo2) != len(self.pulse_per_min):
            raise ValueError("spo2 and pulse_per_min: not equally long")

    @property
    def kind(self) -> Kind:
        """Tell a measurement from an attempt: no sample, or a status that forbids their use."""
        is_empty = all(sample is None for sample in self.spo2)
        if is_empty or (self.status or 0) & NO_VALUE_OXIMETER:
            return Kind.FAILED_ATTEMPT
        return Kind.MEASUREMENT


class BodyTemperature(msgspec.Struct, frozen=True, kw_only=True, tag="body_temperature"):
    """One reading of a thermometer, in ``unit``.

    ``site`` is the raw field that `TemperatureSite` names, reserved values kept; ``None`` where
    the thermometer did not say with the reading where it was taken.
    """

    temperature: Number
    unit: TemperatureUnit
    device_time: DeviceTime | None = None
    site: UInt8 | None = None

    @property
    def kind(self) -> Kind:
        """Tell a measurement from an attempt that gave no number."""
        if isinstance(self.temperature, Special):
            return Kind.FAILED_ATTEMPT
        return Kind.MEASUREMENT


class BodyWeight(msgspec.Struct, frozen=True, kw_only=True, tag="body_weight"):
    """One reading of a scale; ``weight`` in ``unit``, ``None`` where it says that it failed.

    ``user_index`` is the scale's user slot, ``None`` where it sent none or "unknown user".
    ``bmi`` (kg/m2) and ``height`` rest on what somebody entered in the scale; ``height`` is in
    metres beside kilograms and in inches beside pounds.
    """

    weight: Decimal | None
    unit: MassUnit
    device_time: DeviceTime | None = None
    user_index: UInt8 | None = None
    bmi: Decimal | None = None
    height: Decimal | None = None

    @property
    def kind(self) -> Kind:
        """Tell a measurement from an attempt that gave no number."""
        return Kind.FAILED_ATTEMPT if self.weight is None else Kind.MEASUREMENT


class HeartRate(msgspec.Struct, frozen=True, kw_only=True, tag="heart_rate"):
    """One value of a heart rate sensor.

    ``has_contact`` tells whether the sensor feels the skin, ``None`` where it cannot tell.
    ``energy_kj`` is what was expended since the sensor's last reset; ``rr_intervals`` are in
    1/1024 s, oldest first.
    """

    heart_rate_per_min: Decimal
    has_contact: bool | None = None
    energy_kj: UInt16 | None = None
    rr_intervals: Annotated[tuple[UInt16, ...], msgspec.Meta(max_length=_MAX_RR_INTERVALS)] = ()
    device_time: DeviceTime | None = None

    @property
    def kind(self) -> Kind:
        """Tell a measurement from a value given while the sensor did not touch the body."""
        return Kind.FAILED_ATTEMPT if self.has_contact is False else Kind.MEASUREMENT


class UnsupportedFrame(msgspec.Struct, frozen=True, kw_only=True, tag="unsupported_frame"):
    """Bytes that no codec could read; they travel, and are stored and shown, as they came."""

    reason: str
    is_truncated: bool = False
    device_time: DeviceTime | None = None

    @property
    def kind(self) -> Kind:
        """Tell a frame cut short from one of an unknown shape."""
        return Kind.INCOMPLETE if self.is_truncated else Kind.UNSUPPORTED_FRAME


Reading = (
    BloodPressure
    | PulseOximetry
    | OximetrySeries
    | BodyTemperature
    | BodyWeight
    | HeartRate
    | UnsupportedFrame
)
