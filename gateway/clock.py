"""The gateway's clock: what time it is, and whether that can be believed.

A Raspberry Pi has no battery clock: after a power cut it starts with the time it had when it
stopped, until the network tells it better. So every moment is taken three ways: UTC, the count
since boot that no setting of the clock moves, and whether the kernel calls its clock synchronised.
"""

from __future__ import annotations

import ctypes
import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

import msgspec

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

# struct timex of linux/timex.h: modes u32, offset, freq, maxerror, esterror (long), status i32.
# 256 bytes are more than any architecture's whole struct; modes 0 only reads.
_TIMEX_BYTES: Final = 256
_LONG: Final = ctypes.sizeof(ctypes.c_long)
_STATUS_OFFSET: Final = 5 * _LONG
_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5


class ClockSource(StrEnum):
    """Who says whether the clock is synchronised."""

    ADJTIMEX = "adjtimex"  # the kernel, as the time service tells it
    TRUSTED = "trusted"  # the operator: the machine's clock is right by other means


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One moment: ``at`` in UTC, ``monotonic_ns`` since boot, and whether ``at`` is right."""

    at: datetime
    monotonic_ns: int
    is_synchronised: bool

    def rebased(self, truth: Moment) -> Moment:
        """Return this moment by the clock of ``truth``, a later moment of the same boot."""
        elapsed = timedelta(microseconds=(truth.monotonic_ns - self.monotonic_ns) // 1000)
        return Moment(
            at=truth.at - elapsed,
            monotonic_ns=self.monotonic_ns,
            is_synchronised=truth.is_synchronised,
        )


class Clock(Protocol):
    """Tells moments; the boot they belong to is part of the clock."""

    @property
    def boot_id(self) -> UUID:
        """Return the boot within which the monotonic count holds."""
        ...

    def read(self) -> Moment:
        """Return this moment."""
        ...


class SystemClock:
    """The machine's own clock."""

    def __init__(self, source: ClockSource) -> None:
        self._source = source
        self._boot_id = UUID(_BOOT_ID.read_text(encoding="ascii").strip())

    @property
    def boot_id(self) -> UUID:
        """Return the kernel's boot id: a new one at every start of the machine."""
        return self._boot_id

    def read(self) -> Moment:
        """Return this moment, in about two microseconds: it is asked for in the radio's callback.

        CLOCK_BOOTTIME and not CLOCK_MONOTONIC, which stands still while a machine sleeps.
        """
        return Moment(
            at=datetime.now(UTC),
            monotonic_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            is_synchronised=self._source is ClockSource.TRUSTED or is_kernel_synchronised(),
        )


_libc: Final = ctypes.CDLL(None, use_errno=True)


def is_kernel_synchronised() -> bool:
    """Tell whether the kernel calls its clock synchronised; false where it will not say.

    Source:
        adjtimex(2): STA_UNSYNC, and the return value TIME_ERROR.
    """
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = int(_libc.adjtimex(timex))
    if state < 0 or state == _TIME_ERROR:
        return False
    status = int.from_bytes(timex.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
    return not status & _STA_UNSYNC
