"""A continuous oximetry stream reduced to one series: pure, and free of any clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from device_adapters.contract.readings import (
    MAX_SAMPLES,
    NO_VALUE_OXIMETER,
    Number,
    OximeterStatus,
    OximetrySeries,
)
from device_adapters.gatt.pulse_oximeter import Continuous

SECOND: Final = timedelta(seconds=1)

_NOBODY: Final = OximeterStatus.DEMONSTRATION | OximeterStatus.TESTING
# An early estimate is replaced by a better one within seconds; the stream holds that one too.
_NO_SAMPLE: Final = NO_VALUE_OXIMETER | OximeterStatus.EARLY_ESTIMATE
# Says of each frame that the stream goes on: it means nothing of a series that has ended.
_PASSING: Final = OximeterStatus.ONGOING


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded notification and when it came."""

    at: datetime
    measured: Continuous


@dataclass(frozen=True, slots=True)
class Reduced:
    """A series, and the time of its first sample: the record's ``effective_at``."""

    start: datetime
    series: OximetrySeries


def reduce_stream(frames: Iterable[Frame], *, period: timedelta = SECOND) -> Reduced | None:
    """Reduce a stream to one series of equally spaced samples.

    Each frame goes to the sample nearest in time, the later of two to one sample. A sample stays
    a gap where no frame came, where the frame has no number, and where its status says that the
    number is none to use: demonstration, test, calibration, unavailable, invalid, or an early
    estimate. Gaps at both ends are cut off. The fast and slow averages that some oximeters give
    beside the normal one are left out.

    Args:
        frames: In any order; times have a zone.
        period: Between two samples; whole milliseconds.

    Returns:
        The series, or ``None`` if no frame has a number, unless the oximeter demonstrated or
        tested: then one sample, a gap, that carries that status.

    Raises:
        ValueError: If it would have more than `MAX_SAMPLES`: the caller ends a series before,
            and nothing is silently cut off.
    """
    ordered = sorted(frames, key=lambda frame: frame.at)
    statuses = _statuses(ordered)
    used = [frame for frame in ordered if _has_number(frame.measured)]
    if not used:
        return _without_samples(ordered, statuses, period)
    start = used[0].at
    length = _place(used[-1].at, start, period) + 1
    if length > MAX_SAMPLES:
        raise ValueError(f"a series of {length} samples, at most {MAX_SAMPLES} fit")
    spo2: list[Decimal | None] = [None] * length
    pulse: list[Decimal | None] = [None] * length
    for frame in used:
        place = _place(frame.at, start, period)
        spo2[place] = _number(frame.measured.spo2)
        pulse[place] = _number(frame.measured.pulse_per_min)
    return Reduced(start, _series(spo2, pulse, statuses, period))


def _without_samples(
    frames: list[Frame], statuses: tuple[int | None, int | None], period: timedelta
) -> Reduced | None:
    if not (statuses[0] or 0) & _NOBODY:
        return None
    return Reduced(frames[0].at, _series([None], [None], statuses, period))


def _series(
    spo2: list[Decimal | None],
    pulse: list[Decimal | None],
    statuses: tuple[int | None, int | None],
    period: timedelta,
) -> OximetrySeries:
    return OximetrySeries(
        period_ms=period // timedelta(milliseconds=1),
        spo2=tuple(spo2),
        pulse_per_min=tuple(pulse),
        status=statuses[0],
        sensor_status=statuses[1],
    )


def _statuses(frames: Iterable[Frame]) -> tuple[int | None, int | None]:
    """Return the bits of the frames with a number, and of any that is nobody's."""
    status: int | None = None
    sensor_status: int | None = None
    for frame in frames:
        sent = frame.measured.status
        bits = sent if sent is None or _has_number(frame.measured) else sent & _NOBODY
        if bits is not None:
            status = (status or 0) | bits & ~_PASSING
        if frame.measured.sensor_status is not None and _has_number(frame.measured):
            sensor_status = (sensor_status or 0) | frame.measured.sensor_status
    return status, sensor_status


def _has_number(measured: Continuous) -> bool:
    if (measured.status or 0) & _NO_SAMPLE:
        return False
    return isinstance(measured.spo2, Decimal) or isinstance(measured.pulse_per_min, Decimal)


def _number(sent: Number) -> Decimal | None:
    return sent if isinstance(sent, Decimal) else None


def _place(at: datetime, start: datetime, period: timedelta) -> int:
    return (at - start + period / 2) // period
