"""Averages are issued once, found by whoever may see them, and follow their readings (A8)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import pytest
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.provenance import Provenance
from msgspec import structs
from psycopg import AsyncConnection

from device_adapters.contract.messages import ReadingRecord
from device_adapters.contract.readings import CuffStatus
from ingest_service.admission import averages
from ingest_service.admission.making import Wanted
from ingest_service.protocols.library import shipped
from ingest_service.protocols.protocol import Protocol, ProtocolError
from ingest_service.store import observation_search, patients
from ingest_service.store.averages import AverageRow
from ingest_service.store.callers import Caller
from ingest_service.store.observation_search import ObservationSearch
from tests.support.decisions import ANNA, BO, checked, invalidate, reassign
from tests.support.ingest import UNIT, Home, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

STOCKHOLM = ZoneInfo("Europe/Stockholm")
ESH = shipped()["esh-2021", 1]
START = date(2026, 3, 2)
OVER = datetime(2026, 3, 9, 3, 0, tzinfo=UTC)  # 04:00 at home
EHR = Caller(actor="ehr", kind="system", care_unit_ids=(UNIT,), trace_id="0" * 32)
# Day 1 is left out; 4 readings of 138, 136, 134, 132 and 86, 84, 82, 80 a day: 135/83.
USUAL = [("07:00", 138, 86), ("07:02", 136, 84), ("19:00", 134, 82), ("19:02", 132, 80)]


@pytest.fixture
async def home(database: Database) -> Home:
    found = await registered(database, patients=2)
    found.now = OVER
    return found


def reading(
    home: Home, day: int, at: str, systolic: int, diastolic: int, **more: Any
) -> ReadingRecord:
    when = datetime.fromisoformat(f"2026-03-{day:02}T{at}").replace(tzinfo=STOCKHOLM)
    return home.cuff(str(systolic), str(diastolic), ago=home.now - when, **more)


async def measured(home: Home, days: Sequence[int]) -> dict[tuple[int, str], ReadingRecord]:
    """Send the usual readings of these days of March, as one batch."""
    made = {(day, at): reading(home, day, at, *values) for day in days for at, *values in USUAL}
    await home.give(*made.values())
    return made


async def issue(
    home: Home,
    *,
    now: datetime = OVER,
    course_start: date | None = START,
    protocol: Protocol = ESH,
    patient: UUID = ANNA,
) -> list[AverageRow]:
    """Issue what is due, as a worker's role, in a transaction of its own."""
    async with await AsyncConnection.connect(home.database.dsn("hemvital_ingest")) as opened:
        people = await patients.lock(opened, [patient])
        wanted = Wanted(
            patient=people[patient],
            protocol=protocol,
            zone=STOCKHOLM,
            course_start=course_start,
        )
        return [made.row for made in await averages.issue(opened, [wanted], now=now)]


def stored(home: Home) -> list[dict[str, Any]]:
    return [row for row in home.rows("observation") if row["code"] == "96607-7"]


def means(resource: dict[str, Any]) -> tuple[float, float]:
    systolic, diastolic = resource["component"][:2]
    return systolic["valueQuantity"]["value"], diastolic["valueQuantity"]["value"]


async def test_a_course_is_issued_once_as_an_observation(home: Home) -> None:
    await measured(home, range(2, 9))
    assert await issue(home, now=OVER - timedelta(seconds=1)) == []

    [issued] = await issue(home)
    again = await issue(home, now=OVER + timedelta(days=1))

    assert again == []
    [row] = stored(home)
    assert (row["id"], row["version"], row["status"]) == (str(issued.id), 1, "final")
    assert (row["systolic"], row["diastolic"]) == (135.0, 83.0)
    resource = checked(Observation, row["resource"])
    assert means(resource) == (135.0, 83.0)
    known = {each["id"] for each in home.rows("observation")}
    used = [each["reference"].removeprefix("Observation/") for each in resource["derivedFrom"]]
    assert len(used) == 24
    assert set(used) < known


async def test_it_is_read_and_found_by_whoever_may_see_the_patient(home: Home) -> None:
    await measured(home, range(2, 9))
    [issued] = await issue(home)
    search = ObservationSearch(
        within=((OVER - timedelta(days=1), OVER + timedelta(days=1)),),
        patient_ids=(ANNA,),
        codes=("96607-7",),
        limit=10,
    )
    elsewhere = replace(EHR, care_unit_ids=(uuid4(),))

    async with await AsyncConnection.connect(home.database.dsn("hemvital_api")) as opened:
        read = await observation_search.read(opened, EHR, issued.id)
        found = await observation_search.find(opened, EHR, search)
        refused = await observation_search.read(opened, elsewhere, issued.id)

    assert read is not None
    assert [one.id for one in found] == [issued.id]
    assert refused is None
    assert read.resource == found[0].resource


