"""Where a local installation keeps its things: everything under one directory."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class State:
    """The directory of one local installation; two of them do not meet.

    ``tree`` is the Debian tree that the servers run from. It is only read, so installations
    may share one: the tests do, for a server of their own that they may kill.
    """

    root: Path = CHECKOUT / ".local"
    tree: Path = CHECKOUT / ".local" / "rootfs"

    @property
    def run(self) -> Path:
        """What lives as long as the servers: process records, ports, sockets, the lock."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """One log file a server."""
        return self.root / "log"

    @property
    def secrets(self) -> Path:
        """Passwords, each in a file that only its owner may read."""
        return self.root / "secrets"

    @property
    def pki(self) -> Path:
        """The throw-away certificate authority and what it issued."""
        return self.root / "pki"

    @property
    def pgdata(self) -> Path:
        """PostgreSQL's cluster."""
        return self.root / "pgdata"

    @property
    def mosquitto(self) -> Path:
        """What the broker keeps over a restart."""
        return self.root / "mosquitto"

    def clear(self) -> None:
        """Remove all of it but the tree: the next start begins from nothing."""
        shutil.rmtree(self.root, ignore_errors=True)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the installation alone; the lock dies with the process that holds it.

        No deadline: whoever holds it has deadlines of its own, and its progress can be seen.
        """
        self.run.mkdir(parents=True, exist_ok=True)
        with (self.run / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read: whole or not at all, also after a crash."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
