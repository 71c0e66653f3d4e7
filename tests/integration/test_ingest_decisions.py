"""What persons decide about readings: assigned, given to another, taken back, read anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.provenance import Provenance
from psycopg import AsyncConnection

from device_adapters.contract.messages import ReadingRecord, TimeQuality
from device_adapters.contract.readings import BloodPressure, Reading, UnsupportedFrame
from ingest_service.admission import decisions, door, replaying
from ingest_service.admission.decisions import Decided, DecisionError
from ingest_service.admission.revising import Decision
from ingest_service.store.quarantine import Ending
from tests.support.ingest import CUFF, UNIT, Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

ANNA, BO = id_of("patient-1"), id_of("patient-2")
NURSE = "SE2321000016-1003"
BEFORE = timedelta(days=365 * 8)  # nobody had the devices then


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database, patients=2)


def by_nurse(why: str = "said by telephone") -> Decision:
    return Decision(change_id=uuid4(), by=NURSE, why=why)


async def decide(
    home: Home, work: Callable[[AsyncConnection[Any]], Awaitable[Decided]]
) -> Decided:
    async with await AsyncConnection.connect(home.database.dsn("hemvital_ingest")) as opened:
        return await work(opened)


async def assign(home: Home, patient: UUID = BO, **options: Any) -> Decided:
    [entry] = [row for row in home.rows("quarantine") if row["resolved_at"] is None]
    return await decide(
        home,
        lambda opened: decisions.assign(
            opened, entry["id"], patient, by_nurse(), now=home.now, **options
        ),
    )


async def reassign(home: Home, record: ReadingRecord, patient: UUID = BO) -> Decided:
    return await decide(
        home,
        lambda opened: decisions.reassign(
            opened, record.record_id, patient, by_nurse(), now=home.now
        ),
    )


async def invalidate(home: Home, record: ReadingRecord) -> Decided:
    return await decide(
        home,
        lambda opened: decisions.invalidate(opened, record.record_id, by_nurse(), now=home.now),
    )


def of_patient(home: Home, patient: UUID) -> list[dict[str, Any]]:
    return [row for row in home.rows("observation") if row["patient_id"] == str(patient)]


# --- assigned from the quarantine


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
    resource = Provenance.model_validate_json(told["resource"])
    assert resource.target[0].reference == f"Observation/{stored['id']}/_history/1"
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
    assert {row["resolution"] for row in home.rows("quarantine")} == {"assigned"}
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


async def test_what_is_no_reading_or_of_nobody_cannot_be_assigned(home: Home) -> None:
    await home.send(home.raw_message(b'{"sent_at": "2026-'))
    with pytest.raises(DecisionError, match="not one reading"):
        await assign(home)
    home.execute("UPDATE quarantine SET resolved_at = now()")
    await home.give(home.cuff("128", "82", ago=BEFORE))

    with pytest.raises(DecisionError, match="No such patient"):
        await assign(home, uuid4())


# --- given to another patient


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
        checked = Observation.model_validate_json(row["resource"])
        assert checked.subject.reference == f"Patient/{row['patient_id']}"
        assert checked.meta.versionId == str(row["version"])
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
    taken_back = Provenance.model_validate_json(told["invalidation"]["resource"])
    assert taken_back.target[0].reference == f"Observation/{old['id']}/_history/2"
    assert taken_back.entity[0].what.reference == f"Observation/{old['id']}/_history/1"
    assert taken_back.reason[0].text == "said by telephone"
    assert taken_back.agent[0].who.identifier.value == NURSE


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


# --- taken back


async def test_a_red_alert_of_two_readings_keeps_the_other_one(home: Home) -> None:
    first = home.oximeter("87", ago=timedelta(minutes=6))
    second = home.oximeter("86", ago=timedelta(minutes=1))
    await home.give(first)
    await home.give(second)

    await invalidate(home, second)

    [alert] = [row for row in home.rows("alert") if row["rule"] == "limit.spo2"]
    assert alert["priority"] == "red"
    assert [each.get("is_withdrawn", False) for each in alert["readings"]] == [False, True]


async def test_a_yellow_alert_with_nothing_left_ends_by_itself(home: Home) -> None:
    record = home.oximeter("89")
    await home.give(record)

    await invalidate(home, record)

    [alert] = home.rows("alert")
    assert (alert["priority"], alert["state"]) == ("yellow", "resolved")
    assert [row["event"] for row in home.rows("alert_event")] == ["raised", "withdrawn"]


async def test_what_a_withdrawn_reading_hid_is_alerted_now(home: Home) -> None:
    await home.give(home.oximeter("94", ago=timedelta(hours=1)))
    late = home.oximeter("82", ago=timedelta(hours=2))
    await home.give(late)
    assert home.rows("alert") == []  # a later one was within limits
    [newer] = [row for row in home.rows("device_record") if row["number"] == 1]

    await decide(
        home,
        lambda opened: decisions.invalidate(
            opened, UUID(newer["record_id"]), by_nurse(), now=home.now
        ),
    )

    [alert] = home.rows("alert")
    assert (alert["rule"], alert["priority"]) == ("limit.spo2", "red")
    assert "late" in alert["readings"][0]["flags"]


async def test_a_value_worse_than_what_is_left_raises_again(home: Home) -> None:
    wrong = home.oximeter("70", ago=timedelta(minutes=9))
    await home.give(wrong)
    await invalidate(home, wrong)

    await home.give(home.oximeter("87"))

    [alert] = home.rows("alert")
    assert alert["priority"] == "red"
    assert [row["event"] for row in home.rows("alert_event")] == [
        "raised",
        "evidence_withdrawn",
        "reraised",
    ]


async def test_what_was_taken_back_is_history_for_no_later_reading(home: Home) -> None:
    fine = home.oximeter("95", ago=timedelta(minutes=40))
    await home.give(fine)
    await invalidate(home, fine)

    await home.give(home.oximeter("80", ago=timedelta(minutes=50)))

    assert [row["priority"] for row in home.rows("alert")] == ["red"]


async def test_a_reading_is_taken_back_once_and_can_be_given_to_somebody_later(
    home: Home,
) -> None:
    record = home.cuff("128", "82")
    await home.give(record)
    await invalidate(home, record)
    with pytest.raises(DecisionError, match="already"):
        await invalidate(home, record)

    await reassign(home, record, ANNA)

    statuses = sorted(row["status"] for row in of_patient(home, ANNA))
    assert statuses == ["entered-in-error", "final"]


async def test_no_such_reading_is_said_in_a_sentence(home: Home) -> None:
    with pytest.raises(DecisionError, match="is stored"):
        await invalidate(home, home.cuff("128", "82"))


# --- read anew


def decoding(reading: Reading | None) -> replaying.Decode:
    return lambda _record: reading


async def replay(home: Home, decode: replaying.Decode, *, is_trial: bool = False) -> Any:
    ids = [UUID(row["record_id"]) for row in home.rows("device_record")]
    async with await AsyncConnection.connect(home.database.dsn("hemvital_ingest")) as opened:
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
    Provenance.model_validate_json(told["resource"])
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
        async with await AsyncConnection.connect(home.database.dsn("hemvital_ingest")) as opened:
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

    async with await AsyncConnection.connect(home.database.dsn("hemvital_ingest")) as opened:
        await door.readmit(opened, ids, Ending("replayed", NURSE), now=home.now)

    assert [row["systolic"] for row in home.rows("observation")] == [Decimal(128)]
    waits = [row for row in home.rows("quarantine") if row["resolved_at"] is None]
    assert [(row["reason"], row["number"]) for row in waits] == [("impossible_value", 2)]


# --- a device that somebody else had before (A15)


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


async def test_a15_a_device_that_nobody_had_before_is_trusted_from_the_start(home: Home) -> None:
    await home.give(of_quality(home.cuff("128", "82"), TimeQuality.ESTIMATED))

    assert home.rows("quarantine") == []


# --- far from the patient's own values (A1)


async def test_a1_a_reading_far_from_the_patients_own_is_stored_judged_and_marked(
    home: Home,
) -> None:
    usual = [home.cuff("162", "92", ago=timedelta(days=n)) for n in range(1, 12)]
    await home.give(*usual)

    await home.give(home.cuff("85", "60"))

    marked = [row for row in home.rows("observation") if row["may_be_another"]]
    assert [row["systolic"] for row in marked] == [85]
    checked = Observation.model_validate_json(marked[0]["resource"])
    assert any("another person" in note.text for note in checked.note)
    [alert] = [row for row in home.rows("alert") if row["last_reading_at"] > "2020"]
    newest = alert["readings"][-1]
    assert (newest["level"], "may_be_another" in newest["flags"]) == ("red", True)


async def test_a1_near_the_patients_own_or_without_a_history_nothing_is_marked(
    home: Home,
) -> None:
    await home.give(home.cuff("190", "100"))
    await home.give(*(home.cuff("150", "90", ago=timedelta(days=n)) for n in range(1, 12)))

    await home.give(home.cuff("170", "96"))

    assert [row for row in home.rows("observation") if row["may_be_another"]] == []
