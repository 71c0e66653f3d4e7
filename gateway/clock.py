"""The gateway's clock: what time it is, and whether that can be believed.

A Raspberry Pi has no battery clock: after a power cut it starts with the time it had when it
stopped, until the network tells it better. So every moment is taken three ways: UTC, the count
since boot that no setting of the clock moves, and whether the time service stands by the clock.
What follows from the three is decided in `gateway.trust`.
"""

from __future__ import annotations

import ctypes
import os
import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

import msgspec

from gateway import trust
from gateway.trust import Look, Trust

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

# struct timex of linux/timex.h: modes u32, offset, freq, maxerror, esterror (long), status i32.
# 256 bytes are more than any architecture's whole struct; modes 0 only reads.
_TIMEX_BYTES: Final = 256
_LONG: Final = ctypes.sizeof(ctypes.c_long)
_STATUS_OFFSET: Final = 5 * _LONG
_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5

#: systemd-timesyncd touches it whenever it has set the clock; /run does not outlive a boot.
TIMESYNCD_FILE: Final = Path("/run/systemd/timesync/synchronized")

_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ClockSource(StrEnum):
    """Who says whether the clock is synchronised."""

    ADJTIMEX = "adjtimex"  # the kernel, as the time service tells it
    FILE = "file"  # the time service, by a file that it touches whenever it has set the clock
    TRUSTED = "trusted"  # the operator: the machine's clock is right by other means


def source_of_this_machine() -> ClockSource:
    """Return who can vouch for the clock here: systemd's time service where it runs.

    The kernel forgets after some nine hours without network that its clock was ever set; the
    service's file lasts until the next boot, and what a clock loses until then is little.
    """
    return ClockSource.FILE if TIMESYNCD_FILE.parent.is_dir() else ClockSource.ADJTIMEX


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

    @property
    def doubt(self) -> str | None:
        """Return why the clock is not trusted, in words; None where it is."""
        ...

    def read(self) -> Moment:
        """Return this moment."""
        ...


class SystemClock:
    """The machine's own clock.

    Args:
        source: Who says whether it is right.
        file: What the time service touches each time it has confirmed or set the clock, on a
            file system that a boot empties; for `ClockSource.FILE`.
        trusted: What was believed when this boot's last process ended; None where there was none.
    """

    def __init__(
        self, source: ClockSource, *, file: Path = TIMESYNCD_FILE, trusted: Trust | None = None
    ) -> None:
        self._source = source
        self._file = str(file)
        self._boot_id = boot_id()
        self._trust = trusted

    @property
    def boot_id(self) -> UUID:
        """Return the kernel's boot id: a new one at every start of the machine."""
        return self._boot_id

    @property
    def trust(self) -> Trust | None:
        """Return what is believed of the clock; None where the operator vouches for it."""
        return self._trust

    @property
    def doubt(self) -> str | None:
        """Return why the clock is not trusted, in words; None where it is."""
        if self._trust is None or self._trust.is_trusted:
            return None
        if not self._trust.is_held:
            return "no time service has confirmed the clock"
        jump = timedelta(seconds=round(abs(self._trust.jump_us) / 1e6))
        way = "ahead" if self._trust.jump_us > 0 else "back"
        return f"the clock was set {way} by {in_words(jump)} and no time service has confirmed it"

    def read(self) -> Moment:
        """Return this moment, in a few microseconds: it is asked for in the radio's callback.

        CLOCK_BOOTTIME and not CLOCK_MONOTONIC, which stands still while a machine sleeps.
        """
        if self._source is ClockSource.TRUSTED:
            return Moment(
                at=datetime.now(UTC),
                monotonic_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
                is_synchronised=True,
            )
        look, monotonic_ns = self._look()
        if self._trust is None:
            self._trust = trust.begin(look)
        else:
            trust.see(self._trust, look)
        return Moment(
            at=_START + timedelta(microseconds=look.count_us + self._trust.offset_us),
            monotonic_ns=monotonic_ns,
            is_synchronised=self._trust.is_trusted,
        )

    def _look(self) -> tuple[Look, int]:
        is_file = self._source is ClockSource.FILE
        # The mark before the clock, the kernel before and after it: a clock that is set in
        # between then looks unconfirmed, never confirmed.
        mark_us = _touched_us(self._file) if is_file else None
        was_confirmed = None if is_file else is_kernel_synchronised()
        monotonic_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        look = Look(
            wall_us=time.time_ns() // 1000,
            count_us=monotonic_ns // 1000,
            mark_us=mark_us,
            is_confirmed=None if is_file else was_confirmed and is_kernel_synchronised(),
        )
        return look, monotonic_ns


def in_words(span: timedelta) -> str:
    """Return a span of time for people, to the minute, or to the second where it is short."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    if minutes == 0:
        return f"{seconds} s"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes} min"]
    return " ".join(part for part in parts if part)


def boot_id() -> UUID:
    """Return the kernel's boot id."""
    return UUID(_BOOT_ID.read_text(encoding="ascii").strip())


def _touched_us(file: str) -> int | None:
    try:
        return os.stat(file).st_mtime_ns // 1000  # noqa: PTH116 - Path.stat costs twice as much
    except OSError:
        return None


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
