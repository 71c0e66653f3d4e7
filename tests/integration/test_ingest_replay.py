"""Readings read anew: stored ones from their bytes, waiting ones through the door again."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from fhir.resources.R4B.provenance import Provenance
from psycopg import AsyncConnection

from device_adapters.contract.readings import BloodPressure, CuffStatus, Reading, UnsupportedFrame
from ingest_service.admission import door, replaying
from ingest_service.store.quarantine import Ending
from tests.support.decisions import (
    BO,
    NURSE,
    by_nurse,
    checked,
)
from tests.support.ingest import UNIT, Home, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database, patients=2)


def decoding(reading: Reading | None) -> replaying.Decode:
    return lambda _record: reading


async def replay(home: Home, decode: replaying.Decode, *, is_trial: bool = False) -> Any:
    ids = [UUID(row["record_id"]) for row in home.rows("device_record")]
    async with await AsyncConnection.connect(home.database.dsn("hemvital_operator")) as opened:
        return await replaying.replay(
            opened, ids, decode, by_nurse("newer codec"), now=home.now, is_trial=is_trial
        )


async def test_what_reads_alike_is_left_alone(home: Home) -> None:
    record = home.cuff("128", "82", pulse="72")
    await home.give(record)

    counts = await replay(home, decoding(record.reading))

    assert counts == {"unchanged": 1}
    assert {row["version"] for row in home.rows("observation")} == {1}
    assert home.rows("observation_history") == []


async def test_a_frame_that_a_newer_codec_reads_becomes_a_reading_and_is_judged(
    home: Home,
) -> None:
    frame = home.record(UnsupportedFrame(reason="unknown flag"), raw=b"\x56\x01")
    await home.give(frame)
    reading = home.cuff("192", "118").reading

    trial = await replay(home, decoding(reading), is_trial=True)
    assert (trial, home.rows("observation")) == ({"changed": 1}, [])
    counts = await replay(home, decoding(reading))
    again = await replay(home, decoding(reading))

    assert (counts, again) == ({"changed": 1}, {"unchanged": 1})
    [stored] = home.rows("observation")
    assert (stored["systolic"], stored["record_id"]) == (192, str(frame.record_id))
    assert [row["kind"] for row in home.rows("device_record")] == ["measurement"]
    assert [row["priority"] for row in home.rows("alert")] == ["red"]
    assert (await home.give(frame)).counts == {"duplicate": 1}


async def test_a_mended_value_is_a_new_version_and_what_rested_on_the_old_one_is_judged_again(
    home: Home,
) -> None:
    record = home.cuff("192", "118", pulse="72")
    await home.give(record)
    mended = home.cuff("129", "81").reading

    await replay(home, decoding(mended))

    rows = {row["code"]: row for row in home.rows("observation")}
    assert (rows["85354-9"]["systolic"], rows["85354-9"]["version"]) == (129, 2)
    assert rows["85354-9"]["status"] == "corrected"
    # The pulse that the mended codec no longer finds does not vanish.
    assert rows["8867-4"]["status"] == "entered-in-error"
    [alert] = home.rows("alert")
    assert alert["readings"][0]["is_withdrawn"] is True
    [told] = home.rows("provenance")
    checked(Provenance, told["resource"])
    assert await replay(home, decoding(mended)) == {"unchanged": 1}


async def test_without_a_codec_or_with_an_impossible_value_it_stays_as_it_is(home: Home) -> None:
    await home.give(home.cuff("128", "82"))
    impossible = home.cuff("350", "82").reading
    assert isinstance(impossible, BloodPressure)

    assert await replay(home, decoding(None)) == {"unreadable": 1}
    assert await replay(home, decoding(impossible)) == {"impossible": 1}
    assert [row["systolic"] for row in home.rows("observation")] == [128]


async def test_what_waits_goes_through_the_door_again(home: Home) -> None:
    late = home.message(home.cuff("192", "118", device="cuff-3"))
    await home.send(late)
    ending = Ending("replayed", NURSE)

    async def again() -> Any:
        ids = [row["id"] for row in home.rows("quarantine")]
        async with await AsyncConnection.connect(home.database.dsn("hemvital_operator")) as opened:
            return await door.readmit(opened, ids, ending, now=home.now)

    assert (await again()).counts == {"released": 0}
    home.execute(
        "INSERT INTO device (id, resource_id, care_unit_id, kind)"
        " VALUES ('cuff-3', %s, %s, 'blood_pressure')",
        uuid4(),
        UNIT,
    )
    await again()
    moved = sorted(home.rows("quarantine"), key=lambda row: row["id"])
    assert [row["reason"] for row in moved] == ["unknown_device", "unassigned"]
    assert moved[1]["received_at"] == moved[0]["received_at"]  # its age is the reading's
    assert [row["resolution"] for row in moved] == ["replayed", None]
    home.execute(
        "INSERT INTO assignment (id, device_id, patient_id, valid, decided_by)"
        " VALUES (%s, 'cuff-3', %s, '[2020-01-01,)', 'a nurse')",
        uuid4(),
        BO,
    )
    outcome = await again()

    assert outcome.counts["released"] == 1
    assert [row["patient_id"] for row in home.rows("observation")] == [str(BO)]
    assert {row["resolution"] for row in home.rows("quarantine")} == {"replayed"}
    assert (await home.send(late)).counts == {"duplicate": 1}


async def test_a_message_of_a_newer_contract_is_read_once_the_program_can(home: Home) -> None:
    await home.send(home.message(home.cuff("128", "82"), home.cuff("350", "82"), schema="2.0"))
    home.execute("UPDATE quarantine SET schema_version = '1.9'")  # as if this program read it
    ids = [row["id"] for row in home.rows("quarantine")]

    async with await AsyncConnection.connect(home.database.dsn("hemvital_operator")) as opened:
        await door.readmit(opened, ids, Ending("replayed", NURSE), now=home.now)

    assert [row["systolic"] for row in home.rows("observation")] == [Decimal(128)]
    waits = [row for row in home.rows("quarantine") if row["resolved_at"] is None]
    assert [(row["reason"], row["number"]) for row in waits] == [("impossible_value", 2)]


async def test_other_words_about_the_same_value_leave_alerts_alone(home: Home) -> None:
    record = home.cuff("192", "118")
    await home.give(record)
    before = home.rows("alert")
    noted = home.cuff("192", "118", status=CuffStatus.IRREGULAR_PULSE).reading

    counts = await replay(home, decoding(noted))

    assert counts == {"changed": 1}
    assert [row["version"] for row in home.rows("observation")] == [2]
    assert home.rows("alert") == before
    assert [row["event"] for row in home.rows("alert_event")] == ["raised"]


async def test_what_a_replay_took_back_stays_known_and_can_come_again(home: Home) -> None:
    record = home.cuff("128", "82", pulse="72")
    await home.give(record)
    await replay(home, decoding(home.cuff("128", "82").reading))
    await home.give(home.correction(record.record_id, home.now - timedelta(minutes=9)))

    def pulse() -> dict[str, Any]:
        return next(row for row in home.rows("observation") if row["code"] == "8867-4")

    assert (pulse()["status"], pulse()["version"]) == ("entered-in-error", 2)
    await replay(home, decoding(record.reading))
    assert (pulse()["status"], pulse()["version"]) == ("corrected", 3)
    kept = {(row["id"], row["version"]) for row in home.rows("observation_history")}
    assert {(pulse()["id"], 1), (pulse()["id"], 2)} <= kept


async def test_forgotten_bytes_are_left_alone(home: Home) -> None:
    await home.give(home.cuff("128", "82"))
    home.execute("UPDATE device_record SET raw = '', record = '', forgotten_at = now()")

    assert await replay(home, decoding(home.cuff("129", "82").reading)) == {"unreadable": 1}
