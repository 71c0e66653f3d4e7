"""``hemvital-ingest`` as an operator meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from device_adapters.contract.readings import UnsupportedFrame
from tests.support.ingest import document, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale


def _ingest(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
    return subprocess.run(
        [sys.executable, "-m", "ingest_service.command", *arguments],
        env=environment | {f"HEMVITAL_INGEST_{k}": v for k, v in settings.items()},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_migrate_brings_an_empty_database_to_the_current_schema(empty_database: Database) -> None:
    done = _ingest("migrate", OWNER_DATABASE=empty_database.dsn())
    again = _ingest("migrate", OWNER_DATABASE=empty_database.dsn())

    assert (done.returncode, again.returncode) == (0, 0)
    assert "applied" in done.stdout
    assert again.stdout == "the schema is current\n"


def test_register_writes_the_document_and_again_changes_nothing(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "home.json"
    file.write_text(document(patients=2).model_dump_json(), encoding="utf-8")

    first = _ingest("register", str(file), OWNER_DATABASE=database.dsn())
    second = _ingest("register", str(file), OWNER_DATABASE=database.dsn())

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    with psycopg.connect(database.dsn()) as opened:
        rows = opened.execute(
            "SELECT identifier_system, birth_date::text, gender, version FROM patient "
            "ORDER BY identifier_value"
        ).fetchall()
    # The published identities' dates, and the sex digit: 0 is even, 5 is odd.
    assert rows == [
        ("http://electronichealth.se/identifier/personnummer", "1950-09-07", "male", 1),
        ("http://electronichealth.se/identifier/personnummer", "1961-01-18", "female", 1),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"care_unit": []}, "care_unit: Extra inputs"),
        ({"patients": [{"id": 1}]}, "patients.0"),
    ],
)
def test_register_names_what_is_wrong(
    database: Database, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    file = tmp_path / "home.json"
    file.write_text(json.dumps(change), encoding="utf-8")

    refused = _ingest("register", str(file), OWNER_DATABASE=database.dsn())

    assert refused.returncode == 1
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr


def test_register_refuses_a_personal_identity_with_a_wrong_check_digit(
    database: Database, tmp_path: Path
) -> None:
    text = document().model_dump_json().replace("196101182803", "196101182804")
    file = tmp_path / "home.json"
    file.write_text(text, encoding="utf-8")

    refused = _ingest("register", str(file), OWNER_DATABASE=database.dsn())

    assert refused.returncode == 1
    assert "patients.0.identifier" in refused.stderr
    assert "196101182804" not in refused.stderr


async def test_export_and_quarantine_speak_json_lines(database: Database) -> None:
    home = await registered(database)
    record = home.cuff("128", "82")
    await home.give(record, home.cuff("350", "82"))
    reader = {"DATABASE": database.dsn("hemvital_ingest")}

    exported = _ingest("export", "readings", **reader)
    listed = _ingest("quarantine", "list", "--json", **reader)
    [entry] = [json.loads(line) for line in listed.stdout.splitlines()]
    shown = _ingest("quarantine", "show", str(entry["id"]), **reader)
    missing = _ingest("quarantine", "show", "999", **reader)

    [line] = [json.loads(line) for line in exported.stdout.splitlines()]
    assert set(line) == {
        "record_id",
        "device_id",
        "characteristic",
        "raw",
        "patient_id",
        "effective_at",
    }
    assert (line["record_id"], line["raw"]) == (
        str(record.record_id),
        record.reception.raw.hex(),
    )
    assert entry["reason"] == "impossible_value"
    assert json.loads(shown.stdout)["reading"]["systolic"] == "350"
    assert (missing.returncode, missing.stdout) == (1, "")


async def test_ids_are_exported_sorted_and_within_bounds(database: Database) -> None:
    home = await registered(database)
    given = [home.cuff("128", "82") for _ in range(30)]
    await home.give(*given)
    home.execute(
        "UPDATE device_record SET stored_at = TIMESTAMPTZ '2026-03-01 06:00:00Z'"
        " + number * INTERVAL '1 hour'"  # 07:00 for number 1, and so on
    )
    reader = {"DATABASE": database.dsn("hemvital_ingest")}

    everything = _ingest("export", "readings", "--ids", **reader)
    since, until = "2026-03-01T16:00:00Z", "2026-03-01T19:00:00+01:00"
    some = _ingest("export", "readings", "--ids", "--since", since, "--until", until, **reader)
    lines = _ingest("export", "readings", "--since", since, "--until", until, **reader)
    zoneless = _ingest("export", "readings", "--since", "2026-03-01T16:00:00", **reader)

    assert everything.stdout.splitlines() == sorted(str(one.record_id) for one in given)
    wanted = [str(given[number - 1].record_id) for number in (10, 11)]
    assert some.stdout.splitlines() == sorted(wanted)
    assert [json.loads(line)["record_id"] for line in lines.stdout.splitlines()] == wanted
    assert zoneless.returncode == 2
    assert "needs a zone" in zoneless.stderr


async def test_an_export_of_ids_needs_no_more_memory_for_more_of_them(database: Database) -> None:
    home = await registered(database)
    few = _resident(database)
    await home.give(home.cuff("128", "82"))
    home.execute(
        """
        INSERT INTO device_record (record_id, care_unit_id, patient_id, device_id, gateway_id,
               epoch, number, kind, is_identity_own, characteristic, raw, record, effective_at,
               time_quality, received_at, trace_id)
        SELECT gen_random_uuid(), care_unit_id, patient_id, device_id, gateway_id, epoch, n, kind,
               is_identity_own, characteristic, raw, record, effective_at, time_quality,
               received_at, trace_id
          FROM device_record, generate_series(1, 100000) AS n
        """
    )

    many = _resident(database)

    # A hundred thousand ids as Python's UUIDs would take 10 MB, and their rows as much.
    assert many - few < 6 * 1024 * 1024


def _resident(database: Database) -> int:
    """Return the most memory, in bytes, that an export of all ids needed."""
    with subprocess.Popen(
        [sys.executable, "-m", "ingest_service.command", "export", "readings", "--ids"],
        env=os.environ | {"HEMVITAL_INGEST_DATABASE": database.dsn("hemvital_ingest")},
        stdout=subprocess.DEVNULL,
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024


async def test_a_rejected_reading_waits_no_longer_and_keeps_its_bytes(database: Database) -> None:
    home = await registered(database)
    await home.give(home.cuff("350", "82"))
    [before] = home.rows("quarantine")
    reader = {
        "DATABASE": database.dsn("hemvital_ingest"),
        "OPERATOR_DATABASE": database.dsn("hemvital_operator"),
    }

    nameless = _ingest("quarantine", "reject", str(before["id"]), **reader)
    done = _ingest("quarantine", "reject", str(before["id"]), "--by", "a nurse", **reader)
    again = _ingest("quarantine", "reject", str(before["id"]), "--by", "a nurse", **reader)
    listed = _ingest("quarantine", "list", **reader)

    assert (nameless.returncode, done.returncode, again.returncode) == (2, 0, 1), done.stderr
    assert listed.stdout == ""
    [after] = home.rows("quarantine")
    assert (after["resolution"], after["resolved_by"]) == ("rejected", "a nurse")
    assert after["payload"] == before["payload"]


async def test_a_reading_is_assigned_given_to_another_and_taken_back_by_commands(
    database: Database,
) -> None:
    home = await registered(database, patients=2)
    record = home.cuff("128", "82", ago=timedelta(days=365 * 8))
    await home.give(record)
    [waiting] = home.rows("quarantine")
    operator = {
        "DATABASE": database.dsn("hemvital_ingest"),
        "OPERATOR_DATABASE": database.dsn("hemvital_operator"),
    }
    said = ("--by", "SE2321000016-1003", "--why", "said by telephone")
    one, two = ("--patient", str(id_of("patient-1"))), ("--patient", str(id_of("patient-2")))
    reading = str(record.record_id)

    silent = _ingest("quarantine", "assign", str(waiting["id"]), *one, "--by", "x", **operator)
    assigned = _ingest("quarantine", "assign", str(waiting["id"]), *one, *said, **operator)
    given = _ingest("readings", "reassign", reading, *two, *said, **operator)
    again = _ingest("readings", "reassign", reading, *two, *said, **operator)
    back = _ingest("readings", "invalidate", reading, *said, **operator)
    told = _ingest("readings", "history", reading, "--json", **operator)

    assert (silent.returncode, "--why" in silent.stderr) == (2, True)
    assert [done.returncode for done in (assigned, given, back)] == [0, 0, 0]
    assert (again.returncode, again.stderr) == (1, "The reading is that patient's already.\n")
    assert reading in assigned.stdout
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [(line["activity"], line["patient_id"][:8]) for line in lines] == [
        ("attribution", one[1][:8]),
        ("invalidation", one[1][:8]),
        ("attribution", two[1][:8]),
        ("invalidation", two[1][:8]),
    ]


async def test_replay_counts_first_and_changes_only_when_told(database: Database) -> None:
    home = await registered(database)
    # A frame that the blood pressure codec reads: flags, 120/80 mmHg, mean 90.
    raw = bytes.fromhex("00780050005a00")
    await home.give(home.record(UnsupportedFrame(reason="an older codec"), raw=raw))
    operator = {"OPERATOR_DATABASE": database.dsn("hemvital_operator")}
    said = ("--by", "the operator", "--why", "newer codec")

    trial = _ingest("readings", "replay", *said, **operator)
    before = home.rows("observation")
    done = _ingest("readings", "replay", "--execute", *said, **operator)
    again = _ingest("readings", "replay", "--execute", *said, **operator)

    assert (trial.returncode, before) == (0, [])
    assert "1 read: 1 would change" in trial.stdout
    assert "1 read: 1 changed" in done.stdout
    assert "0 changed, 1 alike" in again.stdout
    [stored] = home.rows("observation")
    assert (stored["systolic"], stored["diastolic"]) == (120, 80)


async def test_what_waits_is_let_in_once_its_device_is_assigned(database: Database) -> None:
    home = await registered(database)
    await home.give(home.cuff("128", "82", ago=timedelta(days=365 * 8)))
    operator = {"OPERATOR_DATABASE": database.dsn("hemvital_operator")}
    home.execute("UPDATE assignment SET valid = '[2010-01-01,)'")

    done = _ingest("quarantine", "replay", "--by", "the operator", **operator)

    assert done.stdout == "1 looked at, 1 let in, 0 wait for another reason now.\n"
    assert [row["systolic"] for row in home.rows("observation")] == [128]


def test_restored_gives_the_database_another_life(database: Database) -> None:
    query = "SELECT id::text FROM incarnation"
    with psycopg.connect(database.dsn(), autocommit=True) as opened:
        before = opened.execute(query).fetchone()
        done = _ingest("restored", OWNER_DATABASE=database.dsn())
        after = opened.execute(query).fetchone()

    assert done.returncode == 0
    assert before != after
    assert after is not None
    assert after[0] in done.stdout


def test_a_misspelt_variable_stops_the_start_with_its_name() -> None:
    stopped = _ingest("run", DATABASSE="x")

    assert stopped.returncode == 2
    assert stopped.stderr == (
        "Unknown setting HEMVITAL_INGEST_DATABASSE; did you mean HEMVITAL_INGEST_DATABASE?\n"
    )


def test_a_missing_or_wrong_variable_is_named() -> None:
    missing = _ingest("migrate")
    wrong = _ingest("run", DATABASE="x", BROKER_PORT="often")

    assert missing.stderr == "The setting HEMVITAL_INGEST_OWNER_DATABASE is missing.\n"
    assert "HEMVITAL_INGEST_BROKER_" in wrong.stderr
    assert (missing.returncode, wrong.returncode) == (2, 2)
