"""``hemvital-ingest plans`` as an operator meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingest_service.plans.plan import Status
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
