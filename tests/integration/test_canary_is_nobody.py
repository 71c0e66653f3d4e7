"""The canary's patient is nobody: seen nowhere, counted nowhere, and gone in a day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection, sql

from ingest_service import registration
from ingest_service.canary import nobody
from ingest_service.jobs.gateways import GatewayMetrics
from ingest_service.registration import Registration
from ingest_service.store import connections, holds
from tests.support.api import running_api
from tests.support.canary import gave, job, known, pruned
from tests.support.ingest import CUFF, UNIT, Home, document, id_of, registered
from tests.support.services import Database

pytestmark = [pytest.mark.timescale, pytest.mark.timeout(90)]

#: Columns whose names say that a row is somebody's.
NAMING = ("patient_id", "patient_ids", "record_id", "observation_id", "logged_patients")
#: What the canary is, which stays; and the numbers of its passes, which are nobody's.
ITSELF = {
    "patient",
    "patient_clock",
    "plan",
    "assignment",
    "device",
    "gateway",
    "care_unit",
    "care_provider",
}


def command(database: Database, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ingest_service.command", *arguments],
        env={k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
        | {
            "HEMVITAL_INGEST_DATABASE": database.dsn("hemvital_ingest"),
            "HEMVITAL_INGEST_OWNER_DATABASE": database.dsn(),
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout + done.stderr


def naming(database: Database) -> dict[str, int]:
    """Return how many rows of each table name the canary's patient, records or observations."""
    found: dict[str, int] = {}
    with psycopg.connect(database.dsn()) as opened:
        columns = opened.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name = ANY(%s)",
            [list(NAMING)],
        ).fetchall()
        for table, column, _ in columns:
            query = sql.SQL(
                "SELECT count(*) FROM {table} AS t WHERE to_jsonb(t)->>{column} LIKE ANY (%s)"
            ).format(table=sql.Identifier(table), column=sql.Literal(column))
            patterns = [f"%{one}%" for one in mine(opened)]
            row = opened.execute(query, [patterns]).fetchone()
            found[table] = found.get(table, 0) + (row[0] if row else 0)
    return {table: rows for table, rows in found.items() if rows and table not in ITSELF}


def mine(opened: psycopg.Connection) -> list[UUID]:
    records = opened.execute(
        "SELECT record_id FROM delivery WHERE gateway_id = %s AND record_id IS NOT NULL",
        [nobody.GATEWAY],
    ).fetchall()
    return [nobody.PATIENT, *(row[0] for row in records)]


def of_everybody_else(database: Database) -> dict[str, list[str]]:
    """Return every row of our tables that is the real home's."""
    found: dict[str, list[str]] = {}
    with psycopg.connect(database.dsn()) as opened:
        tables = opened.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            " AND table_type = 'BASE TABLE'"
        ).fetchall()
        for (name,) in tables:
            query = sql.SQL("SELECT to_jsonb(t)::text FROM {} AS t").format(sql.Identifier(name))
            rows = [text for (text,) in opened.execute(query)]
            real = (str(UNIT), str(id_of("patient-1")), "gateway-1", CUFF)
            found[name] = sorted(row for row in rows if any(one in row for one in real))
    return found


def counts(home: Home) -> dict[str, int]:
    """Return how many rows each table has in which a reading may leave any."""
    with psycopg.connect(home.database.dsn()) as opened:
        tables = opened.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            " AND table_type = 'BASE TABLE' AND table_name !~ '^(_?yoyo|procrastinate)'"
        ).fetchall()
    return {name: home.count(name) for (name,) in tables if name not in {*ITSELF, "canary_pass"}}


async def measured(database: Database) -> Home:
    """Return a real home with a red alert."""
    home = await registered(database)
    await home.give(home.cuff("192", "118"), home.cuff("128", "82"), home.oximeter("84"))
    return home


async def lived(database: Database) -> tuple[Home, Home]:
    """Return a real home and the canary's, each with readings."""
    home = await measured(database)
    bird = await known(database, home.now)
    for minute in range(3):
        await gave(bird, home.now - timedelta(minutes=minute))
    return home, bird


