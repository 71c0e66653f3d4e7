"""Judging on the real database, in the transaction that stores; rules A1-A7 of the scenarios."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection

from device_adapters.contract.messages import TimeQuality
from device_adapters.contract.readings import CuffStatus, SensorStatus
from ingest_service.admission.door import admit
from ingest_service.admission.incoming import take_apart
from ingest_service.admission.persistence import admit_surely
from ingest_service.store import connections
from tests.support.ingest import CUFF, UNIT, Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database, patients=3)


def _minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def _the_alert(home: Home) -> dict[str, Any]:
    [alert] = home.rows("alert")
    return alert


def _events(home: Home) -> list[str]:
    return [row["event"] for row in sorted(home.rows("alert_event"), key=lambda row: row["id"])]


async def test_two_high_pressures_are_one_red_alert_with_both_and_the_limits_in_force(
    home: Home,
) -> None:
    await home.give(home.cuff("192", "118", ago=_minutes(5)))
    outcome = await home.give(home.cuff("188", "114"))

    alert = _the_alert(home)
    assert (alert["rule"], alert["priority"], alert["state"]) == (
        "limit.blood_pressure",
        "red",
        "new",
    )
    shown = [(r["systolic"], r["diastolic"], r["level"]) for r in alert["readings"]]
    assert shown == [("192", "118", "red"), ("188", "114", "red")]
    assert alert["limits"]["systolic"]["red_high"] == "180"
    assert alert["care_unit_id"] == str(UNIT)
    assert alert["trace_id"] == outcome.trace_ids[0]
    assert _events(home) == ["raised", "joined"]


async def test_a_reading_within_limits_raises_nothing_and_closes_nothing(home: Home) -> None:
    await home.give(home.cuff("192", "118", ago=_minutes(5)))
    await home.give(home.cuff("128", "82"))

    assert len(_the_alert(home)["readings"]) == 1


async def test_without_limits_nothing_is_judged(database: Database) -> None:
    home = await registered(database, limits=[])

    await home.give(home.cuff("240", "150"))

    assert home.rows("alert") == []
    assert len(home.rows("observation")) == 1


async def test_a1_a2_nothing_possible_is_withheld_and_no_flag_mutes_red(home: Home) -> None:
    await home.give(
        home.oximeter("78", sensor_status=SensorStatus.LOW_PERFUSION),
        home.cuff("230", "130", status=CuffStatus.IRREGULAR_PULSE | CuffStatus.BODY_MOVEMENT),
    )

    alerts = {alert["rule"]: alert for alert in home.rows("alert")}
    assert {alert["priority"] for alert in alerts.values()} == {"red"}
    assert alerts["limit.spo2"]["readings"][0]["flags"] == ["low_perfusion"]
    assert alerts["limit.blood_pressure"]["readings"][0]["flags"] == [
        "body_movement",
        "irregular_pulse",
    ]
    assert home.rows("quarantine") == []


async def test_a1_an_impossible_pulse_withholds_neither_pressure_nor_saturation(
    home: Home,
) -> None:
    await home.give(home.cuff("192", "118", pulse="10"), home.oximeter("85", pulse="301"))

    assert {alert["rule"] for alert in home.rows("alert")} == {
        "limit.blood_pressure",
        "limit.spo2",
    }
    pulses = [row for row in home.rows("observation") if row["code"] == "8867-4"]
    assert [row["value"] for row in pulses] == [None, None]
    for row in pulses:
        reason = msgspec.json.decode(row["resource"])["dataAbsentReason"]["coding"][0]
        assert reason["code"] == "error"
    assert home.rows("quarantine") == []


async def test_a3_three_failed_attempts_in_a_row_are_a_yellow_alert(home: Home) -> None:
    await home.give(home.cuff(None, ago=_minutes(20)), home.cuff(None, ago=_minutes(10)))
    assert home.rows("alert") == []

    await home.give(home.cuff(None))

    alert = _the_alert(home)
    assert (alert["rule"], alert["priority"]) == ("failed_attempts", "yellow")
    assert len(alert["readings"]) == 3
    # A quarter of an hour for a valid one, then it is raised.
    assert (alert["state"], alert["raised_at"]) == ("awaiting", None)
    assert datetime.fromisoformat(alert["confirm_by"]) == home.now + timedelta(minutes=15)


async def test_a3_a_valid_reading_between_failed_ones_is_no_alert(home: Home) -> None:
    await home.give(home.cuff(None, ago=_minutes(20)), home.cuff(None, ago=_minutes(15)))
    await home.give(home.cuff("128", "82", ago=_minutes(10)))
    await home.give(home.cuff(None))

    assert home.rows("alert") == []


async def test_a5_a_late_reading_that_is_the_newest_known_alerts_with_its_age(
    home: Home,
) -> None:
    await home.give(home.oximeter("82", ago=timedelta(days=2)))

    alert = _the_alert(home)
    assert alert["priority"] == "red"
    assert "late" in alert["readings"][0]["flags"]


async def test_a5_a_late_reading_is_history_if_a_newer_one_is_within_limits(home: Home) -> None:
    await home.give(home.oximeter("94", ago=_minutes(10)))

    await home.give(home.oximeter("82", ago=timedelta(days=2)))

    assert home.rows("alert") == []
    assert len([row for row in home.rows("observation") if row["value"] == 82]) == 1


async def test_a5_a_reading_of_unknown_time_is_never_history(home: Home) -> None:
    await home.give(home.oximeter("94", ago=_minutes(10)))
    undated = home.oximeter("78", ago=timedelta(days=2))  # by a gateway that had no clock

    await home.give(msgspec.structs.replace(undated, time_quality=TimeQuality.UNKNOWN))

    alert = _the_alert(home)
    assert alert["priority"] == "red"
    assert alert["readings"][0]["flags"] == ["time_unknown", "late"]


async def test_a5_after_an_outage_one_alert_has_the_worst_and_the_newest(home: Home) -> None:
    await home.give(
        home.oximeter("89", ago=timedelta(hours=1)), home.oximeter("84", ago=timedelta(hours=7))
    )

    alert = _the_alert(home)
    assert alert["priority"] == "red"
    assert [reading["value"] for reading in alert["readings"]] == ["84", "89"]


async def test_a7_a_value_worse_by_a_step_raises_a_taken_alert_again_with_both_values(
    home: Home,
) -> None:
    await home.give(home.oximeter("86", ago=_minutes(10)))
    home.execute("UPDATE alert SET state = 'taken', owner = 'SE2321000016-0N01'")

    await home.give(home.oximeter("85", ago=_minutes(5)))
    assert _the_alert(home)["state"] == "taken"
    await home.give(home.oximeter("78"))

    assert _the_alert(home)["state"] == "new"
    assert _events(home) == ["raised", "joined", "reraised"]
    detail = max(home.rows("alert_event"), key=lambda row: row["id"])["detail"]
    assert (detail["previous"]["value"], detail["reading"]["value"]) == ("86", "78")


async def test_a7_a_rise_from_yellow_to_red_raises_again(home: Home) -> None:
    await home.give(home.cuff("175", "95", ago=_minutes(5)))
    home.execute("UPDATE alert SET state = 'taken', owner = 'SE2321000016-0N01'")

    await home.give(home.cuff("181", "95"))

    alert = _the_alert(home)
    assert (alert["priority"], alert["state"]) == ("red", "new")


async def test_a_reading_that_cannot_be_judged_is_stored_and_red(home: Home) -> None:
    home.break_plan()

    await home.give(home.cuff("128", "82"))

    alert = _the_alert(home)
    assert (alert["rule"], alert["priority"]) == ("could_not_judge", "red")
    assert alert["readings"][0]["systolic"] == "128"
    assert len(home.rows("observation")) == 1


async def test_an_alert_that_no_program_can_read_hides_no_further_reading(home: Home) -> None:
    await home.give(home.cuff("192", "118", ago=_minutes(5)))
    home.execute("UPDATE alert SET readings = '[{\"broken\": 1}]'")

    await home.give(home.cuff("200", "120"))

    assert {row["rule"] for row in home.rows("alert")} == {
        "limit.blood_pressure",
        "could_not_judge",
    }


async def test_where_judging_fails_in_the_database_the_reading_is_stored_and_red(
    home: Home,
) -> None:
    # Whatever may be wrong there: writing the alert fails, as a statement.
    await home.give(home.cuff("192", "118", ago=_minutes(5)))
    home.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN IF NEW.rule LIKE 'limit.%%' THEN "
        "RAISE check_violation USING MESSAGE = 'no'; END IF; RETURN NEW; END$$"
    )
    home.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE ON alert FOR EACH ROW EXECUTE FUNCTION refuse()"
    )

    async with connections.pool(home.database.dsn("hemvital_ingest"), name="test", size=1) as pool:
        high = home.message(home.cuff("201", "120"))
        normal = home.message(home.cuff("128", "82", device="cuff-2"))
        outcomes = await admit_surely(pool, [high, normal], clock=lambda: home.now)

    assert sum((outcome.counts for outcome in outcomes), Counter[str]()) == {"stored": 2}
    assert sorted(row["rule"] for row in home.rows("alert")) == [
        "could_not_judge",
        "limit.blood_pressure",
    ]


async def test_one_poisonous_message_is_set_apart_and_all_others_are_stored(home: Home) -> None:
    messages = [home.message(home.cuff("128", "82")) for _ in range(9)]
    # A NUL is a character to JSON and none to the database.
    messages.insert(4, home.message(home.cuff("128", "82", device="no\x00body")))

    async with connections.pool(home.database.dsn("hemvital_ingest"), name="test", size=1) as pool:
        outcomes = await admit_surely(pool, messages, clock=lambda: home.now)

    counts = sum((outcome.counts for outcome in outcomes), Counter[str]())
    assert counts == {"stored": 9, "quarantined": 1}
    [kept] = home.rows("quarantine")
    assert (kept["reason"], kept["number"]) == ("rejected", 10)
    ranges = {r for outcome in outcomes for _, receipt in outcome.receipts for r in receipt.ranges}
    assert (1, 10) in ranges


async def test_a_poisonous_record_takes_nothing_of_its_message_with_it(home: Home) -> None:
    poison = home.cuff("128", "82", device="no\x00body")
    message = home.message(home.cuff("192", "118"), poison, home.cuff("129", "83"))

    async with connections.pool(home.database.dsn("hemvital_ingest"), name="test", size=1) as pool:
        outcomes = await admit_surely(pool, [message], clock=lambda: home.now)

    counts = sum((outcome.counts for outcome in outcomes), Counter[str]())
    assert counts == {"stored": 2, "quarantined": 1}
    assert _the_alert(home)["priority"] == "red"
    [kept] = home.rows("quarantine")
    assert (kept["reason"], kept["number"]) == ("rejected", 2)
    assert b'"192"' not in bytes.fromhex(kept["payload"][2:])
    assert outcomes[-1].receipts[0][1].ranges == ((1, 3),)


async def test_four_workers_on_the_same_patients_raise_each_alert_once_and_never_deadlock(
    home: Home,
) -> None:
    rounds, devices = 12, (CUFF, "cuff-2", "cuff-3")

    async def worker(number: int) -> int:
        own = Home(database=home.database, now=home.now)
        raised = 0
        async with await AsyncConnection.connect(
            home.database.dsn("hemvital_ingest")
        ) as connection:
            for _ in range(rounds):
                order = devices if number % 2 else devices[::-1]
                batch = [own.message(own.cuff("192", "118", device=d)) for d in order]
                entries = [entry for message in batch for entry in take_apart(message)]
                raised += (await admit(connection, entries, now=home.now)).alerts
        return raised

    async with asyncio.timeout(50), asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(worker(number)) for number in range(4)]

    assert sum(one.result() for one in workers) == 4 * rounds * len(devices)
    alerts = home.rows("alert")
    assert len(alerts) == len(devices)
    assert {len(alert["readings"]) for alert in alerts} == {4 * rounds}
    assert Counter(row["event"] for row in home.rows("alert_event")) == {
        "raised": 3,
        "joined": 4 * rounds * 3 - 3,
    }
    assert {row["patient_id"] for row in alerts} == {str(id_of(f"patient-{n}")) for n in (1, 2, 3)}
