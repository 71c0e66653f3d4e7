"""A command that is killed leaves no server behind, and the next one finds a free place."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.processes import Process
from deploy.local.services import BROKER, DATABASE, Services
from deploy.local.state import CHECKOUT, State
from deploy.local.tenancy import InUseError, guarded, vacate

pytestmark = [pytest.mark.broker, pytest.mark.timescale]

_DEADLINE_S = 15.0
_COMMAND = """
import sys, time
from pathlib import Path
from deploy.local.services import Services
from deploy.local.state import State
from deploy.local.tenancy import guarded

state = State(root=Path(sys.argv[1]), tree=Path(sys.argv[2]))
with guarded(state) as scratch:
    Services(state).start()
    print(scratch, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(root=tmp_path / "demo", tree=State().tree)


@contextmanager
def command(state: State) -> Generator[tuple[subprocess.Popen[str], Path]]:
    """A command that holds the installation and its servers until it is killed."""
    child = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, str(state.root), str(state.tree)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    )
    assert child.stdout is not None
    try:
        yield child, Path(child.stdout.readline().strip())
    finally:
        child.kill()
        child.communicate(timeout=_DEADLINE_S)


def servers(state: State) -> list[Process]:
    services = Services(state)
    found = [services.database.server.process, services.broker.server.process]
    return [each for each in found if each is not None]


def test_a_killed_commands_servers_and_sockets_are_gone(state: State) -> None:
    with command(state) as (child, scratch):
        running = servers(state)
        assert (len(running), scratch.is_dir()) == (2, True)

        child.kill()

        assert all(each.wait(_DEADLINE_S) for each in running)
    with guarded(state):  # waits until the guard has done its work
        assert not scratch.exists()


def test_the_next_command_waits_for_the_guard_and_works(state: State) -> None:
    with command(state) as (child, _):
        child.kill()

        with guarded(state):
            Services(state).start()

            assert Services(state).is_running
    assert servers(state) == []


def test_a_second_command_is_told_who_runs(state: State) -> None:
    with (
        command(state) as (child, _),
        pytest.raises(InUseError, match=f"process {child.pid} runs on"),
    ):
        vacate(state)


def test_servers_that_nobody_noted_are_ended_too(state: State) -> None:
    with guarded(state):
        Services(state).start()
        left = servers(state)
        for name in (DATABASE, BROKER):  # as if the command was killed before it wrote them
            (state.run / f"{name}.json").unlink()

    assert all(each.wait(0) for each in left)


def test_what_a_command_kept_is_gone_after_vacating(state: State) -> None:
    state.run.mkdir(parents=True)
    (state.run / "something").write_text("old")

    vacate(state)

    assert not state.root.exists()


def test_leaving_in_order_is_quick(state: State) -> None:
    began = time.monotonic()

    with guarded(state):
        pass

    assert time.monotonic() - began < 5
