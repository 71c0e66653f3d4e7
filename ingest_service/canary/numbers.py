"""The canary's epoch and next number, in a small file that one process holds."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import msgspec

_FILE: Final = "numbers.json"
_LOCK: Final = "lock"


class InUseError(RuntimeError):
    """Another canary holds the directory; the text names it."""


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    epoch: UUID
    last: int
    is_received: bool


class Numbers:
    """Gives each reading its epoch and number, once, also over a restart.

    What had no receipt is never sent again: the canary tells of now. Its number stays the last of
    its epoch, so that nobody misses it, and the next reading begins another epoch.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / _FILE
        self._kept = self._read()

    def take(self) -> tuple[UUID, int]:
        """Return the next reading's epoch and number; they are on disk before it is sent."""
        kept = self._kept
        if kept.is_received:
            self._write(_Kept(epoch=kept.epoch, last=kept.last + 1, is_received=False))
        else:
            self._write(_Kept(epoch=uuid4(), last=1, is_received=False))
        return self._kept.epoch, self._kept.last

    def note_received(self) -> None:
        """Note that the last one has a receipt."""
        self._write(msgspec.structs.replace(self._kept, is_received=True))

    def _read(self) -> _Kept:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            # New, or damaged: a new epoch is never wrong.
            return _Kept(epoch=uuid4(), last=0, is_received=False)

    def _write(self, kept: _Kept) -> None:
        self._kept = kept
        part = self._file.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(kept))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._file)


@contextmanager
def held(directory: Path) -> Generator[Numbers]:
    """Hold the directory alone; the lock dies with the process.

    Raises:
        InUseError: If another process has it.
        OSError: If it cannot be made or written.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(
                f"another canary runs on {directory}: one is enough; stop it first, or give this "
                "one a directory, a gateway and a certificate of its own"
            ) from None
        yield Numbers(directory)
