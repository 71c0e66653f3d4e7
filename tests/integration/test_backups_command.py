"""``hemvital-ingest backups`` as an operator meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from uuid import UUID

import pytest

from tests.support.ingest import Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

BY = ("--by", "SE2321000016-0001")
BACKUP = UUID(int=77)


def command(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
    environment["HEMVITAL_INGEST_OPERATOR_DATABASE"] = database.dsn("hemvital_operator")
    return subprocess.run(
        [sys.executable, "-m", "ingest_service.command", "backups", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.fixture
async def home(database: Database) -> Home:
    home = await registered(database, limits=[])
    home.execute(
        "INSERT INTO care_unit (id, care_provider_id, hsa_id, name)"
        " SELECT %s, care_provider_id, 'SE2321000016-E999', 'Jouren' FROM care_unit LIMIT 1",
        BACKUP,
    )
    return home


def unit_of(home: Home) -> str:
    [row] = [row for row in home.rows("care_unit") if row["id"] != str(BACKUP)]
    return row["id"]


def added(database: Database, unit: str, *more: str) -> subprocess.CompletedProcess[str]:
    given = ("--unit", unit, "--backup", str(BACKUP), "--when", "closed", *BY, *more)
    return command(database, "add", *given)


async def test_a11_an_agreement_is_added_listed_and_ended(home: Home, database: Database) -> None:
    unit = unit_of(home)
    done = added(database, unit, "--hours", "8")
    assert done.returncode == 0, done.stderr
    agreement = done.stdout.strip()

    listed = command(database, "list", "--unit", unit, "--json")
    [line] = [json.loads(each) for each in listed.stdout.splitlines()]
    assert (line["id"], line["backup_unit_id"]) == (agreement, str(BACKUP))
    assert (line["occasion"], line["right_h"], line["until"]) == ("closed", 8, None)

    assert command(database, "end", agreement, *BY).returncode == 0
    again = command(database, "end", agreement, *BY)
    assert (again.returncode, again.stderr) == (1, "No such agreement holds or will hold.\n")
    [row] = home.rows("backup_agreement")
    assert (row["registered_by"], row["ended_by"]) == ("SE2321000016-0001",) * 2


async def test_what_cannot_be_agreed_is_said_in_a_sentence(home: Home, database: Database) -> None:
    unit = unit_of(home)
    assert added(database, unit).returncode == 0

    second = added(database, unit)
    itself = command(
        database, *("add", "--unit", unit, "--backup", unit, "--when", "escalated", *BY)
    )
    nobody = command(
        database,
        *("add", "--unit", unit, "--backup", str(id_of("no-unit"))),
        *("--when", "escalated", *BY),
    )
    naive = added(database, unit, "--since", "2026-12-01T00:00:00")

    assert [each.returncode for each in (second, itself, nobody, naive)] == [1, 1, 1, 1]
    assert second.stderr.startswith("Another agreement of that unit holds")
    assert itself.stderr.startswith("A unit is no backup of itself")
    assert nobody.stderr == "There is no such care unit.\n"
    assert "need an offset" in naive.stderr
    assert len(home.rows("backup_agreement")) == 1