async def test_nobody_is_seen_by_nobody(database: Database, tmp_path: Path) -> None:
    home, _ = await lived(database)
    home.execute(
        "INSERT INTO api_client VALUES ('ehr', 'EHR', %s, 'system/*.rs')",
        [UNIT, id_of("another unit")],
    )
    scopes = "system/Observation.rs system/Patient.r system/Device.r"

    with running_api(tmp_path, dsn=database.dsn("hemvital_api")) as api:
        client = api.client(api.token("ehr", scopes=scopes))
        found = client.get("/Observation", params={"patient": str(nobody.PATIENT)})
        person = client.get(f"/Patient/{nobody.PATIENT}")
        seen = [
            client.get(f"/Observation/{row['id']}").status_code
            for row in home.rows("observation")
            if row["patient_id"] == str(nobody.PATIENT)
        ]

    assert found.json().get("entry", []) == []
    assert person.status_code == 404
    assert set(seen) == {404}
    exported = [json.loads(line) for line in command(database, "export", "readings").splitlines()]
    assert len(exported) == 3
    assert {row["patient_id"] for row in exported} == {str(id_of("patient-1"))}
    assert len(command(database, "export", "readings", "--ids").splitlines()) == 3
    assert str(nobody.PLAN) not in command(database, "export", "plans")
    assert nobody.GATEWAY not in command(database, "gateways", "list")
    metrics = GatewayMetrics(lambda: home.now)
    async with connections.pool(database.dsn("hemvital_jobs"), name="test", size=1) as pool:
        await metrics.refresh(pool)
    counted = {each.name: each.samples[0].value for each in metrics.collect()}
    assert counted["hemvital_gateways_registered"] == 1
    async with await AsyncConnection.connect(database.dsn()) as connection:
        assert await holds.page(connection, is_all=True) == []


REFUSED = [
    ("INSERT INTO api_client VALUES ('x', 'x', %s, '')", [[UNIT, nobody.UNIT]]),
    (
        "INSERT INTO web_session VALUES ('\\x01', 's', 'n', 'h', %s, 'p', now(), now())",
        [nobody.UNIT],
    ),
    # Neither the patient leaves the unit, nor does anybody come in.
    ("UPDATE patient SET care_unit_id = %s WHERE is_synthetic", [UNIT]),
    ("UPDATE patient SET is_synthetic = true WHERE id = %s", [id_of("patient-1")]),
    (
        "UPDATE patient SET care_unit_id = %s, is_synthetic = true WHERE id = %s",
        [nobody.UNIT, id_of("patient-1")],
    ),
    ("UPDATE care_unit SET is_synthetic = true WHERE id = %s", [UNIT]),
    # Nobody's readings become the canary's, nor the canary's anybody's.
    (
        "INSERT INTO assignment SELECT gen_random_uuid(), 'another', 1, %s, '[,)', false, ''",
        [nobody.PATIENT],
    ),
    (
        "UPDATE assignment SET patient_id = %s WHERE device_id = %s",
        [id_of("patient-1"), nobody.DEVICE],
    ),
]


async def test_the_database_keeps_nobody_apart(database: Database) -> None:
    await lived(database)
    passed: list[str] = []
    with psycopg.connect(database.dsn()) as opened:
        opened.execute(
            "INSERT INTO device (id, resource_id, care_unit_id, kind)"
            " VALUES ('another', gen_random_uuid(), %s, 'blood_pressure')",
            [UNIT],
        )
        for statement, values in REFUSED:
            with (
                suppress(psycopg.errors.CheckViolation, psycopg.errors.ForeignKeyViolation),
                opened.transaction(),
            ):
                opened.execute(statement.encode(), values)
                passed.append(statement)

    assert len(REFUSED) == 8
    assert passed == []


async def test_a_document_cannot_move_somebody_in(database: Database) -> None:
    await lived(database)
    given = document().model_dump(mode="json")
    given["patients"][0]["care_unit_id"] = str(nobody.UNIT)
    for one in given["patients"]:
        one["identifier_system"] = None

    async with await AsyncConnection.connect(database.dsn()) as connection:
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            await registration.register(
                connection, Registration.model_validate(given), now=datetime.now(UTC)
            )


