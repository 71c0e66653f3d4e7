"""One command at a time on an installation, and nothing of it stays when the command is gone.

Programs are children that the kernel ends with their parent. PostgreSQL and mosquitto run in
sandboxes that outlive it, so a guard stands by: a process of its own that ends them when the
command has ended, by whatever signal. What a killed guard leaves too, the next command ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Final

from deploy.local.processes import Process
from deploy.local.sandbox import BUBBLEWRAP
from deploy.local.services import Services
from deploy.local.state import CHECKOUT, State

_NAME: Final = "deploy.local.tenancy"
_GUARD_DEADLINE_S: Final = 60.0  # a guard stops two servers, each within its own deadline
_DYING_S: Final = 1.0  # what a command that was just killed may still need to end
_END_DEADLINE_S: Final = 10.0
_POLL_S: Final = 0.05


class InUseError(Exception):
    """Another command runs on the installation; the text names its process."""


def vacate(state: State) -> None:
    """End what a killed command left running, and remove all that it kept.

    Raises:
        InUseError: If a command still runs there.
        ServerError: If a server cannot be ended.
    """
    with _alone(state):
        _end_servers(state)
        state.clear()


@contextmanager
def guarded(state: State) -> Generator[Path]:
    """Hold an installation alone and give a new directory of a short path, for sockets.

    Its servers and that directory are gone afterwards, also if the command is killed.

    Raises:
        InUseError: If another command runs there.
        ServerError: If a server that an earlier one left cannot be ended.
    """
    with _alone(state) as lock:
        _end_servers(state)
        scratch = Path(tempfile.mkdtemp(prefix="hemvital-"))
        guard = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-m", _NAME, str(state.root), str(state.tree), str(scratch)],
            stdin=subprocess.PIPE,
            cwd=CHECKOUT,
            pass_fds=[lock.fileno()],  # held until the guard has done its work
            start_new_session=True,  # Ctrl-C is not for it
        )
        try:
            yield scratch
        finally:
            guard.communicate(timeout=_GUARD_DEADLINE_S)


def main(arguments: Sequence[str]) -> int:
    """Be the guard: wait until the command has ended, and end its servers."""
    root, tree, scratch = map(Path, arguments)
    sys.stdin.buffer.read()  # no deadline: it ends when the last writer, the command, has ended
    _end_servers(State(root=root, tree=tree))
    shutil.rmtree(scratch, ignore_errors=True)
    return 0


@contextmanager
def _alone(state: State) -> Generator[IO[str]]:
    # Beside the directory and not in it: who empties the directory holds the lock.
    file = state.root.with_name(f"{state.root.name}.lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as lock:
        _acquire(lock, state)
        lock.truncate(0)
        lock.write(json.dumps(asdict(Process.of(os.getpid()))))
        lock.flush()
        yield lock


def _acquire(lock: IO[str], state: State) -> None:
    deadline = time.monotonic() + _GUARD_DEADLINE_S
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        holder = _holder(lock)
        is_held = holder is not None and not holder.wait(_DYING_S)
        if is_held or time.monotonic() > deadline:
            who = f"process {holder.pid}" if holder else "another command"
            raise InUseError(f"{who} runs on {state.root}: stop it first")
        time.sleep(_POLL_S)  # its guard is still at work


def _holder(lock: IO[str]) -> Process | None:
    lock.seek(0)
    with suppress(json.JSONDecodeError):  # between taking the lock and writing the name
        return Process(**json.loads(lock.read()))
    return None


def _end_servers(state: State) -> None:
    if state.run.exists():
        Services(state).stop()
    for server in _unrecorded(state):
        server.signal(signal.SIGKILL)
        server.wait(_END_DEADLINE_S)


def _unrecorded(state: State) -> Sequence[Process]:
    """Return servers whose command was killed after it had started them and before it noted so.

    A second PostgreSQL would not start beside such a one, until somebody found it by hand.
    """
    data = {str(state.pgdata), str(state.mosquitto)}
    found: list[Process] = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile
            program, *arguments = (directory / "cmdline").read_text().split("\0")
            if program == BUBBLEWRAP and data.intersection(arguments):
                children = directory / "task" / directory.name / "children"
                found += [Process.of(int(child)) for child in children.read_text().split()]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
