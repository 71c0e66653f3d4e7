"""When a reading was made: device time and gateway time weighed against each other.

Pure: the same facts give the same time and quality again, so that a time can be corrected later
from what the journal kept (docs/explanation/delivery.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from device_adapters.contract.messages import TimeQuality
from device_adapters.contract.readings import DeviceTime, PulseOximetry, Reading

AGREEMENT: Final = timedelta(seconds=2)
FUTURE: Final = timedelta(minutes=2)
PAST: Final = timedelta(days=400)
IDENTITY_FUTURE: Final = timedelta(days=1)

# No health device with a clock was sold before; a year below is a clock that was never set.
FIRST_YEAR: Final = 2020


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveTime:
    """When a reading was made, with the home's UTC offset, and how far that can be trusted."""

    at: datetime
    quality: TimeQuality


def wall_clock(time: DeviceTime | None) -> datetime | None:
    """Return a device's time as a date and time without zone, or None if any part is missing.

    A day that no calendar has counts as missing. Seconds above 59 count as 59: devices send them.
    """
    if time is None:
        return None
    try:
        return datetime(  # noqa: DTZ001 - a wall clock has no zone
            time.year, time.month, time.day, time.hour, time.minute, min(time.second, 59)
        )
    except ValueError:
        return None


def own_time(reading: Reading) -> DeviceTime | None:
    """Return the time that stands by itself: none where the device says its clock is not set."""
    if isinstance(reading, PulseOximetry) and not reading.is_device_clock_set:
        return None
    return reading.device_time


def effective_time(
    device_time: DeviceTime | None,
    received_at: datetime,
    *,
    offset: timedelta | None,
    zone: ZoneInfo,
    is_synchronised: bool,
) -> EffectiveTime:
    """Return when a reading was made.

    Args:
        device_time: The reading's own time stamp; None also where the device says that its clock
            was never set and the clock was not measured.
        received_at: When the gateway received it, UTC.
        offset: Home's wall clock minus device's clock, measured in this connection; None if not.
        zone: The home's time zone.
        is_synchronised: Whether the gateway's clock was, at reception and at the measurement.

    Returns:
        Device time where it can be had, corrected by the measured offset; else the time of
        reception. Never later than two minutes after reception.
    """
    at, quality = _judge(wall_clock(device_time), received_at, offset, zone)
    return EffectiveTime(
        at=at.astimezone(zone),
        quality=quality if is_synchronised else TimeQuality.UNKNOWN,
    )


def has_own_identity(
    device_time: DeviceTime | None,
    received_at: datetime,
    *,
    zone: ZoneInfo,
    is_synchronised: bool,
) -> bool:
    """Tell whether a record's time stamp is good enough to tell it from every other record.

    A time in the future is a clock set wrong; that can only be said by a clock that is right, so
    a gateway that has not been told the time yet does not judge, and the record keeps the
    identity that it will have when it is read again later.
    """
    wall = wall_clock(device_time)
    if wall is None or wall.year < FIRST_YEAR:
        return False
    if not is_synchronised:
        return True
    return wall <= received_at.astimezone(zone).replace(tzinfo=None) + IDENTITY_FUTURE


def clock_offset(shown: datetime, read_at: datetime, zone: ZoneInfo) -> timedelta:
    """Return home's wall clock minus device's clock."""
    return read_at.astimezone(zone).replace(tzinfo=None) - shown


def _judge(
    wall: datetime | None, received_at: datetime, offset: timedelta | None, zone: ZoneInfo
) -> tuple[datetime, TimeQuality]:
    reception = received_at, TimeQuality.ESTIMATED
    if wall is None:
        return reception
    try:
        if offset is None:
            at, quality = _in_home(wall, received_at, zone), TimeQuality.ESTIMATED
        elif abs(offset) <= AGREEMENT:
            at, quality = _in_home(wall, received_at, zone), TimeQuality.SYNCHRONISED
        else:
            at, quality = _corrected(wall, received_at, offset, zone), TimeQuality.CORRECTED
        is_too_late = at > received_at + FUTURE
        is_too_early = offset is None and at < received_at - PAST
    except OverflowError:  # a year next to the calendar's end
        return reception
    return reception if is_too_late or is_too_early else (at, quality)


def _corrected(
    wall: datetime, received_at: datetime, offset: timedelta, zone: ZoneInfo
) -> datetime:
    # The device's clock knows no summer time: it has counted evenly since the reading. So the
    # offset is applied in UTC, with the home's UTC offset of the moment when it was measured. In
    # the home's wall clock a reading from before the change would come out an hour wrong.
    home = received_at.astimezone(zone).utcoffset() or timedelta()
    return (wall + offset - home).replace(tzinfo=UTC)


def _in_home(wall: datetime, received_at: datetime, zone: ZoneInfo) -> datetime:
    # When the clocks go back an hour is shown twice: the later one that is not in the future is
    # meant, since devices give their readings soon.
    early, late = sorted(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return late if late <= received_at + FUTURE else early
