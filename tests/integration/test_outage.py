"""Incidents in the database, and the downtime list out of it (rule A20)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg import AsyncConnection

from ingest_service.canary import nobody
from ingest_service.downtime import files
from ingest_service.jobs import outage
from ingest_service.jobs.outage import IncidentMetrics
from ingest_service.outage.cover import covers
from ingest_service.outage.incident import Cause, Change, Event, Kind
from ingest_service.outage.rules import DEFAULT
from ingest_service.store import connections, incidents
from tests.support.canary import gave, job, known
from tests.support.ingest import IDENTITIES, UNIT, Home, id_of, registered
from tests.support.services import Database
from tests.support.worker import wait_until

pytestmark = [pytest.mark.timescale, pytest.mark.timeout(90)]

MINUTE = timedelta(minutes=1)
JOKKMOKK = id_of("jokkmokk")


async def region(database: Database, now: datetime, *, size: int = 412, there: int = 60) -> Home:
    """Return a region's gateways, all online, some of them in one unit; and open ears."""
    home = await registered(database)
    home.execute(
        "INSERT INTO care_unit SELECT %s, care_provider_id, 'SE2321000016-2002', 'Jokkmokk'"
        "  FROM care_unit WHERE id = %s",
        JOKKMOKK,
        UNIT,
    )
    home.execute(
        "INSERT INTO gateway SELECT 'home-' || n, CASE WHEN n <= %s THEN %s ELSE %s END::uuid"
        "  FROM generate_series(1, %s) AS n",
        there,
        JOKKMOKK,
        UNIT,
        size,
    )
    home.execute(
        "INSERT INTO gateway_status (gateway_id, is_online, heard_at, changed_at, said, digest)"
        " SELECT id, true, %s, %s, '{\"is_online\": true}', '' FROM gateway WHERE id ~ '^home-'",
        now,
        now - timedelta(days=3),
    )
    listening(home, now)
    return home


def listening(home: Home, now: datetime, *, since: timedelta = timedelta(days=3)) -> None:
    home.execute(
        "INSERT INTO gateway_listener AS g (since, last_at) VALUES (%s, %s)"
        " ON CONFLICT (is_current) DO UPDATE"
        " SET since = excluded.since, last_at = excluded.last_at",
        now - since,
        now,
    )


def heard(home: Home, now: datetime) -> None:
    home.execute("UPDATE gateway_status SET heard_at = %s WHERE is_online", now)
    listening(home, now)


def go(home: Home, units: Sequence[UUID], at: datetime) -> None:
    """Let the broker tell the last wills of these units' gateways."""
    home.execute(
        "UPDATE gateway_status s SET is_online = false, heard_at = %s, changed_at = %s"
        "  FROM gateway g WHERE g.id = s.gateway_id AND g.care_unit_id = ANY(%s)",
        at,
        at,
        list(units),
    )


async def look(database: Database, now: datetime) -> Sequence[Change]:
    async with connections.pool(database.dsn("hemvital_jobs"), name="test", size=1) as pool:
        return await outage.watch(pool, now=now, rules=DEFAULT)


async def test_a_network_that_dies_is_one_incident_with_its_history(database: Database) -> None:
    ten = datetime(2026, 11, 25, 10, tzinfo=UTC)
    home = await region(database, ten)
    assert await look(database, ten) == []
    go(home, [JOKKMOKK], ten)
    heard(home, ten + MINUTE)

    first = await look(database, ten + MINUTE)
    again = await look(database, ten + 2 * MINUTE)

    assert [change.event for change in first] == [Event.OPENED]
    assert again == []
    async with await AsyncConnection.connect(database.dsn("hemvital_api")) as connection:
        (incident,) = await incidents.standing(connection, since=ten)
        assert (incident.kind, incident.unit_id) == (Kind.GATEWAYS, JOKKMOKK)
        assert (incident.began_at, incident.away, incident.most) == (ten, 60, 60)
        assert incident == first[0].after  # what is stored is what was decided
        assert covers([incident], gateway_id="home-60", at=ten + 2 * MINUTE)
        assert not covers([incident], gateway_id="home-61", at=ten + 2 * MINUTE)

        home.execute(
            "UPDATE gateway_status SET is_online = true, changed_at = %s WHERE NOT is_online",
            ten + 60 * MINUTE,
        )
        for minute in range(60, 66):
            heard(home, ten + minute * MINUTE)
            await look(database, ten + minute * MINUTE)
        past = await incidents.events(connection, incident.id)
    assert [(each.event, each.away, each.affected) for each in past] == [
        ("opened", 60, 60),
        ("shrunk", 0, 60),
        ("ended", 0, 60),
    ]
    assert home.count("incident WHERE ended_at IS NULL") == 0


