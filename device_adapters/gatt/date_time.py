"""Date Time (0x2A08): the clock of many cuffs, inside or beside their own service."""

from __future__ import annotations

from typing import Final

from device_adapters.contract.readings import DeviceTime
from device_adapters.gatt.reader import Reader

DATE_TIME: Final = "00002a08-0000-1000-8000-00805f9b34fb"


def decode_date_time(value: bytes) -> DeviceTime:
    """Decode a Date Time as it was read from the device.

    Layout, little-endian: year u16, then month, day, hour, minute and second u8; 0 stands for an
    unknown year, month or day. Local wall clock: neither zone nor daylight saving time.

    Raises:
        TruncatedError: If it is shorter than 7 bytes.
        TrailingBytesError: If it is longer.

    Source:
        Bluetooth SIG, GATT Specification Supplement, Date Time.
    """
    reader = Reader(value)
    time = reader.date_time("date time")
    reader.finish()
    return time
