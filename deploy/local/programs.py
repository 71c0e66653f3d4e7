"""Programs that run as long as the command that started them, and never longer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

_POLL_S: Final = 0.05
_STOP_DEADLINE_S: Final = 10.0
_TAIL_BYTES: Final = 2000
_BIN: Final = Path(sys.executable).parent


class ProgramError(Exception):
    """A program did not do as it should; the text says which, and where its log is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run and how to tell that it is ready.

    ``command`` names a program of this virtual environment, or an absolute path.
    ``ready_url`` answers 200, or ``ready_path`` exists, or ``ready_text`` stands in its log.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    ready_url: str | None = None
    ready_path: Path | None = None
    ready_text: str | None = None
    ready_s: float = 30.0


class Running:
    """One program as a child process; the kernel ends it when its parent ends."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log / f"{program.name}.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The process number, or None if it does not run."""
        return self._child.pid if self._child and self._child.poll() is None else None

    @property
    def number(self) -> int:
        """The process number, or raise `ProgramError` if it does not run."""
        if (pid := self.pid) is None:
            raise self.error("does not run")
        return pid

    def start(self) -> None:
        """Start it; it is ready when `wait_ready` returns."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if path := self.program.ready_path:
            path.unlink(missing_ok=True)
        name, *arguments = self.program.command
        # pdeathsig: also when the parent is killed, nothing of it stays behind.
        argv = ["setpriv", "--pdeathsig", "KILL", "--", str(_BIN / name), *arguments]
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._child = subprocess.Popen(  # noqa: S603 - our own command line
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(self.program.environment),
                process_group=0,  # Ctrl-C is the parent's to pass on, in its order
            )

    def wait_ready(self) -> None:
        """Wait until it is ready.

        Raises:
            ProgramError: If it ends first, or is not ready in time.
        """
        deadline = time.monotonic() + self.program.ready_s
        while not self._is_ready():
            if self.pid is None:
                raise self.error("ended while starting")
            if time.monotonic() > deadline:
                raise self.error(f"is not ready after {self.program.ready_s:.0f} s")
            time.sleep(_POLL_S)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end; kill it if it has not done so at the deadline."""
        self._end(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self._child and self._child.poll() is None:
            self._child.send_signal(number)

    def error(self, what: str) -> ProgramError:
        """Return the error that says what happened and shows the log's last lines."""
        tail = self.log.read_bytes()[self._log_start :][-_TAIL_BYTES:].decode(errors="replace")
        return ProgramError(f"{self.program.name} {what}; its log is {self.log}:\n{tail}")

    def _end(self, number: signal.Signals) -> None:
        if self._child is None:
            return
        self.signal(number)
        try:
            self._child.wait(_STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(_STOP_DEADLINE_S)

    def _is_ready(self) -> bool:
        program = self.program
        if program.ready_url:
            with suppress(URLError, OSError), urlopen(program.ready_url, timeout=2) as answer:  # noqa: S310 - our own loopback address
                return answer.status == 200  # noqa: PLR2004 - HTTP
            return False
        if program.ready_path:
            return program.ready_path.exists()
        if program.ready_text:
            return program.ready_text.encode() in self.log.read_bytes()[self._log_start :]
        return True


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return what a program may see: no setting of ours that was not meant for it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HEMVITAL_", "DBUS_"))
    }
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(extra)