async def test_what_stands_is_scraped(database: Database) -> None:
    ten = datetime(2026, 11, 25, 10, tzinfo=UTC)
    home = await region(database, ten)
    go(home, [JOKKMOKK], ten)
    heard(home, ten)
    await look(database, ten)
    metrics = IncidentMetrics(lambda: ten)
    async with connections.pool(database.dsn("hemvital_jobs"), name="test", size=1) as pool:
        await metrics.refresh(pool)

    found = {
        (sample.name, sample.labels.get("kind")): sample.value
        for family in metrics.collect()
        for sample in family.samples
    }

    assert found == {
        ("hemvital_incidents", "chain"): 0,
        ("hemvital_incidents", "gateways"): 1,
        ("hemvital_incidents", "canary"): 0,
        ("hemvital_incident_gateways_away", None): 60,
    }


async def test_all_of_them_are_one_and_merge_what_stood(database: Database) -> None:
    ten = datetime(2026, 11, 25, 10, tzinfo=UTC)
    home = await region(database, ten)
    go(home, [JOKKMOKK], ten)
    heard(home, ten)
    await look(database, ten)
    go(home, [UNIT], ten + MINUTE)
    heard(home, ten + MINUTE)

    await look(database, ten + MINUTE)

    assert home.count("incident WHERE ended_at IS NULL") == 1
    assert home.count("incident WHERE merged_into IS NOT NULL") == 1
    assert home.count("incident_gateway WHERE back_at IS NULL AND incident_id IN"
                      " (SELECT id FROM incident WHERE ended_at IS NULL)") == 412  # fmt: skip


async def test_ears_that_have_just_opened_take_nobody_for_away(database: Database) -> None:
    ten = datetime(2026, 11, 25, 10, tzinfo=UTC)
    home = await region(database, ten)
    now = ten + 10 * MINUTE
    listening(home, now, since=MINUTE)  # and nobody was heard since

    assert await look(database, now) == []

    listening(home, now + 3 * MINUTE, since=4 * MINUTE)
    (change,) = await look(database, now + 3 * MINUTE)
    assert (change.event, change.after.most) == (Event.OPENED, 412)


async def test_deaf_ears_and_a_canary_that_is_not_stored_are_one_of_everybody(
    database: Database,
) -> None:
    now = datetime.now(UTC)
    home = await region(database, now - 10 * MINUTE, size=5)
    bird = await known(database, now)
    await gave(bird, now - 10 * MINUTE)
    await job(database, now - 9 * MINUTE)
    home.execute(
        "INSERT INTO gateway_status VALUES (%s, true, %s, %s, NULL, NULL, '')",
        nobody.GATEWAY,
        now,
        now,
    )

    (deaf,) = await look(database, now)
    heard(home, now)
    changes = await look(database, now)

    assert (deaf.event, deaf.after.cause) == (Event.OPENED, Cause.SERVER_DEAF)
    assert [(each.event, each.after.cause) for each in changes] == [
        (Event.CHANGED, Cause.NOT_STORED)
    ]
    assert covers([changes[0].after], gateway_id=None, at=now)


async def test_jobs_that_paused_take_nothing_for_broken_that_is_not(database: Database) -> None:
    now = datetime.now(UTC)
    home = await region(database, now, size=5)
    bird = await known(database, now)
    await gave(bird, now - 10 * MINUTE)
    await job(database, now - 10 * MINUTE)
    await gave(bird, now)
    heard(home, now)

    assert await look(database, now) == []


async def test_several_that_look_at_once_open_one(database: Database) -> None:
    ten = datetime(2026, 11, 25, 10, tzinfo=UTC)
    home = await region(database, ten)
    go(home, [JOKKMOKK], ten)
    heard(home, ten)

    async with asyncio.TaskGroup() as tasks:
        for second in range(4):
            tasks.create_task(look(database, ten + timedelta(seconds=second)))

    assert home.count("incident") == 1
    assert home.count("incident_event") == 1


# The downtime list.


