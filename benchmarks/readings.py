"""Readings as a region's homes send them, made up: every value and id is random."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Final
from uuid import UUID

from device_adapters.contract import identity
from device_adapters.contract.messages import Device, ReadingRecord, Reception, TimeQuality
from device_adapters.contract.readings import (
    BloodPressure,
    DeviceTime,
    PressureUnit,
    PulseOximetry,
    Reading,
)

CUFF: Final = "00002a35-0000-1000-8000-00805f9b34fb"
OXIMETER: Final = "00002a5e-0000-1000-8000-00805f9b34fb"
_ADAPTERS: Final[Mapping[str, str]] = {
    CUFF: "blood-pressure-service",
    OXIMETER: "pulse-oximeter-service",
}
_HOME: Final = timezone(timedelta(hours=1))


def pressure(device: Device, at: datetime, boot: UUID, random: Random) -> ReadingRecord:
    """Return a blood pressure with its pulse, within everyday limits.

    Args:
        device: Whose readings must differ by a second.
        at: When it was measured.
        boot: Of the gateway.
        random: Where its values come from.
    """
    systolic, diastolic = random.randint(105, 130), random.randint(62, 82)
    pulse = random.randint(55, 85)
    mean = diastolic + (systolic - diastolic) // 3
    time, time_bytes = _device_time(at)
    raw = bytes([0x06]) + _sfloats(systolic, diastolic, mean) + time_bytes + _sfloats(pulse)
    reading = BloodPressure(
        systolic=Decimal(systolic),
        diastolic=Decimal(diastolic),
        mean=Decimal(mean),
        unit=PressureUnit.MMHG,
        device_time=time,
        pulse_per_min=Decimal(pulse),
    )
    return record(device, CUFF, raw, reading, at=at, boot=boot, random=random)


def saturation(device: Device, at: datetime, boot: UUID, random: Random) -> ReadingRecord:
    """Return an oximeter's spot check; the arguments are those of `pressure`."""
    spo2, pulse = random.randint(93, 99), random.randint(55, 85)
    time, time_bytes = _device_time(at)
    raw = bytes([0x01]) + _sfloats(spo2, pulse) + time_bytes
    reading = PulseOximetry(spo2=Decimal(spo2), pulse_per_min=Decimal(pulse), device_time=time)
    return record(device, OXIMETER, raw, reading, at=at, boot=boot, random=random)


def record(
    device: Device,
    characteristic: str,
    raw: bytes,
    reading: Reading,
    *,
    at: datetime,
    boot: UUID,
    random: Random,
) -> ReadingRecord:
    """Return a reading as its gateway received it, two or three seconds later."""
    delay = timedelta(seconds=2, microseconds=random.randrange(1_000_000))
    return ReadingRecord(
        record_id=identity.of_device_record(device.id, 0, characteristic, raw),
        is_identity_own=True,
        device=device,
        reset_generation=0,
        adapter=_ADAPTERS.get(characteristic, "any"),
        reception=Reception(
            characteristic=characteristic,
            raw=raw,
            received_at=at + delay,
            boot_id=boot,
            monotonic_ns=random.randrange(10**15),
            is_clock_synchronised=True,
            device_clock_offset_s=round(random.uniform(-2, 2), 3),
        ),
        effective_at=at.astimezone(_HOME).replace(microsecond=0),
        time_quality=TimeQuality.SYNCHRONISED,
        reading=reading,
        trace_id=some_id(random).hex,
    )


def some_id(random: Random) -> UUID:
    """Return a made-up id."""
    return UUID(int=random.getrandbits(128), version=4)


def described(device_id: str, random: Random) -> Device:
    """Return a device that says all it can of itself."""
    return Device(
        id=device_id,
        manufacturer="Example Medical",
        model=f"M-{random.randint(1, 9)}",
        serial=f"SN{random.randrange(10**7):07}",
        firmware=f"1.{random.randint(0, 9)}.{random.randint(0, 9)}",
    )


def _device_time(at: datetime) -> tuple[DeviceTime, bytes]:
    time = DeviceTime(at.year, at.month, at.day, at.hour, at.minute, at.second)
    rest = bytes([at.month, at.day, at.hour, at.minute, at.second])
    return time, at.year.to_bytes(2, "little") + rest


def _sfloats(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "little") for number in numbers)
