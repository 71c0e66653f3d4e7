"""A clock that stands still and small makers, shared by the gateway's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from device_adapters.contract.messages import Device
from gateway.clock import Moment
from gateway.store.journal import DeviceClock, Journal

START = datetime(2026, 11, 23, 7, 10, 30, tzinfo=UTC)
BOOT = UUID("b0070000-0000-4000-8000-000000000001")
CUFF = Device(id="F0:00:00:00:00:01", name="Cuff")
MEASUREMENT = "00002a35-0000-1000-8000-00805f9b34fb"

# Worked by hand from GSS, Blood Pressure Measurement: flags 0x00 (mmHg, nothing else), then
# 120, 80 and 90 as SFLOAT with exponent 0.
BARE_FRAME = bytes.fromhex("00780050005a00")


def timed_frame(shown: datetime) -> bytes:
    """Flags 0x02 (time stamp): 120/80/90 mmHg and the wall clock that the device showed."""
    date = [shown.month, shown.day, shown.hour, shown.minute, shown.second]
    return b"\x02" + BARE_FRAME[1:] + shown.year.to_bytes(2, "little") + bytes(date)


class FakeClock:
    """A clock that moves when told."""

    def __init__(self, *, is_synchronised: bool = True) -> None:
        self.at = START
        self.monotonic_ns = 1_000_000_000
        self.is_synchronised = is_synchronised
        self.boot_id = BOOT
        self.doubt: str | None = None

    def read(self) -> Moment:
        return Moment(
            at=self.at, monotonic_ns=self.monotonic_ns, is_synchronised=self.is_synchronised
        )

    def now(self) -> datetime:
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.monotonic_ns += round(seconds * 1e9)


def keep(
    journal: Journal,
    *values: bytes,
    clock: DeviceClock | None = None,
    device: Device = CUFF,
    adapter: str = "blood-pressure-service",
) -> int:
    """Journal values as one settled connection's and return its number."""
    connection = journal.connected(adapter, device)
    for value in values:
        journal.append(connection, MEASUREMENT, value)
    journal.settle(connection, device, clock)
    return connection