def downtime(
    database: Database, directory: Path, *arguments: str, dsn: str | None = None
) -> subprocess.CompletedProcess[str]:
    given = {"HEMVITAL_INGEST_DOWNTIME_DATABASE": dsn} if dsn else {}
    return subprocess.run(
        [sys.executable, "-m", "ingest_service.command", "downtime", *arguments],
        env=environment(database, directory) | given,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def started(database: Database, directory: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "ingest_service.command", "downtime", "run"],
            env=environment(database, directory),
            stderr=stderr,
        )


def environment(database: Database, directory: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
    return kept | {
        "HEMVITAL_INGEST_DOWNTIME_DATABASE": database.dsn("hemvital_downtime"),
        "HEMVITAL_INGEST_DOWNTIME_DIRECTORY": str(directory),
        "HEMVITAL_INGEST_DOWNTIME_HTTP_PORT": "0",
    }


async def test_the_list_has_everybody_of_the_unit_and_nobody_else(
    database: Database, tmp_path: Path
) -> None:
    home = await registered(database, patients=3)
    await known(database, home.now)
    home.execute("UPDATE patient SET is_protected = true WHERE id = %s", id_of("patient-3"))
    await home.give(
        home.cuff("128", "82", ago=timedelta(days=2)),
        home.cuff("192", "118", device="cuff-2"),
        home.cuff("127", "81", device="cuff-3", ago=timedelta(hours=1)),
    )
    await gave(Home(database=database, gateway_id=nobody.GATEWAY), home.now)

    done = downtime(database, tmp_path / "list", "write")

    assert done.stdout.startswith("3 patients of 1 units"), done.stderr
    current = tmp_path / "list" / "current"
    listed = msgspec.json.decode((current / "SE2321000016-1003.json").read_bytes())
    assert [each["name"] for each in listed["patients"]] == [
        "Test 2, Person",
        "Test 1, Person",
        "Skyddad identitet",
    ]
    red = listed["patients"][0]
    assert red["alert"] == "red"
    assert (red["values"][0]["systolic"], red["values"][0]["diastolic"]) == ("192", "118")
    assert {each["measure"] for each in red["limits"]} == {
        *("systolic", "diastolic", "spo2", "pulse")
    }
    everything = "".join(each.read_text() for each in current.iterdir())
    assert IDENTITIES[2][8:] not in (current / "SE2321000016-1003.html").read_text()
    assert IDENTITIES[2][8:] in (current / "SE2321000016-1003-protected.html").read_text()
    assert "canary" not in everything.lower()
    assert str(nobody.PATIENT) not in everything


async def test_the_list_that_lies_there_stays_when_the_database_is_away(
    database: Database, tmp_path: Path
) -> None:
    await registered(database)
    place = tmp_path / "list"
    downtime(database, place, "write")
    before = files.last(place)

    done = downtime(database, place, "write", dsn="host=127.0.0.1 port=1")

    assert done.returncode == 1
    assert done.stderr.startswith("OperationalError")
    assert before is not None
    assert files.last(place) == before


async def test_an_incident_that_opens_has_the_list_written_at_once(
    database: Database, tmp_path: Path
) -> None:
    ten = datetime(2026, 11, 25, 10, tzinfo=UTC)
    home = await region(database, ten)
    place = tmp_path / "list"
    process = started(database, place, tmp_path / "log")
    try:
        await asyncio.to_thread(wait_until, lambda: files.last(place) is not None)
        await asyncio.to_thread(wait_until, lambda: is_listening(database))
        before = files.last(place)
        go(home, [JOKKMOKK], ten)
        heard(home, ten)
        await look(database, ten)

        await asyncio.to_thread(wait_until, lambda: files.last(place) != before)
    finally:
        process.terminate()
        process.wait(timeout=10)

    assert process.returncode == 0


def is_listening(database: Database) -> bool:
    with psycopg.connect(database.dsn()) as opened:
        row = opened.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = %s AND application_name = 'hemvital-downtime-listen'",
            [database.name],
        ).fetchone()
    return row is not None and row[0] == 1


def test_an_open_directory_is_refused_in_one_sentence(database: Database, tmp_path: Path) -> None:
    place = tmp_path / "list"
    place.mkdir()
    place.chmod(0o755)

    done = downtime(database, place, "write")

    assert done.returncode == 1
    assert done.stderr == (
        f"{place} is open to others, and the downtime list holds personal data:"
        f" chmod 700 {place}\n"
    )
