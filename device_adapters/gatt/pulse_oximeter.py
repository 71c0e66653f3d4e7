"""Pulse Oximeter Service 1.0.1: spot check, continuous measurement, features."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from device_adapters.contract.readings import Number, PulseOximetry, Reading
from device_adapters.errors import DecodeError, FieldError
from device_adapters.gatt import record_access
from device_adapters.gatt.reader import Reader
from device_adapters.gatt.record_access import CONTROL_POINT, Opcode, Response, ResponseCode
from device_adapters.session import (
    Command,
    DeviceAdapter,
    Disconnect,
    Session,
    Subscribe,
    Write,
)

SERVICE: Final = "00001822-0000-1000-8000-00805f9b34fb"
SPOT_CHECK: Final = "00002a5e-0000-1000-8000-00805f9b34fb"
CONTINUOUS: Final = "00002a5f-0000-1000-8000-00805f9b34fb"
FEATURES: Final = "00002a60-0000-1000-8000-00805f9b34fb"

# Spot check and continuous measurement give the same bits different meanings.
_TIMESTAMP, _STATUS, _SENSOR, _AMPLITUDE, _CLOCK_NOT_SET = 0x01, 0x02, 0x04, 0x08, 0x10
_FAST, _SLOW, _CONTINUOUS_STATUS, _CONTINUOUS_SENSOR, _CONTINUOUS_AMPLITUDE = (
    0x01,
    0x02,
    0x04,
    0x08,
    0x10,
)
_RESERVED: Final = 0xE0
_STATUS_SUPPORT, _SENSOR_SUPPORT = 0x01, 0x02

# The control point's own procedures time out after thirty seconds.
_IDLE_S: Final = 30.0
_COMPLETE: Final = frozenset({ResponseCode.SUCCESS, ResponseCode.NO_RECORDS})


class Feature(IntFlag):
    """What an oximeter says it can do (0x2A60)."""

    MEASUREMENT_STATUS = 1 << 0
    SENSOR_STATUS = 1 << 1
    STORAGE = 1 << 2
    TIMESTAMP = 1 << 3
    FAST = 1 << 4
    SLOW = 1 << 5
    PULSE_AMPLITUDE_INDEX = 1 << 6
    MULTIPLE_BONDS = 1 << 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Features with the status bits that the oximeter can set; ``None`` where it did not say."""

    features: Feature
    status_bits: int | None = None
    sensor_status_bits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuous:
    """One second or so of a continuous stream: no reading until someone reduces the stream."""

    spo2: Number
    pulse_per_min: Number
    spo2_fast: Number | None = None
    pulse_fast_per_min: Number | None = None
    spo2_slow: Number | None = None
    pulse_slow_per_min: Number | None = None
    status: int | None = None
    sensor_status: int | None = None
    pulse_amplitude_index: Number | None = None


def decode_spot_check(value: bytes) -> PulseOximetry:
    """Decode one PLX Spot-check Measurement (0x2A5E) indication.

    Layout, little-endian: flags u8; SpO2 SFLOAT (percent), pulse rate SFLOAT (per minute); then,
    where its flag is set, time stamp 7 bytes, measurement status u16, device and sensor status
    u24, pulse amplitude index SFLOAT (percent). So 5 to 19 bytes. Flag bit 4 carries no field:
    the device's clock is not set.

    Raises:
        TruncatedError: If a field that the flags announce is missing.
        TrailingBytesError: If bytes follow the last announced field.
        FieldError: If a reserved flag is set.

    Source:
        Bluetooth SIG, Pulse Oximeter Service, PLX Spot-check Measurement.
    """
    reader = Reader(value)
    flags = reader.flags("flags", reserved=_RESERVED)
    reading = PulseOximetry(
        spo2=reader.sfloat("SpO2"),
        pulse_per_min=reader.sfloat("pulse rate"),
        device_time=reader.date_time("time stamp") if flags & _TIMESTAMP else None,
        status=reader.uint("measurement status", 2) if flags & _STATUS else None,
        sensor_status=reader.uint("sensor status", 3) if flags & _SENSOR else None,
        pulse_amplitude_index=reader.sfloat("amplitude index") if flags & _AMPLITUDE else None,
        is_device_clock_set=not flags & _CLOCK_NOT_SET,
    )
    reader.finish()
    return reading


