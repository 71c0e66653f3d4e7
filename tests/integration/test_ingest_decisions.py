"""What persons decide about readings: whose a waiting or a stored one is."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.provenance import Provenance

from ingest_service.admission import decisions
from ingest_service.admission.decisions import DecisionError
from tests.support.decisions import (
    ANNA,
    BO,
    NURSE,
    assign,
    by_nurse,
    checked,
    decide,
    of_patient,
    reassign,
)
from tests.support.ingest import UNIT, Home, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

BEFORE = timedelta(days=365 * 8)  # nobody had the devices then


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database, patients=2)


async def test_a_waiting_reading_is_stored_judged_and_told_who_decided(home: Home) -> None:
    record = home.cuff("192", "118", device="cuff-3")
    await home.give(record)
    home.execute(
        "INSERT INTO device (id, resource_id, care_unit_id, kind)"
        " VALUES ('cuff-3', %s, %s, 'blood_pressure')",
        uuid4(),
        UNIT,
    )

    decided = await assign(home)

    assert (decided.result, decided.alerts) == ("stored", 1)
    [stored] = of_patient(home, BO)
    assert stored["systolic"] == 192
    [alert] = home.rows("alert")
    assert (alert["patient_id"], alert["priority"]) == (str(BO), "red")
    [entry] = home.rows("quarantine")
    assert (entry["resolution"], entry["resolved_by"]) == ("assigned", NURSE)
    assert entry["resolved_why"] == "said by telephone"
    [told] = home.rows("provenance")
    assert (told["activity"], told["decided_by"]) == ("attribution", NURSE)
    resource = checked(Provenance, told["resource"])
    assert resource["target"][0]["reference"] == f"Observation/{stored['id']}/_history/1"
    assert [row["outcome"] for row in home.rows("delivery")] == ["stored"]


async def test_a_reading_that_was_sent_twice_and_waits_twice_is_assigned_once(home: Home) -> None:
    record = home.cuff("128", "82", ago=BEFORE)
    await home.give(record)
    await home.give(record)
    first, second = sorted(row["id"] for row in home.rows("quarantine"))

    await decide(
        home,
        lambda opened: decisions.assign(opened, second, BO, by_nurse(), now=home.now),
    )

    assert len(of_patient(home, BO)) == 1
    ended = {row["id"]: row["resolution"] for row in home.rows("quarantine")}
    assert ended == {first: "stored", second: "assigned"}
    with pytest.raises(DecisionError, match=f"No entry {first} waits"):
        await decide(
            home, lambda opened: decisions.assign(opened, first, BO, by_nurse(), now=home.now)
        )


async def test_what_no_living_body_has_cannot_be_assigned(home: Home) -> None:
    await home.give(home.cuff("350", "82"))

    with pytest.raises(DecisionError, match="No living body"):
        await assign(home)

    assert home.rows("observation") == []
    assert [row["resolved_at"] for row in home.rows("quarantine")] == [None]


async def test_a_reading_of_a_time_that_cannot_be_is_assigned_with_the_time_a_person_knows(
    home: Home,
) -> None:
    wrong = msgspec.structs.replace(
        home.cuff("128", "82"), effective_at=home.now - timedelta(days=365 * 20)
    )
    await home.give(wrong)
    with pytest.raises(DecisionError, match="time cannot be right"):
        await assign(home)
    known = home.now - timedelta(hours=1)

    await assign(home, effective_at=known)

    [stored] = of_patient(home, BO)
    assert datetime.fromisoformat(stored["effective_at"]) == known
    assert stored["time_quality"] == "estimated"


async def test_what_is_stored_as_somebody_elses_is_not_called_assigned(home: Home) -> None:
    await home.send(home.message(home.cuff("128", "82"), first=1))
    other = home.cuff("129", "83")
    await home.send(home.message(other, first=1))  # the number was used: it waits
    await home.send(home.message(other, first=2))  # and comes again under another one
    home.execute("UPDATE quarantine SET resolved_at = NULL, resolution = NULL")

    with pytest.raises(DecisionError, match="stored already"):
        await assign(home, BO)

    assert [row["resolved_at"] for row in home.rows("quarantine")] == [None]


async def test_what_is_no_reading_or_of_nobody_cannot_be_assigned(home: Home) -> None:
    await home.send(home.raw_message(b'{"sent_at": "2026-'))
    with pytest.raises(DecisionError, match="not one reading"):
        await assign(home)
    home.execute("UPDATE quarantine SET resolved_at = now()")
    await home.give(home.cuff("128", "82", ago=BEFORE))

    with pytest.raises(DecisionError, match="No such patient"):
        await assign(home, uuid4())


async def test_a_reassigned_reading_is_taken_back_there_and_new_here(home: Home) -> None:
    record = home.cuff("128", "82", pulse="72")
    await home.give(record)
    before = {row["code"]: row["id"] for row in of_patient(home, ANNA)}

    await reassign(home, record)

    old, new = of_patient(home, ANNA), of_patient(home, BO)
    assert {row["status"] for row in old} == {"entered-in-error"}
    assert {row["code"]: row["id"] for row in old} == before
    assert {row["version"] for row in old} == {2}
    assert {(row["status"], row["version"]) for row in new} == {("final", 1)}
    assert {row["code"] for row in new} == set(before)
    assert not {row["id"] for row in new} & set(before.values())
    history = home.rows("observation_history")
    assert {(row["version"], row["changed_by"]) for row in history} == {(1, NURSE)}
    for row in (*old, *new):
        resource = checked(Observation, row["resource"])
        assert resource["subject"]["reference"] == f"Patient/{row['patient_id']}"
        assert resource["meta"]["versionId"] == str(row["version"])
    [record_row] = home.rows("device_record")
    assert (record_row["patient_id"], record_row["attribution"]) == (str(BO), 1)


async def test_neither_patients_record_points_to_the_other(home: Home) -> None:
    record = home.cuff("128", "82", pulse="72")
    await home.give(record)

    await reassign(home, record)

    for mine, other in ((ANNA, BO), (BO, ANNA)):
        texts = [row["resource"] for row in of_patient(home, mine)]
        texts += [r["resource"] for r in home.rows("provenance") if r["patient_id"] == str(mine)]
        strangers = {str(other)} | {row["id"] for row in of_patient(home, other)}
        assert texts
        assert not [text for text in texts if any(each in text for each in strangers)]


async def test_who_and_why_stand_in_the_provenance_of_both(home: Home) -> None:
    record = home.cuff("128", "82")
    await home.give(record)

    await reassign(home, record)

    told = {row["activity"]: row for row in home.rows("provenance")}
    assert set(told) == {"invalidation", "attribution"}
    [old] = of_patient(home, ANNA)
    taken_back = checked(Provenance, told["invalidation"]["resource"])
    assert taken_back["target"][0]["reference"] == f"Observation/{old['id']}/_history/2"
    assert taken_back["entity"][0]["what"]["reference"] == f"Observation/{old['id']}/_history/1"
    assert taken_back["reason"][0]["text"] == "said by telephone"
    assert taken_back["agent"][0]["who"]["identifier"]["value"] == NURSE


async def test_a_reading_can_go_there_and_back_and_each_time_is_another(home: Home) -> None:
    record = home.cuff("128", "82")
    await home.give(record)

    await reassign(home, record, BO)
    await reassign(home, record, ANNA)

    valid = [row for row in home.rows("observation") if row["status"] == "final"]
    assert [row["patient_id"] for row in valid] == [str(ANNA)]
    assert len({row["id"] for row in home.rows("observation")}) == 3
    with pytest.raises(DecisionError, match="already"):
        await reassign(home, record, ANNA)


async def test_the_record_delivered_again_stays_where_it_was_put(home: Home) -> None:
    record = home.cuff("128", "82")
    await home.give(record)
    await reassign(home, record)

    again = await home.give(record)

    assert again.counts == {"duplicate": 1}
    assert [row["status"] for row in of_patient(home, ANNA)] == ["entered-in-error"]


async def test_a_better_time_follows_a_reading_to_whom_it_was_given(home: Home) -> None:
    record = home.cuff("128", "82")
    await home.give(record)
    await reassign(home, record)
    better = home.now - timedelta(minutes=7)

    outcome = await home.give(home.correction(record.record_id, better))

    assert outcome.counts == {"time_correction": 1}
    [new] = of_patient(home, BO)
    assert (datetime.fromisoformat(new["effective_at"]), new["version"]) == (better, 2)
    [old] = of_patient(home, ANNA)
    assert old["version"] == 2  # what was taken back is left alone


async def test_a_red_reading_raises_an_alert_for_whom_it_is_given_to(home: Home) -> None:
    record = home.cuff("192", "118")
    await home.give(record)

    await reassign(home, record)

    alerts = {row["patient_id"]: row for row in home.rows("alert")}
    assert (alerts[str(BO)]["priority"], alerts[str(BO)]["state"]) == ("red", "new")
    # Only a person withdraws a red alert; what it rested on is marked (A8).
    assert (alerts[str(ANNA)]["priority"], alerts[str(ANNA)]["state"]) == ("red", "new")
    [evidence] = alerts[str(ANNA)]["readings"]
    assert evidence["is_withdrawn"] is True
    events = [row["event"] for row in home.rows("alert_event")]
    assert sorted(events) == ["evidence_withdrawn", "raised", "raised"]
