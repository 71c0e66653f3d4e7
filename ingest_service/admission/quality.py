"""What a device said about its own reading, as the words that alerts carry."""

from __future__ import annotations

from enum import IntFlag
from typing import Final

from device_adapters.contract.messages import ReadingRecord, TimeQuality
from device_adapters.contract.readings import (
    BloodPressure,
    BodyTemperature,
    BodyWeight,
    CuffStatus,
    HeartRate,
    OximeterStatus,
    OximetrySeries,
    PulseOximetry,
    SensorStatus,
    UnsupportedFrame,
)

# The rest of the oximeter's status says what it is doing, not how far to trust it.
_TELLING: Final = (
    OximeterStatus.EARLY_ESTIMATE | OximeterStatus.QUESTIONABLE | OximeterStatus.FROM_STORAGE
)


def flags_of(
    record: ReadingRecord, *, is_suspected_double: bool, may_be_another: bool = False
) -> tuple[str, ...]:
    """Return the set bits of the reading's status fields by name, and a doubtful time.

    Names are those of the contract's flags in lower case: ``body_movement``,
    ``irregular_pulse``, ``low_perfusion``; also ``time_estimated``, ``time_unknown``,
    ``too_close``, ``suspected_double`` and ``may_be_another``.
    """
    match record.reading:
        case BloodPressure(status=status):
            flags = _names(CuffStatus(status or 0))
        case (
            PulseOximetry(status=status, sensor_status=sensor)
            | OximetrySeries(status=status, sensor_status=sensor)
        ):
            telling = OximeterStatus(status or 0) & _TELLING
            flags = _names(telling) + _names(SensorStatus(sensor or 0))
        case BodyTemperature() | BodyWeight() | HeartRate() | UnsupportedFrame():
            flags = []
    if record.time_quality in {TimeQuality.ESTIMATED, TimeQuality.UNKNOWN}:
        flags.append(f"time_{record.time_quality}")
    if record.measuring is not None and record.measuring.is_too_close:
        flags.append("too_close")
    if is_suspected_double:
        flags.append("suspected_double")
    if may_be_another:
        flags.append("may_be_another")
    return tuple(flags)


def _names(status: IntFlag) -> list[str]:
    # Bits that the specification reserves have no name and are kept in the raw bytes only.
    return [flag.name.lower() for flag in status if flag.name] if status else []
