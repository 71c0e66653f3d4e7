"""The demo ended while it starts, in the ways in which a person or a machine ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.state import CHECKOUT, State
from deploy.local.tenancy import guarded

pytestmark = [pytest.mark.broker, pytest.mark.timescale, pytest.mark.timeout(120)]

_DEADLINE_S = 45.0


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)]
)
def test_a_demo_that_is_ended_while_it_starts_leaves_no_process(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    root = tmp_path / "demo"
    demo = subprocess.Popen(
        [sys.executable, "-m", "deploy.local.demo", "--state", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=CHECKOUT,
        start_new_session=True,
    )
    assert demo.stdout is not None
    while "mosquitto" not in (line := demo.stdout.readline()):
        assert line, "ended by itself"

    demo.send_signal(number)
    printed, _ = demo.communicate(timeout=_DEADLINE_S)

    assert demo.returncode == status, printed
    assert "Traceback" not in printed
    with guarded(State(root=root, tree=State().tree)):  # waits until the guard has done its work
        assert processes_of(root) == []


def processes_of(root: Path) -> list[str]:
    """Return what runs with the installation in its command line or environment."""
    found: list[str] = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_text()
            environment = (directory / "environ").read_text(errors="replace")
        except OSError:  # ended meanwhile
            continue
        if f"{root}/" in command or f"{root}/" in environment:
            found.append(command.replace("\0", " "))
    return found
