"""What systemd is told, through a real datagram socket: this test is the service manager."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

import pytest

from deploy.local.sandbox import BUBBLEWRAP
from gateway.store.database import FILE_NAME, Database
from gateway.store.pulse import prove_write
from gateway.supervisor import Supervisor, Vigil, from_environment

WATCHDOG_S = 0.3

_ON_A_FULL_DISK = """
import asyncio, sqlite3, sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from gateway.store.database import open_database
from gateway.store.pulse import prove_write
from gateway.supervisor import Supervisor, Vigil

place = Path("/mnt/state")
database = open_database(place, datetime.now(UTC))
with (place / "rest").open("wb", buffering=0) as rest:
    try:
        while True:
            rest.write(bytes(512))
    except OSError:
        pass
try:
    while True:  # the log has its place on the disk until that is used up
        prove_write(place)
except sqlite3.Error as error:
    print(error.sqlite_errorcode, flush=True)
vigil = Vigil(
    Supervisor(sys.argv[1], 0.3), directory=place, progress=count().__next__, problems=lambda: ()
)
asyncio.run(vigil.run(asyncio.Event()))
"""
WITHIN_S = 10.0


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Generator[tuple[str, socket.socket]]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@hemvital-{os.getpid()}"
    with manager_at(name.replace("@", "\0")) as bound:
        yield name, bound


@contextmanager
def manager_at(address: str) -> Generator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.setblocking(False)
        bound.bind(address)
        yield bound


async def next_message(bound: socket.socket) -> list[str]:
    async with asyncio.timeout(WITHIN_S):
        raw = await asyncio.get_running_loop().sock_recv(bound, 4096)
    return raw.decode().split("\n")


async def fields_until(bound: socket.socket, wanted: str) -> list[str]:
    fields: list[str] = []
    async with asyncio.timeout(WITHIN_S):
        while not any(field.startswith(wanted) for field in fields):
            fields += await next_message(bound)
    return fields


def no_problems() -> Iterable[str]:
    return ()


@asynccontextmanager
async def vigil(
    name: str,
    directory: Path,
    *,
    progress: Callable[[], int] | None = None,
    problems: Callable[[], Iterable[str]] = no_problems,
) -> AsyncGenerator[None]:
    stop = asyncio.Event()
    kept = Vigil(
        Supervisor(name, WATCHDOG_S),
        directory=directory,
        progress=progress or count().__next__,
        problems=problems,
    )
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(kept.run(stop))
        yield
        stop.set()
        await task


async def test_it_says_that_it_serves_lives_and_ends(
    manager: tuple[str, socket.socket], tmp_path: Path, database: Database
) -> None:
    name, bound = manager

    async with vigil(name, tmp_path):
        first = await next_message(bound)
        second = await next_message(bound)
    last = await fields_until(bound, "STOPPING=1")

    assert first == ["READY=1", "STATUS=Serving."]
    assert second == ["WATCHDOG=1", "STATUS=Serving."]
    assert last[-1] == "STATUS=Sending what waits, then stopping."


async def test_what_no_restart_mends_feeds_the_watchdog_and_is_said(
    manager: tuple[str, socket.socket], tmp_path: Path, database: Database
) -> None:
    name, bound = manager
    problems = ("the radio does not listen", "the broker is not connected:\nrefused")

    async with vigil(name, tmp_path, problems=lambda: problems):
        fields = await fields_until(bound, "WATCHDOG=1")

    assert "STATUS=the radio does not listen; the broker is not connected: refused" in fields


def test_a_full_disk_feeds_the_watchdog_since_no_restart_makes_room() -> None:
    name = f"hemvital-full-{os.getpid()}"
    argv = [BUBBLEWRAP, "--ro-bind", "/", "/", "--size", "4194304", "--tmpfs", "/mnt"]
    script = ["--die-with-parent", "--", sys.executable, "-c", _ON_A_FULL_DISK, f"@{name}"]
    with (
        manager_at(f"\0{name}") as bound,
        subprocess.Popen([*argv, *script], stdout=subprocess.PIPE, text=True) as process,
    ):
        bound.settimeout(WITHIN_S)
        try:
            told = bound.recv(4096).decode(), bound.recv(4096).decode()
        finally:
            process.kill()
        assert process.stdout is not None
        failure = process.stdout.read()

    assert failure == f"{sqlite3.SQLITE_FULL}\n"
    assert [each.split("\n")[0] for each in told] == ["READY=1", "WATCHDOG=1"]


async def test_a_decoder_that_stands_still_starves_the_watchdog(
    manager: tuple[str, socket.socket], tmp_path: Path, database: Database
) -> None:
    name, bound = manager

    async with vigil(name, tmp_path, progress=lambda: 7):
        fields = await fields_until(bound, "STATUS=Stands still: the decoder makes no progress")

    assert fields.count("WATCHDOG=1") <= 1  # the first look has nothing to compare with


def test_the_proof_reaches_the_disk_and_leaves_the_file_as_it_was(
    tmp_path: Path, database: Database
) -> None:
    log = tmp_path / f"{FILE_NAME}-wal"
    before = log.read_bytes()
    generation = database.connection.execute("PRAGMA user_version").fetchone()

    prove_write(tmp_path)

    # One frame of a write-ahead log: a header of 24 bytes and a page (sqlite.org/fileformat2).
    frame = 24 + database.connection.execute("PRAGMA page_size").fetchone()[0]
    pairs = zip(before, log.read_bytes(), strict=True)  # it was laid out to its full length
    changed = [place for place, (old, new) in enumerate(pairs) if old != new]
    assert 0 < changed[-1] - changed[0] < frame
    assert database.connection.execute("PRAGMA user_version").fetchone() == generation


def test_a_file_that_was_taken_away_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        prove_write(tmp_path)

    assert not list(tmp_path.iterdir())


def test_without_a_manager_nothing_is_said_and_nothing_fails() -> None:
    supervisor = from_environment({}, os.getpid())

    supervisor.tell("READY=1")

    assert supervisor.watchdog_s is None


def test_a_manager_that_went_away_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = Supervisor(str(tmp_path / "nobody"), None)

    supervisor.tell("WATCHDOG=1")
    supervisor.tell("WATCHDOG=1")

    assert [record.message for record in caplog.records] == ["the service manager was not reached"]


# Source of the cases: sd_watchdog_enabled(3) and sd_notify(3).
@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "300000000", "WATCHDOG_PID": "42"}, 300.0),
        ({"WATCHDOG_USEC": "300000000"}, 300.0),
        ({"WATCHDOG_USEC": "300000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_read_as_systemd_writes_it(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    assert from_environment(environment, 42).watchdog_s == watchdog_s
