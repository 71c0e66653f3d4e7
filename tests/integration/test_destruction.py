"""One patient's record goes whole, on a decision and no less; nobody else's is touched."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import pytest
from msgspec import structs
from psycopg import AsyncConnection, sql

from clinician_api.errors import NotFoundError
from clinician_api.services import ehr
from device_adapters.contract.messages import ReadingRecord
from ingest_service import destruction
from ingest_service.admission import averages, door
from ingest_service.admission.making import Wanted
from ingest_service.messages import kinds
from ingest_service.messages.kinds import AlertSubject, Subject
from ingest_service.protocols.library import shipped
from ingest_service.registration import RegistrationError, register
from ingest_service.store import channels, messages, notifications, patients
from ingest_service.store.callers import Caller
from ingest_service.store.channels import NewChannel
from ingest_service.store.destruction import TABLES
from ingest_service.store.messages import MessageRow
from ingest_service.store.quarantine import Ending
from tests.support.frames import BEGINNING, Dictionaries, dictionaries, text_of
from tests.support.ingest import CUFF, UNIT, Home, document, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

PATIENT, OTHER = id_of("patient-1"), id_of("patient-2")
FAMILY, GIVEN = "Ödegårdh", "Kunigunda"
IDENTIFIER = "196101182803"  # published test identity, given by `document`
DECISION = "IVO 3.2.1-00001/2026"
EHR: Final = Caller(actor="ehr", kind="system", care_unit_ids=(UNIT,), trace_id="0" * 32)
# Columns whose names say that a row is somebody's.
NAMING: Final = ("patient_id", "patient_ids", "record_id", "observation_id", "logged_patients")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """A home in which one patient has left a trace in every table."""

    home: Home
    stored: list[ReadingRecord]
    waiting: ReadingRecord


async def lived_in(database: Database) -> Lived:
    """Return a home with two patients, the first of whom has ended."""
    home = await registered(database, patients=2)
    home.execute(
        "UPDATE patient SET family = %s, given = %s WHERE id = %s", FAMILY, GIVEN, PATIENT
    )
    stored = [
        home.cuff("192", "118", ago=timedelta(days=200)),
        home.cuff("188", "114", ago=timedelta(days=100)),
        home.cuff("128", "82", ago=timedelta(hours=2), pulse="66"),
        home.oximeter("84", ago=timedelta(hours=1)),
    ]
    waiting = home.cuff("350", "82", ago=timedelta(hours=3))
    nobody_s = home.cuff("351", "82", ago=timedelta(hours=3), device="cuff-2")
    await home.give(*stored, waiting, nobody_s, home.cuff("129", "83", device="cuff-2"))
    better = stored[2].effective_at + timedelta(minutes=7)
    await home.give(home.correction(stored[2].record_id, better))
    await average_issued(home, around=stored[0])
    home.execute("INSERT INTO api_client VALUES ('ehr', 'EHR North', %s, 'system/*.rs')", [UNIT])
    for row in home.rows("observation"):
        async with await AsyncConnection.connect(database.dsn("hemvital_api")) as connection:
            await ehr.observation(connection, EHR, UUID(row["id"]))
    home.execute(
        "INSERT INTO receiver_news (receiver_id, observation_id, version, patient_id, change_id)"
        " SELECT 'ehr', id, 2, patient_id, gen_random_uuid() FROM observation"
    )
    await told(database, home)
    home.execute(
        "INSERT INTO web_session VALUES ('\\x01', 's', 'n', 'h', %s, 'p', now(), now(), %s)",
        UNIT,
        [PATIENT, OTHER],
    )
    home.execute(
        "INSERT INTO legal_hold (patient_id, reason, decided_by, released_at, released_by)"
        " VALUES (%s, 'a claim of hers', 'a lawyer', now(), 'a lawyer')",
        PATIENT,
    )
    home.execute(
        "UPDATE assignment SET valid = tstzrange(lower(valid), %s) WHERE patient_id = %s",
        home.now - timedelta(minutes=1),
        PATIENT,
    )
    return Lived(home=home, stored=stored, waiting=waiting)


async def told(database: Database, home: Home) -> None:
    """Put a message to each of the two patients, and one to staff that was passed on."""
    async with await AsyncConnection.connect(database.dsn()) as connection:
        about = [
            AlertSubject(
                alert_id=uuid4(), patient_id=one, care_unit_id=UNIT, priority="red", is_open=True
            )
            for one in (PATIENT, OTHER)
        ]
        rows = [
            MessageRow.of(made, created_at=home.now)
            for one in about
            for made in (
                kinds.staff_alert(one, home.now),
                kinds.chain_broken(
                    Subject(patient_id=one.patient_id, care_unit_id=UNIT), home.now
                ),
            )
        ]
        await messages.put(connection, rows)
        channel = NewChannel(
            care_unit_id=UNIT,
            recipient="nurse_on_duty",
            kind="email",
            address="larm@example.org",
            secret=None,
            language="sv",
            priorities=("red",),
            hours="always",
            rank=1,
        )
        channel_id = await channels.add(connection, channel, by="an operator", at=home.now)
        told = [notifications.row_of(row.id, channel_id) for row in (rows[0], rows[2])]
        await notifications.queue(connection, told, at=home.now)


async def average_issued(home: Home, *, around: ReadingRecord) -> None:
    """Issue the average of a course with one reading."""
    async with await AsyncConnection.connect(home.database.dsn("hemvital_ingest")) as connection:
        people = await patients.lock(connection, [PATIENT])
        wanted = Wanted(
            patient=people[PATIENT],
            protocol=shipped()["esh-2021", 1],
            zone=ZoneInfo("Europe/Stockholm"),
            course_start=around.effective_at.date() - timedelta(days=1),
        )
        [_] = await averages.issue(connection, [wanted], now=home.now)


async def destroyed(home: Home) -> destruction.Survey:
    """Carry the decision out."""
    async with await AsyncConnection.connect(home.database.dsn()) as connection:
        return await destruction.carry_out(
            connection, PATIENT, decision=DECISION, by="an operator", now=home.now
        )


def everything(database: Database) -> dict[str, list[str]]:
    """Return every row of every table of ours, chunks by their hypertable, as text.

    What is compressed in it stands behind it, readable.
    """
    found: dict[str, list[str]] = {}
    with psycopg.connect(database.dsn()) as opened:
        kept = dictionaries(opened)
        tables = opened.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
        for (name,) in tables:
            query = sql.SQL("SELECT to_jsonb(t)::text FROM {} AS t").format(sql.Identifier(name))
            found[name] = [text + _unpacked(text, kept) for (text,) in opened.execute(query)]
    return found


def _unpacked(row: str, kept: Dictionaries) -> str:
    values = msgspec.json.decode(row).values()
    packed = [each for each in values if isinstance(each, str) and each.startswith(BEGINNING)]
    return "".join(text_of(each, kept) for each in packed)


def rows_with(database: Database, needles: Iterable[str]) -> dict[str, set[str]]:
    """Return which tables hold one of these texts: as it is, or as bytes (in hexadecimal)."""
    forms = {needle: (needle.lower(), needle.encode().hex()) for needle in needles}
    return {
        table: held
        for table, rows in everything(database).items()
        if (
            held := {
                needle
                for needle, written in forms.items()
                for row in rows
                if any(form in row.lower() for form in written)
            }
        )
    }


async def test_nothing_of_the_patient_is_left_but_what_is_meant_to(database: Database) -> None:
    lived = await lived_in(database)
    secrets = [FAMILY, GIVEN, IDENTIFIER, "a claim of hers"]
    secrets += [record.reception.raw.hex() for record in lived.stored]
    # Records travel as JSON, in which bytes are base64.
    travelled = (*lived.stored, lived.waiting)
    secrets += [b64encode(record.reception.raw).decode() for record in travelled]
    observations = [
        row["id"] for row in lived.home.rows("observation") if row["patient_id"] == str(PATIENT)
    ]
    alerts = [row["id"] for row in lived.home.rows("alert") if row["patient_id"] == str(PATIENT)]
    ids = [str(PATIENT), *observations, *alerts]
    before = rows_with(database, [*ids, *secrets])

    await destroyed(lived.home)

    after = rows_with(database, [*ids, *secrets])
    # Whatever could be found before, so that what is searched for is searched rightly.
    assert set(before) >= {
        "access_log", "alert", "alert_event", "assignment", "device_record", "identity",
        "legal_hold", "observation", "observation_change", "observation_history",
        "patient", "plan", "provenance", "quarantine", "receiver_news", "receiver_patient",
        "web_session",
    }  # fmt: skip
    assert {needle for held in before.values() for needle in held} == {*ids, *secrets}
    assert after == {"access_log": {str(PATIENT)}, "destruction": {str(PATIENT)}}


async def test_nobody_else_loses_anything(database: Database) -> None:
    lived = await lived_in(database)
    before = everything(database)

    await destroyed(lived.home)

    after = everything(database)
    for table, rows in before.items():
        if table in {"web_session", "delivery"}:
            continue
        others = [row for row in rows if row in after[table]]
        assert others == [row for row in after[table] if row in rows], table
        if table not in {"destruction", "destroyed_record"}:
            assert others == after[table], table
    assert before["delivery"] == after["delivery"]
    [session] = lived.home.rows("web_session")
    assert session["logged_patients"] == [str(OTHER)]
    kept = {table: len(after[table]) for table in ("device_record", "observation", "quarantine")}
    assert kept == {"device_record": 1, "observation": 1, "quarantine": 1}
    assert after["patient"] != []


async def test_what_was_destroyed_is_not_stored_again(database: Database) -> None:
    lived = await lived_in(database)
    home = lived.home
    home.execute("INSERT INTO gateway VALUES ('gateway-2', %s)", UNIT)
    await destroyed(home)
    before = everything(database)
    again = [*lived.stored, lived.waiting]
    elsewhere = Home(database=database, gateway_id="gateway-2", now=home.now)

    home.now += timedelta(days=29)
    for number, record in enumerate(again, start=1):
        await home.send(home.message(record, first=number))  # the same number: no receipt came
    await Home(database=database, now=home.now).give(*again)  # the journal was made anew
    await elsewhere.give(*again)  # the device was read by another gateway
    await elsewhere.give(home.correction(lived.stored[0].record_id, home.now - timedelta(days=1)))

    after = everything(database)
    # Numbers are received: nothing stays a hole, and no gateway sends for ever.
    grown = {table for table in before if before[table] != after[table]}
    assert grown == {"delivery", "gateway_epoch"}
    assert len(after["delivery"]) == len(before["delivery"]) + 11
    assert [row["hole_since"] for row in home.rows("gateway_epoch")] == [None] * 3


async def test_a_device_that_is_given_to_another_does_not_bring_it_back(
    database: Database,
) -> None:
    lived = await lived_in(database)
    home = lived.home
    await destroyed(home)
    home.execute(
        "INSERT INTO assignment (id, device_id, patient_id, valid, decided_by)"
        " VALUES (gen_random_uuid(), %s, %s, '[2020-01-01,)', 'a nurse')",
        CUFF,
        OTHER,
    )

    home.epoch = uuid4()
    outcome = await home.give(*lived.stored[:3])

    assert outcome.counts["duplicate"] == 3
    assert len(home.rows("observation")) == 1


async def test_what_was_destroyed_is_written_down_without_a_name(database: Database) -> None:
    lived = await lived_in(database)

    survey = await destroyed(lived.home)

    [row] = lived.home.rows("destruction")
    assert (row["decision"], row["done_by"]) == (DECISION, "an operator")
    assert [each["name"] for each in row["receivers"]] == ["EHR North"]
    counts = {each["table"]: each["rows"] for each in row["tables"]}
    # Four records: the third, a pressure with a pulse, was corrected, and the fourth is a
    # saturation with a pulse, and red; the first two are late, and newer ones are within limits.
    # One average more.
    assert counts == {
        "alert": 1, "alert_event": 1, "assignment": 2, "average": 1, "device_record": 4,
        "identity": 7, "legal_hold": 1, "message": 3, "notification": 1, "observation": 7,
        "observation_change": 9, "observation_history": 2, "patient": 1, "patient_clock": 1,
        "plan": 1, "provenance": 1,
        "quarantine": 1, "receiver_news": 7, "receiver_patient": 1, "web_session": 1,
    }  # fmt: skip
    assert {each.table: each.rows for each in survey.kept} == {"access_log": 7, "delivery": 6}
    assert len(lived.home.rows("destroyed_record")) == 5


@pytest.mark.parametrize(
    ("arrange", "told"),
    [
        (
            "INSERT INTO legal_hold (patient_id, reason, decided_by) VALUES (%s, 'x', 'y')",
            "Legal hold 2 stands",
        ),
        (
            "UPDATE assignment SET valid = tstzrange(lower(valid), NULL) WHERE patient_id = %s",
            "is still the patient's",
        ),
        (
            "UPDATE assignment SET valid = '[2020-01-01,2100-01-01)' WHERE patient_id = %s",
            "is still the patient's",
        ),
    ],
)
async def test_what_stands_against_it_prevents_it(
    database: Database, arrange: str, told: str
) -> None:
    lived = await lived_in(database)
    lived.home.execute(arrange, PATIENT)
    before = everything(database)

    with pytest.raises(destruction.DestructionError, match=told):
        await destroyed(lived.home)

    assert everything(database) == before


@pytest.mark.parametrize(("decision", "by"), [("", "an operator"), (" ", "x"), ("1", " ")])
async def test_without_a_decision_or_a_name_nothing_happens(
    database: Database, decision: str, by: str
) -> None:
    lived = await lived_in(database)

    async with await AsyncConnection.connect(database.dsn()) as connection:
        with pytest.raises(destruction.DestructionError, match="needs a decision"):
            await destruction.carry_out(
                connection, PATIENT, decision=decision, by=by, now=lived.home.now
            )

    assert len(lived.home.rows("patient")) == 2


async def test_who_writes_or_reads_meanwhile_finds_nobody(database: Database) -> None:
    lived = await lived_in(database)
    home = lived.home
    late = home.cuff("130", "84", ago=timedelta(days=3))
    home.execute("DELETE FROM receiver_news")
    home.execute("DELETE FROM receiver_patient")
    [first, *_] = [
        row["id"] for row in home.rows("observation") if row["patient_id"] == str(PATIENT)
    ]

    async def read() -> None:
        async with await AsyncConnection.connect(database.dsn("hemvital_api")) as connection:
            await ehr.observation(connection, EHR, UUID(first))

    async with (
        await AsyncConnection.connect(database.dsn()) as connection,
        connection.transaction(),
    ):
        await destruction.carry_out(
            connection, PATIENT, decision=DECISION, by="an operator", now=home.now
        )
        writing, reading = asyncio.create_task(home.give(late)), asyncio.create_task(read())
        await asyncio.sleep(0.5)
        assert not writing.done()
        assert not reading.done()
    async with asyncio.timeout(10):
        outcome = await writing
        with pytest.raises(NotFoundError):
            await reading

    assert outcome.counts["quarantined"] == 1  # nobody's: its device was given to nobody
    assert [row["patient_id"] for row in home.rows("device_record")] == [str(OTHER)]
    assert home.rows("receiver_patient") == []


async def test_a_destroyed_record_does_not_come_back_by_registration(database: Database) -> None:
    lived = await lived_in(database)
    await destroyed(lived.home)

    async with await AsyncConnection.connect(database.dsn()) as connection:
        with pytest.raises(RegistrationError, match="was destroyed on a decision"):
            await register(connection, document(patients=2), now=datetime.now(UTC))

    assert [row["id"] for row in lived.home.rows("patient")] == [str(OTHER)]


def test_every_table_that_names_somebody_is_in_the_list(database: Database) -> None:
    """A new table with such a column must be added to ingest_service/store/destruction.py."""
    with psycopg.connect(database.dsn()) as opened:
        naming = opened.execute(
            "SELECT DISTINCT c.table_name"
            "  FROM information_schema.columns c"
            "  JOIN information_schema.tables t USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND t.table_type = 'BASE TABLE'"
            "   AND (c.column_name = ANY(%s) OR c.column_name LIKE '%%patient%%')",
            [list(NAMING)],
        ).fetchall()

    assert {name for (name,) in naming} - TABLES == set()
    assert len(naming) >= 14


def _command(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ingest_service.command", *arguments],
        env={"HEMVITAL_INGEST_OWNER_DATABASE": database.dsn()},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


async def test_the_command_shows_first_and_destroys_only_when_told(database: Database) -> None:
    lived = await lived_in(database)
    before = everything(database)
    given = ("destroy", "--patient", str(PATIENT), "--by", "an operator")

    nameless = _command(database, *given)
    shown = _command(database, *given, "--decision", DECISION)
    read = _command(database, *given, "--decision", DECISION, "--json")
    unchanged = everything(database) == before
    done = _command(database, *given, "--decision", DECISION, "--execute")
    again = _command(database, *given, "--decision", DECISION, "--execute")

    assert (nameless.returncode, shown.returncode, done.returncode) == (2, 0, 0), done.stderr
    assert unchanged
    assert "Nothing was changed" in shown.stdout
    assert "EHR North (pull ehr)" in shown.stdout
    survey: dict[str, Any] = json.loads(read.stdout)
    assert survey["is_done"] is False
    [records] = [each for each in survey["destroyed"] if each["table"] == "device_record"]
    assert records["rows"] == 4
    assert records["first_at"][:10] == f"{lived.stored[0].effective_at:%Y-%m-%d}"
    assert "backups" in done.stdout
    assert (again.returncode, again.stderr) == (1, "No such patient.\n")
    for told in (shown.stdout, read.stdout, done.stdout):
        assert not any(secret in told for secret in (FAMILY, GIVEN, IDENTIFIER))


async def test_a_hold_is_set_seen_and_released(database: Database) -> None:
    lived = await lived_in(database)
    patient = ("--patient", str(PATIENT))
    destroy = ("destroy", *patient, "--by", "x", "--decision", "1")

    put = _command(database, "hold", "set", *patient, "--by", "a lawyer", "--why", "a claim")
    unknown = _command(
        database, "hold", "set", "--patient", str(uuid4()), "--by", "x", "--why", "y"
    )
    listed = _command(database, "hold", "list", "--json")
    shown = _command(database, *destroy)
    refused = _command(database, *destroy, "--execute")
    released = _command(database, "hold", "release", put.stdout.strip(), "--by", "a judge")
    twice = _command(database, "hold", "release", put.stdout.strip(), "--by", "a judge")
    ended = _command(database, "hold", "list", "--all", "--json")
    done = _command(database, *destroy, "--execute")

    assert (put.returncode, unknown.returncode) == (0, 1), put.stderr
    hold: dict[str, Any] = json.loads(listed.stdout)
    assert (hold["patient_id"], hold["reason"]) == (str(PATIENT), "a claim")
    assert "Stands against it: Legal hold" in shown.stdout
    assert refused.returncode == 1
    assert "Legal hold" in refused.stderr
    assert (released.returncode, twice.returncode) == (0, 1)
    assert json.loads(ended.stdout.splitlines()[-1])["released_by"] == "a judge"
    assert done.returncode == 0
    assert lived.home.rows("legal_hold") == []


async def test_a_reading_in_quarantine_is_the_patient_s_whose_device_it_was_then(
    database: Database,
) -> None:
    """Not who had the device when it came; and an entry that no program reads is left alone."""
    home = await registered(database, patients=2)
    home.execute(
        "UPDATE assignment SET valid = '[2020-01-01,2026-01-01)' WHERE device_id = %s", CUFF
    )
    home.execute(
        "INSERT INTO assignment (id, device_id, patient_id, valid, decided_by)"
        " VALUES (gen_random_uuid(), %s, %s, '[2026-01-01,)', 'a nurse')",
        CUFF,
        OTHER,
    )
    home.execute("DELETE FROM assignment WHERE device_id <> %s", CUFF)
    made = home.cuff("350", "82")
    hers = structs.replace(made, effective_at=made.effective_at.replace(year=2025, month=6, day=1))
    await home.give(hers, home.cuff("351", "82"))
    await home.send(home.raw_message(b"not json"))

    await destroyed(home)

    left = [(row["reason"], row["record_id"]) for row in home.rows("quarantine")]
    assert len(left) == 2
    assert str(hers.record_id) not in str(left)


async def test_a_message_that_was_read_later_goes_with_the_readings_it_brought(
    database: Database,
) -> None:
    lived = await lived_in(database)
    home = lived.home
    home.execute("UPDATE assignment SET valid = '[2020-01-01,)' WHERE patient_id = %s", PATIENT)
    await home.send(home.message(home.cuff("131", "85"), schema="2.0"))
    [message] = [row for row in home.rows("quarantine") if row["schema_version"]]
    home.execute("UPDATE quarantine SET schema_version = '1.9' WHERE id = %s", message["id"])
    async with await AsyncConnection.connect(database.dsn("hemvital_operator")) as opened:
        ending = Ending("replayed", "the operator")
        await door.readmit(opened, [message["id"]], ending, now=home.now)
    home.execute(
        "UPDATE assignment SET valid = tstzrange('2020-01-01', %s) WHERE patient_id = %s",
        home.now - timedelta(minutes=1),
        PATIENT,
    )

    await destroyed(home)

    assert message["id"] not in {row["id"] for row in home.rows("quarantine")}
