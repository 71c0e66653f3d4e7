"""A device's flash memory: a few records, oldest first, and how far its clock was set off."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import msgspec


class _Content(msgspec.Struct):
    records: list[bytes] = []
    dropped: int = 0
    clock_offset_s: float = 0.0


class Memory:
    """Holds at most ``capacity`` records; a full one drops its oldest, as devices do.

    With a file it outlives the process, also one that is killed; what the file says goes before
    the ``clock_offset`` given here.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If the file holds something else.
    """

    def __init__(
        self,
        capacity: int,
        *,
        file: Path | None = None,
        clock_offset: timedelta = timedelta(),
    ) -> None:
        self._capacity = capacity
        self._file = file
        self._content = _Content(clock_offset_s=clock_offset.total_seconds())
        if file is not None and file.exists():
            try:
                self._content = msgspec.json.decode(file.read_bytes(), type=_Content)
            except msgspec.DecodeError as error:
                raise ValueError(f"{file}: not a device's memory: {error}") from error

    @property
    def records(self) -> tuple[bytes, ...]:
        """Return the records, oldest first."""
        return tuple(self._content.records)

    @property
    def dropped(self) -> int:
        """Return how many records were lost because the memory was full."""
        return self._content.dropped

    @property
    def clock_offset(self) -> timedelta:
        """Return how far the device's clock is ahead of true time."""
        return timedelta(seconds=self._content.clock_offset_s)

    @clock_offset.setter
    def clock_offset(self, offset: timedelta) -> None:
        self._content.clock_offset_s = offset.total_seconds()
        self._save()

    def append(self, record: bytes) -> bytes | None:
        """Store a record; return the one that was dropped for it, if any."""
        dropped = None
        if len(self._content.records) >= self._capacity:
            dropped = self._content.records.pop(0)
            self._content.dropped += 1
        self._content.records.append(record)
        self._save()
        return dropped

    def remove(self, record: bytes) -> None:
        """Delete the oldest record with these bytes; one that was dropped meanwhile is gone."""
        if record in self._content.records:
            self._content.records.remove(record)
            self._save()

    def _save(self) -> None:
        if self._file is None:
            return
        # Written beside and renamed: a kill leaves the old content or the new, never half of it.
        new = self._file.with_name(self._file.name + ".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(self._content))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)
