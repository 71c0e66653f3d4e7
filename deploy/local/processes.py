"""Servers that outlive the command that started them, and how to end them for certain.

A server runs as process 1 of a process-id namespace of its own: when it ends, by whatever
signal, the kernel ends everything it started before anybody can see it gone. So PostgreSQL's
back ends are never left behind, also after SIGKILL.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from deploy.local.sandbox import INFO_FD

_MAX_LOG_BYTES: Final = 16 * 1024 * 1024
_TAIL_BYTES: Final = 2000
# After SIGKILL the kernel takes a moment to free a server's memory; more than this is a fault.
_KILL_DEADLINE_S: Final = 10.0
# What Python ignores, or a shell's background job, must not be ignored by a server.
_DEFAULT_SIGNALS: Final = (signal.SIGPIPE, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class ServerError(Exception):
    """A server did not do as told; the text says which one and shows its last log lines."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process, told apart from a later one that happens to get the same number.

    ``started`` is the boot's id and the clock tick at which the process started.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return the process that has this number now, or raise `ProcessLookupError`."""
        started = _started(pid)
        if started is None:
            raise ProcessLookupError(f"no process {pid}")
        return cls(pid, started)

    @property
    def is_running(self) -> bool:
        """Tell whether it still runs; a zombie does not."""
        return not self.wait(0)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if the process has ended."""
        with self._opened() as handle:
            if handle is not None:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)

    def wait(self, deadline_s: float) -> bool:
        """Wait until it has ended; false if it still runs at the deadline."""
        with self._opened() as handle:
            if handle is None:
                return True
            ended = select.poll()
            ended.register(handle, select.POLLIN)
            if not ended.poll(deadline_s * 1000):
                return False
            with suppress(ChildProcessError):  # not ours: whose child it is will collect it
                os.waitid(os.P_PIDFD, handle, os.WEXITED | os.WNOHANG)
            return True

    @contextmanager
    def _opened(self) -> Generator[int | None]:
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            # Looked at after opening: from here on the handle cannot come to mean another one.
            yield handle if _started(self.pid) == self.started else None
        finally:
            os.close(handle)


class Server:
    """One server's process: started in a sandbox, recorded in a file, ended for certain."""

    def __init__(self, name: str, *, run: Path, log: Path) -> None:
        self.name = name
        self.log = log / f"{name}.log"
        self._record = run / f"{name}.json"

    @property
    def process(self) -> Process | None:
        """The server's own process (not the sandbox's), or None if it does not run."""
        return next((each for each in self._recorded()[:1] if each.is_running), None)

    def start(self, argv: Sequence[str]) -> None:
        """Start it; ``argv`` is the sandbox's, which reports the server's process on `INFO_FD`.

        Raises:
            ServerError: If the sandbox could not be built.
        """
        self._record.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        sandbox_pid, info = _spawn(argv, self.log)
        try:
            processes = [Process.of(int(info["child-pid"])), Process.of(sandbox_pid)]
        except (KeyError, ProcessLookupError) as error:
            raise self.error("did not start") from error
        part = self._record.with_suffix(".part")
        part.write_text(json.dumps([asdict(each) for each in processes]))
        part.replace(self._record)  # whole or not at all: whoever starts it may be killed

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL to the server and everything it started.

        Raises:
            ServerError: If it is still there at the deadline.
        """
        recorded = self._recorded()
        for process in recorded[:1]:
            process.signal(signal.SIGKILL)
        for process in recorded:  # the sandbox ends by itself when its server has ended
            if not process.wait(_KILL_DEADLINE_S):
                raise self.error(f"still runs {_KILL_DEADLINE_S:.0f} s after SIGKILL")
        self._record.unlink(missing_ok=True)

    def stop(self, number: signal.Signals, *, deadline_s: float) -> None:
        """Ask it to end, and kill it if it has not done so at the deadline."""
        if process := self.process:
            process.signal(number)
            process.wait(deadline_s)
        self.kill()

    def error(self, what: str) -> ServerError:
        """Return the error that says what happened and shows the log's last lines."""
        tail = self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        return ServerError(f"{self.name} {what}; the end of {self.log}:\n{tail}")

    def _recorded(self) -> Sequence[Process]:
        """Return the server's and its sandbox's process, as they were started."""
        try:
            return [Process(**each) for each in json.loads(self._record.read_text())]
        except FileNotFoundError:
            return []


def _spawn(argv: Sequence[str], log: Path) -> tuple[int, Mapping[str, Any]]:
    """Start a sandbox in a session of its own; return its process number and its report."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as report:
        try:
            pid = os.posix_spawn(
                argv[0],
                list(argv),
                {},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    (os.POSIX_SPAWN_DUP2, writer, INFO_FD),
                ],
                setsid=True,
                setsigdef=_DEFAULT_SIGNALS,
            )
        finally:
            os.close(writer)
        # No deadline needed: bubblewrap reports and closes before it starts the server, or ends.
        text = report.read()
    return pid, json.loads(text) if text else {}


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    # Field 22; the second one, the name in brackets, may itself hold spaces and brackets.
    return f"{boot}:{stat.rpartition(')')[2].split()[19]}"
