"""Processes: told apart from later ones of the same number, and ended for certain."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from deploy.local.processes import Process, Server, ServerError

# Stands for the sandbox: starts the program, reports its number on descriptor 3, waits for it.
SANDBOX = """
trap '' TERM
{program} 3>&- &
echo "{{\\"child-pid\\": $!}}" >&3
exec 3>&-
wait $!
"""
DEADLINE_S = 5.0


@pytest.fixture
def server(tmp_path: Path) -> Generator[Server]:
    made = Server("sleeper", run=tmp_path / "run", log=tmp_path / "log")
    yield made
    made.kill()


def start(server: Server, program: str) -> Process:
    server.start(["/bin/sh", "-c", SANDBOX.format(program=program)])
    process = server.process
    assert process is not None
    return process


def test_a_process_is_seen_to_run_and_to_end() -> None:
    child = subprocess.Popen(["/bin/sleep", "60"])
    process = Process.of(child.pid)

    assert process.is_running
    process.signal(signal.SIGKILL)
    assert process.wait(DEADLINE_S)
    assert not process.is_running

    child.wait()


def test_a_later_process_of_the_same_number_is_not_touched() -> None:
    child = subprocess.Popen(["/bin/sleep", "60"])
    earlier = Process(child.pid, "another boot:1")

    assert not earlier.is_running
    earlier.signal(signal.SIGKILL)

    assert child.poll() is None
    child.kill()
    child.wait()


def test_a_number_without_process_is_refused() -> None:
    with pytest.raises(ProcessLookupError):
        Process.of(2**22 + 1)  # above the kernel's own limit on process numbers


def test_a_server_outlives_whoever_started_it_and_is_found_again(
    server: Server, tmp_path: Path
) -> None:
    process = start(server, "exec /bin/sleep 60")

    found = Server("sleeper", run=tmp_path / "run", log=tmp_path / "log").process

    assert found == process
    assert os.getsid(process.pid) != os.getsid(0)


def test_a_killed_server_leaves_neither_process_nor_record(server: Server) -> None:
    process = start(server, "exec /bin/sleep 60")

    server.kill()

    assert not process.is_running
    assert server.process is None
    server.kill()  # again: nothing to do


def test_a_server_that_does_not_listen_is_killed_at_the_deadline(server: Server) -> None:
    process = start(server, "(trap '' TERM; while :; do /bin/sleep 1; done)")

    server.stop(signal.SIGTERM, deadline_s=0.2)

    assert not process.is_running


def test_a_sandbox_that_fails_shows_its_last_words(server: Server) -> None:
    with pytest.raises(ServerError, match=r"(?s)sleeper did not start.*no such tree"):
        server.start(["/bin/sh", "-c", "echo no such tree >&2; exit 1"])


def test_no_record_means_that_nothing_runs(server: Server) -> None:
    assert server.process is None
    server.stop(signal.SIGTERM, deadline_s=0.1)
