"""Room on the disk: a reserve for the day on which it is full, and a limit to what is kept.

A reserve file holds disk space that SQLite gets when it finds none: so a record that has just come
is kept, and the gateway goes on sending, noting receipts and forgetting. Devices are left alone
meanwhile, because a cuff deletes what it has handed over. When there is room again the reserve is
taken back and devices are visited.

Beyond ``max_bytes`` the oldest delivered records go before their time, never an undelivered one.
The file does not shrink: what is forgotten makes place in it for what comes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from pathlib import Path
from typing import Final

from device_adapters.contract.standing import Happening, Problem
from gateway.reporting import Reports
from gateway.store.database import Database, flush_directory, is_full
from gateway.store.outbox import Outbox

logger = logging.getLogger(__name__)

RESERVE_NAME: Final = "reserve"
RESERVE_BYTES: Final = 4 << 20
_LEAST_FREE_BYTES: Final = 2 << 20  # beside the reserve, before devices are visited


class Reserve:
    """Disk space that is held back, in the gateway's state directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / RESERVE_NAME

    @property
    def is_whole(self) -> bool:
        """Tell whether all of it is there."""
        return self._path.exists() and self._path.stat().st_size >= RESERVE_BYTES

    def release(self) -> bool:
        """Give the space to whoever needs it; false if there was none to give."""
        if not self._path.exists():
            return False
        self._path.unlink()
        return True

    def take(self) -> bool:
        """Take the space, as much as there is; return whether that is all of it."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            step = 256 << 10
            for at in range(0, RESERVE_BYTES, step):
                os.posix_fallocate(handle, at, step)
            os.fsync(handle)
        except OSError as error:
            if not is_full(error):
                raise
            return False
        finally:
            os.close(handle)
        flush_directory(self._path.parent)
        return True


class Room:
    """Tells whether there is room for what devices have to say, and sees to it that there is.

    Args:
        database: The gateway's open file.
        outbox: What may be forgotten.
        reports: Hears of a full disk, and of what was forgotten before its time.
        directory: Where the file and the reserve are.
        max_bytes: What the file may hold.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        reports: Reports,
        *,
        directory: Path,
        max_bytes: int,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._reports = reports
        self._directory = directory
        self._max_bytes = max_bytes
        self._reserve = Reserve(directory)
        self.has_room = True
        database.make_room = self.release
        self.look()

    def release(self) -> bool:
        """Give SQLite the reserve; false if it was given already."""
        is_released = self._reserve.release()
        self._tell(full="no space is left on the disk")
        return is_released

    def look(self) -> None:
        """Look whether there is room; to be called every few seconds."""
        free = _free_bytes(self._directory)
        needed = _LEAST_FREE_BYTES + (0 if self._reserve.is_whole else RESERVE_BYTES)
        if free < needed:
            self._tell(full=f"{free >> 20} MiB are free on the disk, {needed >> 20} are needed")
        elif not self._reserve.is_whole and not self._reserve.take():
            self._tell(full="the reserve could not be taken")
        elif self._outgrown() > 0 and not self._outbox.has_delivered:
            self._tell(full=f"what waits for the server takes the {self._max_bytes} bytes allowed")
        else:
            self._tell(full=None)

    def shrinking(self) -> Generator[None, None, int]:
        """Forget delivered records, oldest first, until the limit holds, in slices."""
        forgotten = 0
        while self._outgrown() > 0 and (count := self._outbox.forget()):
            forgotten += count
            yield
        if forgotten:
            logger.warning("records forgotten early", extra={"records": forgotten})
            self._reports.note(
                Happening.FORGOTTEN_EARLY,
                detail=f"{forgotten} delivered records: the file holds {self._max_bytes} bytes",
            )
        return forgotten

    def _outgrown(self) -> int:
        """Return by how many bytes the file holds more than it may."""
        (used,) = self._database.connection.execute(
            "SELECT (page_count - freelist_count) * page_size"
            "  FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
        ).fetchone()
        return int(used) - self._max_bytes

    def _tell(self, *, full: str | None) -> None:
        had_room, self.has_room = self.has_room, full is None
        if full is not None and had_room:
            logger.error("no room: devices are left alone", extra={"reason": full})
            self._reports.begin(Problem.DISK_FULL, detail=full)
        elif full is None and not had_room:
            logger.info("room again: devices are visited")
            self._reports.end(Problem.DISK_FULL)


def _free_bytes(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