async def test_an_average_is_told_among_what_changed(home: Home) -> None:
    await measured(home, range(2, 9))
    [issued] = await issue(home)

    told = [row for row in home.rows("observation_change") if row["id"] == str(issued.id)]

    assert [(row["version"], row["patient_id"]) for row in told] == [(1, str(ANNA))]


async def test_a8_a_reading_that_is_taken_back_amends_the_average_it_was_in(home: Home) -> None:
    made = await measured(home, range(2, 9))
    high = reading(home, 8, "19:04", 190, 110)
    await home.give(high)
    [issued] = await issue(home)
    home.execute("INSERT INTO receiver (id, kind, name) VALUES ('ehr', 'pull', 'EHR')")
    home.execute("INSERT INTO receiver_patient (receiver_id, patient_id) VALUES ('ehr', %s)", ANNA)

    await invalidate(home, made[8, "19:02"])  # so that 190/110 moves up into the sitting

    [row] = stored(home)
    assert (row["id"], row["version"], row["status"]) == (str(issued.id), 2, "amended")
    # 3240 - 132 + 190 = 3298 over 24; 1992 - 80 + 110 = 2022 over 24
    assert (row["systolic"], row["diastolic"]) == (137.4, 84.2)
    resource = checked(Observation, row["resource"])
    assert "taken_back" in {
        part.get("valueCode")
        for extension in resource["extension"]
        for part in extension["extension"]
    }
    [before] = [each for each in home.rows("observation_history") if each["id"] == row["id"]]
    assert means(msgspec.json.decode(before["resource"])) == (135.0, 83.0)
    assert before["reason"] == "said by telephone"
    news = {
        (each["observation_id"], each["version"])
        for each in home.rows("receiver_news")
        if each["observation_id"] == row["id"]
    }
    assert news == {(row["id"], 2)}
    [told] = [each for each in home.rows("provenance") if each["record_id"] == row["id"]]
    provenance = checked(Provenance, told["resource"])
    assert provenance["target"][0]["reference"] == f"Observation/{row['id']}/_history/2"


async def test_a_reading_that_was_anothers_leaves_one_average_and_joins_the_others(
    home: Home,
) -> None:
    made = await measured(home, range(2, 9))
    await home.give(*[
        reading(home, day, at, *values, device="cuff-2")
        for day in range(2, 8) for at, *values in USUAL
    ])  # fmt: skip
    await issue(home)
    await issue(home, patient=BO)

    await reassign(home, made[8, "07:00"], BO)

    of = {row["patient_id"]: row for row in stored(home)}
    # Anna: 3240 - 138 = 3102 over 23. Bo: 5 * 540 + 138 = 2838 over 21.
    assert of[str(ANNA)]["systolic"] == 134.9
    assert of[str(BO)]["systolic"] == 135.1
    assert {row["status"] for row in of.values()} == {"amended"}


async def test_a_reading_that_comes_late_amends_the_average_of_its_days(home: Home) -> None:
    await measured(home, range(2, 8))
    await issue(home)
    home.now = OVER + timedelta(days=2)

    await measured(home, [8])

    [row] = stored(home)
    assert (row["version"], row["status"]) == (2, "amended")
    assert len(msgspec.json.decode(row["resource"])["derivedFrom"]) == 24


async def test_a_better_time_moves_a_reading_out_of_an_average(home: Home) -> None:
    made = await measured(home, range(2, 9))
    await issue(home)
    home.now = OVER + timedelta(hours=8)
    later = OVER + timedelta(hours=5)  # on 9 March

    await home.give(home.correction(made[8, "07:00"].record_id, later))

    [row] = stored(home)
    assert row["version"] == 2
    assert row["systolic"] == 134.9  # 3102 over 23


async def test_the_only_reading_that_gets_a_better_time_leaves_its_average_empty(
    home: Home,
) -> None:
    only = reading(home, 3, "07:00", 138, 86)
    await home.give(only)
    await issue(home)
    home.now = OVER + timedelta(hours=8)

    await home.give(home.correction(only.record_id, OVER + timedelta(hours=5)))

    [row] = stored(home)
    assert (row["version"], row["systolic"]) == (2, None)


