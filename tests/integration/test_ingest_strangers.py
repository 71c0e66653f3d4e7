"""Whose a reading may not be: memory of another patient (A15), values of another person (A1)."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from fhir.resources.R4B.observation import Observation
from psycopg import AsyncConnection

from device_adapters.contract.messages import ReadingRecord, TimeQuality
from ingest_service.admission import decisions
from tests.support.decisions import (
    ANNA,
    BO,
    by_nurse,
    checked,
)
from tests.support.ingest import CUFF, Home, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database, patients=2)


async def reissued(home: Home) -> datetime:
    """Let the second patient have the first one's cuff since ten days ago."""
    since = home.now - timedelta(days=10)
    home.execute(
        "UPDATE assignment SET valid = tstzrange('2020-01-01', %s) WHERE device_id = %s",
        since,
        CUFF,
    )
    home.execute(
        "INSERT INTO assignment (id, device_id, patient_id, valid, decided_by)"
        " VALUES (%s, %s, %s, tstzrange(%s, NULL), 'a nurse')",
        uuid4(),
        CUFF,
        BO,
        since,
    )
    return since


def received(record: ReadingRecord, at: datetime) -> ReadingRecord:
    reception = msgspec.structs.replace(record.reception, received_at=at)
    return msgspec.structs.replace(record, reception=reception)


def of_quality(record: ReadingRecord, quality: TimeQuality) -> ReadingRecord:
    return msgspec.structs.replace(record, time_quality=quality)


async def test_a15_what_was_measured_before_and_read_after_a_change_of_hands_waits(
    home: Home,
) -> None:
    await reissued(home)
    old = received(home.cuff("192", "118", ago=timedelta(days=20)), home.now)

    await home.give(old)

    [waiting] = home.rows("quarantine")
    assert (waiting["reason"], waiting["priority"]) == ("first_session", "red")
    assert home.rows("observation") == []


async def test_a15_what_a_gateway_had_read_before_the_change_of_hands_is_the_first_patients(
    home: Home,
) -> None:
    await reissued(home)

    await home.give(home.cuff("128", "82", ago=timedelta(days=20)))

    assert [row["patient_id"] for row in home.rows("observation")] == [str(ANNA)]


@pytest.mark.parametrize("quality", [TimeQuality.ESTIMATED, TimeQuality.UNKNOWN])
async def test_a15_in_the_first_session_a_time_nobody_vouches_for_waits(
    home: Home, quality: TimeQuality
) -> None:
    await reissued(home)
    sure = home.cuff("128", "82", ago=timedelta(minutes=2))

    await home.give(sure, of_quality(home.cuff("129", "82"), quality))

    assert [row["systolic"] for row in home.rows("observation")] == [128]
    assert [row["reason"] for row in home.rows("quarantine")] == ["first_session"]


async def test_a15_the_session_is_over_once_time_has_passed_and_a_person_dealt_with_it(
    home: Home,
) -> None:
    await reissued(home)

    def estimated(systolic: str, ago: timedelta) -> ReadingRecord:
        return of_quality(home.cuff(systolic, "82", ago=ago), TimeQuality.ESTIMATED)

    await home.give(estimated("121", timedelta(hours=5)))
    await home.give(estimated("122", timedelta(hours=3)))
    waits = [row["reason"] for row in home.rows("quarantine")]
    assert waits == ["first_session"] * 2  # nobody has dealt with the first one
    home.execute("UPDATE quarantine SET resolved_at = now(), resolution = 'rejected'")

    await home.give(estimated("123", timedelta(hours=1)))

    assert [row["systolic"] for row in home.rows("observation")] == [123]


async def test_a15_what_a_person_rejected_does_not_come_back_with_the_devices_memory(
    home: Home,
) -> None:
    await reissued(home)
    old = of_quality(home.cuff("192", "118", ago=timedelta(hours=5)), TimeQuality.ESTIMATED)
    await home.give(old)
    [waiting] = home.rows("quarantine")
    home.execute("UPDATE quarantine SET resolved_at = now(), resolution = 'rejected'")

    again = await home.give(old)

    assert again.counts == {"duplicate": 1}
    assert home.rows("observation") == []
    assert [row["id"] for row in home.rows("quarantine")] == [waiting["id"]]
    async with await AsyncConnection.connect(home.database.dsn("hemvital_operator")) as opened:
        await decisions.assign(opened, waiting["id"], BO, by_nurse(), now=home.now)
    assert [row["patient_id"] for row in home.rows("observation")] == [str(BO)]


async def test_a15_a_gateway_whose_clock_is_not_set_decides_no_session(home: Home) -> None:
    await reissued(home)
    unset = home.cuff("128", "82")
    reception = msgspec.structs.replace(
        unset.reception,
        received_at=home.now + timedelta(days=3000),
        is_clock_synchronised=False,
    )
    await home.give(msgspec.structs.replace(unset, reception=reception))

    rows = {row["patient_id"]: row for row in home.rows("assignment") if row["device_id"] == CUFF}
    first = datetime.fromisoformat(rows[str(BO)]["first_received_at"])
    assert first == home.now


async def test_a15_a_device_that_nobody_had_before_is_trusted_from_the_start(home: Home) -> None:
    await home.give(of_quality(home.cuff("128", "82"), TimeQuality.ESTIMATED))

    assert home.rows("quarantine") == []


async def test_a1_a_reading_far_from_the_patients_own_is_stored_judged_and_marked(
    home: Home,
) -> None:
    usual = [home.cuff("162", "92", ago=timedelta(days=n)) for n in range(1, 12)]
    await home.give(*usual)

    await home.give(home.cuff("85", "60"))

    marked = [row for row in home.rows("observation") if row["may_be_another"]]
    assert [row["systolic"] for row in marked] == [85]
    resource = checked(Observation, marked[0]["resource"])
    assert any("another person" in note["text"] for note in resource["note"])
    # Eleven late ones at once, each a little high, are one alert of their own (A5).
    [alert] = [row for row in home.rows("alert") if row["rule"] == "limit.blood_pressure"]
    newest = alert["readings"][-1]
    assert (newest["level"], "may_be_another" in newest["flags"]) == ("red", True)


async def test_a1_near_the_patients_own_or_without_a_history_nothing_is_marked(
    home: Home,
) -> None:
    await home.give(home.cuff("190", "100"))
    await home.give(*(home.cuff("150", "90", ago=timedelta(days=n)) for n in range(1, 12)))

    await home.give(home.cuff("170", "96"))

    assert [row for row in home.rows("observation") if row["may_be_another"]] == []
