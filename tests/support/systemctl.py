"""Stands in for systemd where none can run: starts the installed unit's command, for real.

It knows what the package asks of systemd: ``restart`` waits for READY=1 on a notify socket as
``Type=notify`` does, ``show`` says whether the process lives. Put into a box as ``systemctl``.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNIT = Path("/usr/lib/systemd/system/hemvital-gateway.service")
PLACE = Path("/run/hemvital-systemctl")
WITHIN_S = 15.0


def main(words: list[str]) -> int:
    """Do what is asked; an unknown request succeeds silently, as far as a package can tell."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / "asked").open("a") as asked:
        asked.write(" ".join(words) + "\n")
    match words:
        case ["restart", _]:
            stop()
            return start()
        case ["stop", *_]:
            stop()
        case ["show", *_]:
            print("ActiveState=" + ("active" if lives() else state()))  # noqa: T201 - it is the answer
            print("NRestarts=0")  # noqa: T201 - it is the answer
        case _:
            pass
    return 0


def start() -> int:
    """Start the unit's command and wait until it says that it serves."""
    settings: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        name, found, value = line.partition("=")
        if found and not name.startswith("#"):
            settings.setdefault(name, []).append(value)
    if not Path(settings["ConditionPathExists"][0]).exists():
        (PLACE / "state").write_text("inactive")
        return 0  # a condition that does not hold is no failure
    (PLACE / "notify").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(PLACE / "notify"))
        manager.settimeout(0.1)
        given = dict(each.split("=", 1) for each in settings["Environment"])
        with (PLACE / "log").open("ab") as log:
            process = subprocess.Popen(
                shlex.split(settings["ExecStart"][0]),
                env={**given, "PATH": "/usr/bin", "NOTIFY_SOCKET": str(PLACE / "notify")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (PLACE / "pid").write_text(str(process.pid))
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in manager.recv(4096):
                    return 0
    (PLACE / "state").write_text("failed")
    return 1


def stop() -> None:
    """End what runs, and wait for its end."""
    if (process := lives()) is not None:
        os.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + WITHIN_S
        while lives() is not None and time.monotonic() < deadline:
            time.sleep(0.02)


def lives() -> int | None:
    """Return the process's number if it lives."""
    with contextlib.suppress(OSError, ValueError):
        process = int((PLACE / "pid").read_text())
        status = Path(f"/proc/{process}/stat").read_text()
        return None if status.rpartition(")")[2].split()[0] == "Z" else process
    return None


def state() -> str:
    """Return how it ended."""
    with contextlib.suppress(OSError):
        return (PLACE / "state").read_text()
    return "inactive"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
