"""Migrations: several at once, killed in the middle, and while a worker stores readings."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest

from ingest_service.admission.persistence import admit_surely
from ingest_service.store import connections, migration
from tests.support.ingest import Home, registered
from tests.support.services import Database
from tests.support.worker import wait_until

pytestmark = pytest.mark.timescale

_WITHIN_S: Final = 30
# The tables that every reading writes, widened as an "expand" step does.
_EXPAND: Final = """
-- depends: {latest}
ALTER TABLE device_record ADD COLUMN remark text, ADD COLUMN is_checked boolean DEFAULT false;
ALTER TABLE observation ADD COLUMN remark text, ADD COLUMN is_checked boolean DEFAULT false;
"""


def migrating(database: Database) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
    return subprocess.Popen(
        [sys.executable, "-m", "ingest_service.command", "migrate"],
        env=environment | {"HEMVITAL_INGEST_OWNER_DATABASE": database.dsn()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def in_the_way(database: Database) -> Generator[psycopg.Connection]:
    """Hold a table's name, not committed: a migration stands in its middle and waits."""
    with (
        psycopg.connect(database.dsn(), autocommit=True) as other,
        other.transaction(force_rollback=True),
    ):
        other.execute("CREATE TABLE care_provider (id int)")
        yield other


def wait_for_waiting(connection: psycopg.Connection, count: int) -> None:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    deadline = time.monotonic() + _WITHIN_S
    while connection.execute(query).fetchone() != (count,):
        assert time.monotonic() < deadline, "the migrations never began"
        time.sleep(0.02)


@pytest.fixture
def expanding(tmp_path: Path) -> Path:
    """Our migrations, and one more."""
    scripts = tmp_path / "migrations"
    shutil.copytree(Path(migration.__file__).with_name("migrations"), scripts)
    latest = max(file.stem for file in scripts.glob("*.sql"))
    (scripts / "9999-expand.sql").write_text(_EXPAND.format(latest=latest), encoding="utf-8")
    return scripts


def test_four_at_once_apply_the_schema_once(empty_database: Database) -> None:
    processes = [migrating(empty_database) for _ in range(4)]

    done = [(*process.communicate(timeout=_WITHIN_S), process.returncode) for process in processes]

    assert [code for _, _, code in done] == [0] * 4, done
    assert sorted(out for out, _, _ in done)[1:] == ["the schema is current\n"] * 3
    with psycopg.connect(empty_database.dsn()) as opened:
        applied = opened.execute("SELECT migration_id FROM _yoyo_migration").fetchall()
    assert len(applied) == len(set(applied)) > 0


def test_one_that_is_killed_in_its_middle_leaves_the_others_to_do_it(
    empty_database: Database,
) -> None:
    with in_the_way(empty_database) as other:
        first = migrating(empty_database)
        wait_for_waiting(other, 1)
        waiting = [migrating(empty_database) for _ in range(2)]
        wait_for_waiting(other, 3)

        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=_WITHIN_S)

    done = [(*process.communicate(timeout=_WITHIN_S), process.returncode) for process in waiting]
    assert [code for _, _, code in done] == [0, 0], done
    assert migration.apply(empty_database.dsn()) == 0


def test_a_lock_row_that_the_library_left_behind_is_no_obstacle(database: Database) -> None:
    with psycopg.connect(database.dsn(), autocommit=True) as other:
        other.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)")

    assert migration.apply(database.dsn()) == 0


async def test_readings_are_stored_while_their_tables_grow(
    database: Database, expanding: Path
) -> None:
    home = await registered(database)
    given = 0
    longest_s = 0.0
    is_over = asyncio.Event()

    async def store() -> None:
        nonlocal given, longest_s
        async with connections.pool(database.dsn("hemvital_ingest"), name="test", size=1) as pool:
            while not is_over.is_set():
                messages = [home.message(home.cuff("128", "82")) for _ in range(5)]
                began = time.monotonic()
                await admit_surely(pool, messages, clock=lambda: home.now)
                longest_s = max(longest_s, time.monotonic() - began)
                given += len(messages)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(store())
        await asyncio.to_thread(wait_until, lambda: given > 100)
        applied = await asyncio.to_thread(migration.apply, database.dsn(), expanding)
        enough = given + 100
        await asyncio.to_thread(wait_until, lambda: given > enough)
        is_over.set()

    assert applied == 1
    assert longest_s < 10  # the lock time-out of a worker: nobody had to try again
    assert (home.count("device_record"), home.count("observation")) == (given, given)
    assert home.count("device_record WHERE NOT is_checked") == given


async def test_one_that_deadlocks_with_a_worker_comes_back(
    database: Database, expanding: Path
) -> None:
    home = await registered(database)
    with psycopg.connect(database.dsn("hemvital_ingest")) as worker:
        worker.execute("SELECT count(*) FROM observation")
        migrating = asyncio.create_task(
            asyncio.to_thread(migration.apply, database.dsn(), expanding)
        )
        with psycopg.connect(database.dsn(), autocommit=True) as other:
            await asyncio.to_thread(wait_for_waiting, other, 1)

        # The migration has locked this table and waits for the other: it waited first, so
        # PostgreSQL finds it first and sends it away.
        await asyncio.to_thread(worker.execute, "SELECT count(*) FROM device_record")
        worker.commit()

    assert await migrating == 1
    assert has_grown(home)


async def test_one_that_cannot_have_its_table_gives_way_and_can_be_repeated(
    database: Database, expanding: Path
) -> None:
    home = await registered(database)
    await home.give(home.cuff("128", "82"))
    with psycopg.connect(database.dsn("hemvital_api")) as reader:
        reader.execute("SELECT count(*) FROM observation")  # and then its transaction stays open
        began = time.monotonic()

        with pytest.raises(psycopg.errors.LockNotAvailable):
            migration.apply(database.dsn(), expanding)

        assert time.monotonic() - began < 8
        assert not has_grown(home)
        await home.give(home.cuff("129", "82"))

    assert migration.apply(database.dsn(), expanding) == 1
    assert has_grown(home)
    assert home.count("device_record") == 2


def has_grown(home: Home) -> bool:
    """Tell whether any part of the migration is there."""
    return bool(home.count("information_schema.columns WHERE column_name = 'is_checked'"))