async def test_an_average_that_rests_on_the_same_gets_no_new_version(home: Home) -> None:
    made = await measured(home, range(2, 9))
    await issue(home)

    async with await AsyncConnection.connect(home.database.dsn("hemvital_ingest")) as opened:
        people = await patients.lock(opened, [ANNA])
        again = await averages.reissue(
            opened, {ANNA: [made[8, "07:00"].effective_at]}, people, now=home.now
        )

    assert again == []
    assert [row["version"] for row in stored(home)] == [1]


async def test_a_reading_of_other_days_changes_nothing(home: Home) -> None:
    await measured(home, range(2, 9))
    await issue(home)
    home.now = OVER + timedelta(days=2)

    made = await measured(home, [9, 10])
    await invalidate(home, made[9, "07:00"])

    assert [row["version"] for row in stored(home)] == [1]


async def test_what_the_cuff_said_of_a_reading_keeps_it_out(home: Home) -> None:
    await measured(home, range(2, 8))
    await home.give(
        reading(home, 8, "07:00", 220, 130, status=int(CuffStatus.BODY_MOVEMENT)),
        reading(home, 8, "07:02", 138, 86, status=int(CuffStatus.IRREGULAR_PULSE), pulse="71"),
    )

    await issue(home)

    [row] = stored(home)
    resource = msgspec.json.decode(row["resource"])
    # 5 * 540 + 138 = 2838 over 21
    assert means(resource) == (135.1, 83.1)
    assert row["is_irregular"]
    assert "1 movement" in resource["note"][0]["text"]
    assert resource["component"][2]["valueQuantity"]["value"] == 71.0


async def test_what_is_kept_no_longer_is_still_left_out_when_an_average_is_made_anew(
    home: Home,
) -> None:
    made = await measured(home, range(2, 8))
    await home.give(
        reading(home, 8, "07:00", 220, 130, status=int(CuffStatus.BODY_MOVEMENT)),
    )
    await issue(home)
    home.execute("UPDATE device_record SET raw = '', record = '', forgotten_at = now()")

    await invalidate(home, made[7, "07:00"])

    [row] = stored(home)
    assert row["version"] == 2
    assert row["systolic"] == 134.8  # 5 * 540 - 138 = 2562 over 19
    assert "1 doubtful" in msgspec.json.decode(row["resource"])["note"][0]["text"]


async def test_a_rolling_average_is_issued_for_each_day_and_after_an_outage_once(
    home: Home,
) -> None:
    await measured(home, range(2, 9))

    first = await issue(home, course_start=None)
    same = await issue(home, course_start=None, now=OVER + timedelta(hours=20))
    home.now = OVER + timedelta(days=3)
    await measured(home, [9, 10, 11])
    after = await issue(home, course_start=None, now=home.now)

    assert [row.last_day for row in (*first, *same, *after)] == [
        date(2026, 3, 8),
        date(2026, 3, 11),
    ]
    assert {row["systolic"] for row in stored(home)} == {135.0}


async def test_workers_at_the_same_time_issue_it_once(home: Home) -> None:
    await measured(home, range(2, 9))

    issued = await asyncio.gather(*(issue(home) for _ in range(4)))

    assert sorted(map(len, issued)) == [0, 0, 0, 1]
    assert len(stored(home)) == 1


async def test_a_protocol_that_changed_under_its_version_is_refused(home: Home) -> None:
    await measured(home, range(2, 9))
    await issue(home)
    changed = structs.replace(ESH, first_days_out=2)
    retold = structs.replace(ESH, title="Hemblodtryck enligt ESH 2021")

    with pytest.raises(ProtocolError, match="higher version"):
        await issue(home, course_start=date(2026, 3, 1), protocol=changed)
    issued = await issue(home, course_start=date(2026, 3, 1), protocol=retold)

    assert [row.first_day for row in issued] == [date(2026, 3, 1)]


async def test_a_course_in_which_all_was_taken_back_says_that_nothing_is_left(
    home: Home,
) -> None:
    only = reading(home, 3, "07:00", 190, 110)
    await home.give(only)
    await issue(home)

    await invalidate(home, only)

    [row] = stored(home)
    resource = checked(Observation, row["resource"])
    assert (row["version"], row["systolic"]) == (2, None)
    assert resource["dataAbsentReason"]["coding"][0]["code"] == "not-performed"


def test_a_worker_rewrites_no_protocol(home: Home) -> None:
    with (
        psycopg.connect(home.database.dsn("hemvital_ingest")) as opened,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        opened.execute("UPDATE protocol SET document = '{}'")
