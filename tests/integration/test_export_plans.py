"""``hemvital-ingest export plans``: every version of a patient's plans, as others read them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64decode
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from fhir.resources.R4B.careplan import CarePlan

from ingest_service.admission import planning
from ingest_service.plans.plan import Pause, Plan, Status
from tests.support import plans
from tests.support.ingest import Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

PATIENT, OTHER = id_of("patient-1"), id_of("patient-2")


def export(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
    environment["HEMVITAL_INGEST_DATABASE"] = database.dsn("hemvital_ingest")
    return subprocess.run(
        [sys.executable, "-m", "ingest_service.command", "export", "plans", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def exported(database: Database, *arguments: str) -> list[dict[str, Any]]:
    done = export(database, *arguments)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for line in lines:
        CarePlan.model_validate_json(line)
    return [json.loads(line) for line in lines]


def extension(found: dict[str, Any], name: str) -> dict[str, Any] | None:
    urls = {one["url"]: one for one in found.get("extension", ())}
    return urls.get(f"urn:hemvital:extension:{name}")


async def decided(home: Home, database: Database) -> Plan:
    """Write a plan, approve it, change it in a draft: what there is of most plans."""
    begins = home.now - timedelta(days=30)
    plan = plans.copd(status=Status.DRAFT, approval=None, since=begins)
    pause = Pause(since=home.now, reason="At the ward.", by=plans.CLINICIAN)
    async with await psycopg.AsyncConnection.connect(database.dsn("hemvital_operator")) as one:
        await planning.write(one, plan, by="the office", now=home.now - timedelta(hours=3))
        await planning.approve(
            one,
            plan.id,
            1,
            by=plans.CLINICIAN,
            role="physician",
            now=home.now - timedelta(hours=2),
        )
        await planning.write(
            one,
            plans.copd(status=Status.DRAFT, approval=None, since=begins, pauses=(pause,)),
            by="the office",
            now=home.now - timedelta(hours=1),
        )
    return plan


async def test_every_version_is_there_and_which_one_judges(database: Database) -> None:
    home = await registered(database, patients=2, limits=[])
    plan = await decided(home, database)
    plans.put(database, plans.copd(OTHER))

    approved, draft = exported(database, "--patient", str(PATIENT))

    assert {one["id"] for one in (approved, draft)} == {str(plan.id)}
    assert [one["meta"]["versionId"] for one in (approved, draft)] == ["1", "2"]
    assert (approved["status"], draft["status"]) == ("active", "draft")
    assert approved["author"]["identifier"]["value"] == plans.CLINICIAN
    assert "author" not in draft
    in_force = extension(approved, "in-force")
    assert in_force is not None
    assert in_force["valuePeriod"].keys() == {"start"}
    assert extension(draft, "in-force") is None
    assert extension(draft, "pause") is not None
    assert len(exported(database)) == 3


async def test_the_stored_document_goes_along_as_it_is(database: Database) -> None:
    home = await registered(database, limits=[])
    await decided(home, database)

    bodies = [
        b64decode(one["content"][0]["attachment"]["data"]).decode()
        for found in exported(database)
        for one in found["contained"]
        if one["resourceType"] == "DocumentReference"
    ]

    stored = sorted(home.rows("plan"), key=lambda row: row["version"])
    assert bodies == [row["body"] for row in stored]


async def test_the_lead_unit_is_the_patients_and_not_the_plans(database: Database) -> None:
    home = await registered(database, limits=[])
    other = id_of("lungs")
    home.execute(
        "INSERT INTO care_unit (id, care_provider_id, hsa_id, name)"
        " SELECT %s, care_provider_id, 'SE2321000016-E999', 'Lungmottagningen'"
        " FROM care_unit LIMIT 1",
        other,
    )
    plans.put(database, plans.copd(care_unit_id=other))

    [found] = exported(database)

    [team] = [one for one in found["contained"] if one["resourceType"] == "CareTeam"]
    [lead] = team["managingOrganization"]
    own = next(row for row in home.rows("care_unit") if row["id"] != str(other))
    assert (lead["identifier"]["value"], lead["display"]) == (own["hsa_id"], own["name"])
    assert [one["member"]["display"] for one in team["participant"]] == ["Lungmottagningen"]


async def test_a_plan_that_cannot_be_read_is_named_and_hides_no_other(database: Database) -> None:
    await registered(database, patients=2, limits=[])
    broken = plans.copd()
    plans.put(database, broken)
    plans.put(database, plans.copd(OTHER))
    with psycopg.connect(database.dsn()) as opened:
        opened.execute("ALTER TABLE plan DISABLE TRIGGER keep_approved")
        opened.execute('UPDATE plan SET body = \'{"id": "x"}\' WHERE id = %s', [broken.id])

    done = export(database)

    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    assert json.loads(line)["subject"]["reference"] == f"Patient/{OTHER}"
    [told] = done.stderr.splitlines()
    assert told.startswith(f"Not exported: plan {broken.id} version 1")


async def test_bounds_are_those_of_writing(database: Database) -> None:
    home = await registered(database, limits=[])
    await decided(home, database)
    between = (home.now - timedelta(minutes=90)).isoformat()

    since, until = exported(database, "--since", between), exported(database, "--until", between)

    assert [one["meta"]["versionId"] for one in (*until, *since)] == ["1", "2"]