async def test_a_day_later_nothing_of_it_is_left_and_nobody_else_is_touched(
    database: Database,
) -> None:
    home = await measured(database)
    alone = counts(home)
    bird = await known(database, home.now)
    for minute in range(3):
        await gave(bird, home.now - timedelta(minutes=minute))
    await job(database, home.now)
    home.execute(
        "INSERT INTO quarantine (gateway_id, care_unit_id, reason, detail, payload, payload_size,"
        " received_at) VALUES (%s, %s, 'undecodable', '', '', 0, now())",
        nobody.GATEWAY,
        nobody.UNIT,
    )
    before = of_everybody_else(database)
    assert {"device_record", "observation", "alert", "delivery"} <= set(naming(database))

    gone = await pruned(database, datetime.now(UTC) + timedelta(days=1, minutes=1))

    assert gone == 3
    assert naming(database) == {}
    assert counts(home) == alone
    assert home.count(f"delivery WHERE gateway_id = '{nobody.GATEWAY}'") == 0
    assert home.count(f"gateway_epoch WHERE gateway_id = '{nobody.GATEWAY}'") == 0
    assert home.count(f"quarantine WHERE gateway_id = '{nobody.GATEWAY}'") == 0
    assert of_everybody_else(database) == before
    # And it goes on: the alert that stood is raised anew.
    await gave(bird, home.now)
    assert (await job(database, home.now)).judged_to == home.now


async def test_what_could_not_be_judged_does_not_count_as_judged(database: Database) -> None:
    now = datetime.now(UTC)
    bird = await known(database, now)
    await gave(bird, now)
    bird.execute("UPDATE alert SET rule = 'could_not_judge'")

    seen = await job(database, now)

    assert (seen.stored_to, seen.judged_to) == (now, None)


async def test_what_is_younger_than_a_day_stays_and_its_alert_stands_ten_minutes(
    database: Database,
) -> None:
    home, bird = await lived(database)

    gone = await pruned(database, home.now + timedelta(minutes=5))
    alerts = home.count(f"alert WHERE patient_id = '{nobody.PATIENT}'")
    later = await pruned(database, home.now + timedelta(minutes=15))

    assert (gone, later, alerts) == (0, 0, 1)
    assert home.count(f"device_record WHERE patient_id = '{nobody.PATIENT}'") == 3
    assert home.count(f"alert WHERE patient_id = '{nobody.PATIENT}'") == 0
    assert home.count("alert") == 2
    await gave(bird, home.now + timedelta(seconds=1))
    assert home.count(f"alert WHERE patient_id = '{nobody.PATIENT}'") == 1


async def test_what_the_canarys_gateway_brought_of_somebody_else_stays(
    database: Database,
) -> None:
    home, _ = await lived(database)
    home.gateway_id = nobody.GATEWAY
    await home.give(home.cuff("129", "83"), home.cuff("350", "83"))

    await pruned(database, datetime.now(UTC) + timedelta(days=1, minutes=1))

    assert home.count(f"delivery WHERE gateway_id = '{nobody.GATEWAY}'") == 1
    assert home.count(f"quarantine WHERE gateway_id = '{nobody.GATEWAY}'") == 1
    assert home.count("device_record") == 4


async def test_pruning_is_bounded_and_a_row_that_another_table_adds_to_an_alert_goes_too(
    database: Database,
) -> None:
    home, _ = await lived(database)
    home.execute("CREATE TABLE alert_note (about uuid REFERENCES alert, words text)")
    home.execute("INSERT INTO alert_note SELECT id, 'x' FROM alert")
    async with await AsyncConnection.connect(database.dsn("hemvital_jobs")) as connection:
        cursor = await connection.execute(
            "SELECT canary_prune(%s, %s, 2)", [home.now + timedelta(days=9)] * 2
        )
        row = await cursor.fetchone()

    assert row == (2,)
    assert home.count(f"device_record WHERE patient_id = '{nobody.PATIENT}'") == 1
    assert home.count("alert_note") == 2