def decode_continuous(value: bytes) -> Continuous:
    """Decode one PLX Continuous Measurement (0x2A5F) notification.

    Layout, little-endian: flags u8; SpO2 and pulse rate SFLOAT; then, where its flag is set, the
    fast pair, the slow pair, measurement status u16, device and sensor status u24, pulse
    amplitude index SFLOAT. So 5 to 20 bytes.

    Raises:
        DecodeError: As `decode_spot_check`.

    Source:
        Bluetooth SIG, Pulse Oximeter Service, PLX Continuous Measurement.
    """
    reader = Reader(value)
    flags = reader.flags("flags", reserved=_RESERVED)
    is_fast, is_slow = flags & _FAST, flags & _SLOW
    measurement = Continuous(
        spo2=reader.sfloat("SpO2"),
        pulse_per_min=reader.sfloat("pulse rate"),
        spo2_fast=reader.sfloat("fast SpO2") if is_fast else None,
        pulse_fast_per_min=reader.sfloat("fast pulse rate") if is_fast else None,
        spo2_slow=reader.sfloat("slow SpO2") if is_slow else None,
        pulse_slow_per_min=reader.sfloat("slow pulse rate") if is_slow else None,
        status=reader.uint("measurement status", 2) if flags & _CONTINUOUS_STATUS else None,
        sensor_status=reader.uint("sensor status", 3) if flags & _CONTINUOUS_SENSOR else None,
        pulse_amplitude_index=(
            reader.sfloat("amplitude index") if flags & _CONTINUOUS_AMPLITUDE else None
        ),
    )
    reader.finish()
    return measurement


def decode_features(value: bytes) -> Features:
    """Decode PLX Features (0x2A60), bits of later versions kept.

    Layout, little-endian: features u16; then, where bit 0 is set, the supported bits of the
    measurement status u16; where bit 1 is set, those of the device and sensor status u24.

    Raises:
        DecodeError: If it is shorter or longer than its bits announce.

    Source:
        Bluetooth SIG, Pulse Oximeter Service, PLX Features.
    """
    reader = Reader(value)
    features = reader.uint("features", 2)
    found = Features(
        features=Feature(features),
        status_bits=reader.uint("status bits", 2) if features & _STATUS_SUPPORT else None,
        sensor_status_bits=(
            reader.uint("sensor status bits", 3) if features & _SENSOR_SUPPORT else None
        ),
    )
    reader.finish()
    return found


class _Conversation:
    """Ask for all stored spot checks and hang up when the control point says that was all.

    An oximeter without a control point stores nothing: it indicates the spot check at hand and
    hangs up, or falls silent.
    """

    idle_s: float = _IDLE_S

    def __init__(self, *, has_control_point: bool) -> None:
        self._has_control_point = has_control_point

    def start(self) -> Sequence[Command]:
        if not self._has_control_point:
            return (Subscribe(SPOT_CHECK),)
        # Both subscriptions first: the records and the answer may come before the write returns.
        return (
            Subscribe(SPOT_CHECK),
            Subscribe(CONTROL_POINT),
            Write(CONTROL_POINT, record_access.REPORT_ALL),
        )

    def receive(self, characteristic: str, value: bytes) -> Sequence[Command]:
        if characteristic != CONTROL_POINT:
            return ()
        try:
            answer = record_access.decode_answer(value)
        except DecodeError as error:
            return (Disconnect(f"answer of the control point: {error}"),)
        match answer:
            case Response(Opcode.REPORT, code) if code in _COMPLETE:
                return (Disconnect(),)
            case Response(Opcode.REPORT, code):
                return (Disconnect(f"report of stored records: {code.name.lower()}"),)
            case _:
                return ()

    def expire(self) -> Sequence[Command]:
        if not self._has_control_point:
            return (Disconnect(),)
        return (
            Write(CONTROL_POINT, record_access.ABORT),
            Disconnect("report of stored records: no answer in time"),
        )


class _PulseOximeterService:
    """Oximeters that keep to the Pulse Oximeter Service, by spot check."""

    record_characteristics: frozenset[str] = frozenset({SPOT_CHECK})

    def matches(self, name: str | None, services: Collection[str]) -> bool:
        del name  # names are for vendors' own protocols
        return SERVICE in services

    def open(self, characteristics: Collection[str]) -> Session:
        return _Conversation(has_control_point=CONTROL_POINT in characteristics)

    def decode(self, characteristic: str, value: bytes) -> Reading | None:
        if characteristic == SPOT_CHECK:
            return decode_spot_check(value)
        if characteristic in {CONTINUOUS, CONTROL_POINT}:
            return None
        raise FieldError(f"characteristic {characteristic}: not of this service")


ADAPTER: Final[DeviceAdapter] = _PulseOximeterService()
