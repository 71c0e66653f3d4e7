"""``hemvital-ingest plans`` as an operator meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingest_service.plans.limits import Measure
from ingest_service.plans.plan import Status, TemplateUse
from ingest_service.plans.templates import library
from tests.support import plans
from tests.support.ingest import Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

BY = ("--by", plans.CLINICIAN, "--role", "physician")


def command(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
    for role in ("ingest", "operator", "owner"):
        name = "DATABASE" if role == "ingest" else f"{role.upper()}_DATABASE"
        environment[f"HEMVITAL_INGEST_{name}"] = database.dsn(f"hemvital_{role}")
    return subprocess.run(
        [sys.executable, "-m", "ingest_service.command", "plans", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def told(database: Database, *arguments: str) -> Any:
    done = command(database, *arguments)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return [json.loads(line) for line in lines] if "--json" in arguments else done.stdout


def draft(path: Path, **changes: Any) -> Path:
    plan = plans.copd(status=Status.DRAFT, approval=None, **changes)
    path.write_bytes(msgspec.json.encode(plan))
    return path


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database, limits=[])


async def test_a_draft_is_replayed_approved_stopped_and_resumed(
    home: Home, database: Database, tmp_path: Path
) -> None:
    await home.give(home.oximeter("82", ago=timedelta(days=2)))
    file = draft(tmp_path / "P.json", since=home.now - timedelta(days=30))

    shown = told(database, "replay", str(file), "--json")
    assert "limit.spo2" in json.dumps(shown)

    told(database, "write", str(file), "--by", plans.CLINICIAN)
    plan_id = str(plans.copd().id)
    patient = str(id_of("patient-1"))
    [written] = told(database, "list", "--patient", patient, "--json")
    assert (written["version"], written["status"]) == (1, "draft")

    told(database, "approve", plan_id, "--version", "1", *BY)
    told(database, "stop", plan_id, "--as", "on-hold", "--why", "in hospital", *BY)
    told(database, "resume", plan_id, "--why", "home again", *BY)

    versions = told(database, "list", "--patient", patient, "--json")
    assert "active" in {one["status"] for one in versions}
    assert json.loads(told(database, "show", plan_id))["programme"] == "copd"


async def test_what_cannot_be_done_is_said_in_a_sentence(
    home: Home, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "P.json"
    file.write_text('{"id": "x"}', encoding="utf-8")

    for arguments in (
        ("write", str(file), "--by", plans.CLINICIAN),
        ("approve", str(id_of("no-plan")), "--version", "1", *BY),
        ("show", str(id_of("no-plan"))),
    ):
        done = command(database, *arguments)
        assert done.returncode == 1, arguments
        assert len(done.stderr.strip().splitlines()) == 1
        assert "Traceback" not in done.stderr


async def test_templates_are_told_and_who_is_on_an_older_one(
    home: Home, database: Database
) -> None:
    assert "copd" in json.dumps(told(database, "templates", "--json"))
    assert told(database, "affected", "copd", "--version", "2", "--json") == []


def own(path: Path, **changes: Any) -> Path:
    shipped = library.shipped()["copd", 1]
    given = msgspec.structs.replace(
        shipped, id="copd-ours", narrows=TemplateUse(id="copd", version=1), **changes
    )
    path.write_bytes(msgspec.json.encode(given))
    return path


async def test_a_units_template_is_checked_stored_once_and_tells_whom_it_concerns(
    home: Home, database: Database, tmp_path: Path
) -> None:
    unit = home.rows("care_unit")[0]["id"]
    older = plans.copd(template=TemplateUse(id="copd-ours", version=1))
    plans.put(database, older)
    file = own(tmp_path / "ours.json", version=2)
    whose = ("adopt", str(file), "--unit", unit, *BY)

    checked = told(database, *whose, "--check", "--json")
    assert [line["plan_id"] for line in checked] == [str(older.id)]
    assert home.rows("plan_template") == []

    assert "version 2 is stored. Plans of an older version: 1." in told(database, *whose)
    [row] = home.rows("plan_template")
    assert (row["id"], row["care_unit_id"], row["approved_by"]) == (
        *("copd-ours", unit, plans.CLINICIAN),
    )
    again = command(database, *whose)
    assert (again.returncode, "is there already" in again.stderr) == (1, True)


async def test_a_units_template_may_not_be_looser_than_the_one_it_narrows(
    home: Home, database: Database, tmp_path: Path
) -> None:
    shipped = library.shipped()["copd", 1]
    low = msgspec.structs.replace(shipped.limits[Measure.SPO2], red_low=Decimal(85))
    file = own(tmp_path / "ours.json", limits={**shipped.limits, Measure.SPO2: low})

    refused = command(
        database, *("adopt", str(file), "--unit", home.rows("care_unit")[0]["id"], *BY)
    )
    stranger = command(
        database, *("adopt", str(own(tmp_path / "b.json")), "--unit", str(id_of("x")), *BY)
    )

    assert refused.returncode == 1
    assert "template.limits.spo2: is looser than in copd" in refused.stderr
    assert stranger.stderr == "There is no such care provider or care unit.\n"
    assert home.rows("plan_template") == []
