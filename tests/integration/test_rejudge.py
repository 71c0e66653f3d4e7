"""Every alert derived anew from what came in, in the real database: the same, or named."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from deploy.local.services import Services
from device_adapters.contract.messages import ReadingRecord
from device_adapters.contract.readings import CuffStatus, SensorStatus
from ingest_service.admission.monitoring import sweep
from ingest_service.alerts.actions import Note, Pause, Release, Reopen, Resolve, Take, Undo
from tests.support.days import FIRST, NURSES, Days, at, two_patients
from tests.support.services import Database, cloned

pytestmark = pytest.mark.timescale

ANNA, BERIT, CILLA = NURSES
DONE = Resolve(outcome="advice_given", note="Ringde, mår bättre.")
ERROR = Resolve(outcome="measuring_error", note="Kalla fingrar.")


async def a_week(database: Database) -> Days:
    """Return two patients after two weeks in which everything happens that can."""
    days = await two_patients(database)
    await nurses_at_work(days)
    await symptoms_and_attempts(days)
    await silence_and_reconnect(days)
    await mistakes(days)
    await nobody_sees_her(days)
    await changes_to_it(days, await a_course(days))
    return days


async def nurses_at_work(days: Days) -> None:
    await days.spo2(at(6), "93")
    await days.spo2(at(7), "86")
    await days.spo2(at(7, 8), "87")  # confirmed
    assert await days.do(at(7, 10), Take())
    assert not await days.do(at(7, 11), Take(), by=BERIT)
    assert await days.do(at(7, 20), ERROR)
    await days.spo2(at(8), "85")
    await days.spo2(at(8, 15, second=20), "94")  # after the deadline, before the tick
    await days.tick(at(8, 15, second=50))
    assert await days.do(at(8, 30), Pause(until=at(8, 50), reason="Sover."), by=BERIT)
    await days.spo2(at(8, 40), "82")  # worse: breaks the pause
    await days.spo2(at(8, 45), "83")
    await days.tick(at(10, 31))  # escalated
    assert await days.do(at(10, 40), Take(), by=CILLA)
    assert await days.sign_out(at(10, 50), CILLA) == 1
    assert await days.do(at(11), Take(), by=BERIT)
    assert await days.do(at(11, second=5), Undo(), by=BERIT)
    assert await days.do(at(11, 1), Take(), by=BERIT)
    assert await days.hand_over(at(11, 5), BERIT, CILLA) == 1
    assert await days.do(at(11, 10), Note(text="Ringer snart."), by=CILLA)
    assert await days.do(at(11, 30), DONE, by=CILLA)
    assert await days.do(at(11, 32), Reopen(reason="Fel patient."), by=CILLA)
    assert await days.do(at(11, 33), Take(), by=CILLA)
    assert await days.do(at(11, 34), Release(), by=CILLA)
    assert await days.do(at(11, 35), ERROR, by=ANNA)
    await days.spo2(at(12), "86")
    await days.spo2(at(12, 5), "94")  # disproved


async def symptoms_and_attempts(days: Days) -> None:
    for minute in (0, 5, 10):
        await days.cuff(at(13, minute), None)
    await days.answer(at(13, 30), 4)
    await days.spo2(at(13, 50), "89", pulse="140")  # the answer came before the value
    await days.cuff(at(14), "171", "99", status=CuffStatus.BODY_MOVEMENT)
    await days.cuff(at(14, 4), "172", "99", pulse="85")
    await days.cuff(at(14, 8), "191", "112", device="cuff-2")
    await days.cuff(at(14, 20), "189", "111", device="cuff-2")
    await days.spo2(at(19), "89")
    await days.spo2(at(7, day=1), "88", "91")


async def silence_and_reconnect(days: Days) -> None:
    await days.tick(at(12, day=3))  # the clock stood still meanwhile
    await days.tick(at(12, 1, day=3))
    hours = (50, 44, 32, 26, 20, 8, 3)
    values = ("91", "87", "90", "93", "86", "92", "93")
    await days.late(
        at(12, 30, day=3),
        [(value, timedelta(hours=each)) for value, each in zip(values, hours, strict=True)],
    )
    await days.tick(at(13, day=3))


async def mistakes(days: Days) -> None:
    visitor = await days.cuff(at(8, day=4), "195", "100", pulse="70")
    await days.tick(at(8, 16, day=4))
    await days.reassign(at(8, 30, day=4), visitor)
    [red] = await days.spo2(at(9, day=4), "82")
    await days.invalidate(at(9, 5, day=4), red)
    # Too little blood in the finger: such a value makes no other one history, also afterwards.
    await days.spo2(at(9, 30, day=4), "95", sensor=SensorStatus.LOW_PERFUSION)
    await days.late(at(9, 40, day=4), [("86", timedelta(minutes=35))])
    # A value within limits hides a red that comes late, until it is taken back.
    [good] = await days.spo2(at(10, day=4), "95")
    await days.late(at(10, 10, day=4), [("83", timedelta(minutes=40))])
    await days.invalidate(at(10, 20, day=4), good)
    [moved] = await days.spo2(at(11, day=4), "87")
    await days.give(at(11, 5, day=4), days.home.correction(moved.record_id, at(8, 50, day=4)))
    await days.tick(at(11, 20, day=4))


async def nobody_sees_her(days: Days) -> None:
    home = days.home
    home.execute("UPDATE device SET gateway_id = 'gateway-1' WHERE id LIKE 'F0%%'")
    home.execute(
        "INSERT INTO gateway_listener VALUES (true, %s, %s)", at(9, day=4), at(11, 30, day=4)
    )
    async with await AsyncConnection.connect(home.database.dsn("hemvital_ingest")) as opened:
        await sweep(opened, now=at(11, 30, day=4))
    await days.tick(at(11, 31, day=4))
    await days.tick(at(22, day=5))


async def a_course(days: Days) -> ReadingRecord:
    """Let the second patient measure for a week, and return a reading of its average."""
    [_, wrong] = await days.sitting(at(6, day=6), "141", "139")
    await days.sitting(at(19, day=6), "141", "139")
    for day in range(7, 13):
        await days.tick(at(3, 1, day=day))
        [_, wrong] = await days.sitting(at(6, day=day), "141", "149")
        await days.sitting(at(19, day=day), "141", "139")
    await days.tick(at(3, 1, day=13))
    return wrong


async def changes_to_it(days: Days, wrong: ReadingRecord) -> None:
    home = days.home
    await days.invalidate(at(4, day=13), wrong)
    home.now = at(5, day=13)
    again = home.cuff("160", "84", device="cuff-2", ago=timedelta(hours=22, minutes=50))
    await days.give(at(5, day=13), again)
    await days.tick(at(5, 10, day=13))
    await days.give(at(5, 20, day=13), home.correction(again.record_id, at(5, 58, day=10)))
    # Out of every day that was averaged.
    await days.give(at(5, 30, day=13), home.correction(again.record_id, at(4, 30, day=13)))
    await days.reassign(at(5, 40, day=13), days.records[-1], FIRST)
    await days.tick(at(3, 1, day=14))
    await days.tick(at(3, 1, day=15))


async def test_a_week_in_which_everything_happens_follows_from_what_came_in(
    database: Database,
) -> None:
    days = await a_week(database)

    found, total = await days.rejudged()

    assert [one.text for one in found] == []
    assert total.patients == 2
    # The week has had what it should have had; else nothing has been shown.
    happened = {row["event"] for row in days.home.rows("alert_event")}
    assert happened >= {
        *("remeasure_asked", "not_confirmed", "raised", "reraised", "joined", "ended"),
        *("evidence_withdrawn", "taken", "released", "paused", "noted", "resolved"),
        *("reopened", "undone", "assigned", "unassigned", "escalated"),
    }
    rules = {row["rule"] for row in days.home.rows("alert")}
    assert rules >= {
        *("limit.spo2", "limit.pulse", "limit.blood_pressure", "failed_attempts"),
        *("missed", "silence", "unmonitored", "reconnect", "symptom.breath", "sustained.low"),
        "average.home",
    }
    assert total.alerts == len(days.home.rows("alert"))


async def test_what_was_tampered_with_deleted_or_dropped_is_found_and_named(
    database: Database,
) -> None:
    days = await two_patients(database)
    await nurses_at_work(days)
    home = days.home
    by_outcome = {row["outcome"]: row for row in sorted(home.rows("alert"), key=_first)}
    red, disproved = by_outcome["measuring_error"]["id"], by_outcome["not_confirmed"]["id"]

    # Columns derived for searches are no source: raw records are.
    home.execute("UPDATE observation SET value = 99, flags = NULL WHERE value IS NOT NULL")
    assert (await days.rejudged())[0] == []

    home.execute("UPDATE alert SET priority = 'yellow' WHERE id = %s", red)
    [tampered] = (await days.rejudged())[0]
    assert (str(tampered.alert_id), tampered.patient_id) == (red, FIRST)
    assert tampered.text == "its priority is stored as yellow, and follows as red."
    home.execute("UPDATE alert SET priority = 'red' WHERE id = %s", red)

    home.execute(
        "DELETE FROM alert_event WHERE id IN (SELECT min(id) FROM alert_event"
        " WHERE alert_id = %s AND event = 'raised')",
        red,
    )
    [deleted] = (await days.rejudged())[0]
    assert str(deleted.alert_id) == red
    assert "follows as raised by rules at 2026-02-02T08:15:00" in deleted.text

    home.execute("DELETE FROM alert_event WHERE alert_id = %s", disproved)
    home.execute("DELETE FROM alert WHERE id = %s", disproved)
    dropped = (await days.rejudged())[0]
    assert {(str(one.alert_id), one.rule) for one in dropped} >= {(disproved, "limit.spo2")}
    assert any("is not stored" in one.text for one in dropped)


async def test_averages_are_issued_and_amended_as_they_were(database: Database) -> None:
    days = await two_patients(database)
    home = days.home
    wrong = await a_course(days)
    [before] = [row["readings"] for row in home.rows("alert") if row["rule"] == "average.home"]
    await changes_to_it(days, wrong)

    found, _ = await days.rejudged()

    assert [one.text for one in found] == []
    # A course of seven days, and a rolling average for each day with a reading.
    issued = [row for row in home.rows("observation") if row["code"] == "96607-7"]
    assert Counter(row["status"] for row in issued)["amended"] >= 2
    [alert] = [row for row in home.rows("alert") if row["rule"] == "average.home"]
    told = [row["event"] for row in home.rows("alert_event") if row["alert_id"] == alert["id"]]
    assert {"raised", "joined"} <= {*told}

    # Without what followed from the reading that was taken back, the alert shows an old mean.
    text = msgspec.json.encode(before).decode()
    home.execute("UPDATE alert SET readings = %s WHERE id = %s", text, alert["id"])
    left_out = (await days.rejudged())[0]
    assert {(str(one.alert_id), one.rule) for one in left_out} == {(alert["id"], "average.home")}


async def test_the_command_says_each_difference_and_fails(database: Database) -> None:
    days = await two_patients(database)
    await days.spo2(at(7), "82")

    alike = _rejudge(database)
    days.home.execute("UPDATE alert SET state = 'taken', owner = %s", ANNA)
    unlike = _rejudge(database)
    nobody = _rejudge(database, "--patient", "00000000-0000-4000-8000-000000000009")

    assert (alike.returncode, alike.stderr) == (0, "")
    assert alike.stdout == "2 patients, 1 alerts judged anew; differences: none.\n"
    assert unlike.returncode == 1
    [state, owner, told] = unlike.stdout.splitlines()
    assert state.startswith(f"Patient {FIRST}: alert ")
    assert state.endswith("(limit.spo2): its state is stored as taken, and follows as new.")
    assert owner.endswith(f"its owner is stored as {ANNA}, and follows as none.")
    assert told == "2 patients, 1 alerts judged anew; differences: 2."
    assert nobody.returncode == 1
    assert "has ever had a plan" in nobody.stderr


def _first(row: dict[str, Any]) -> str:
    return row["resolved_at"]


def _rejudge(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
    return subprocess.run(
        [sys.executable, "-m", "ingest_service.command", "rejudge", "--check", *arguments],
        env=environment | {"HEMVITAL_INGEST_DATABASE": database.dsn("hemvital_ingest")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


_SATURATION = st.sampled_from(["82", "86", "87", "89", "90", "91", "94", "96"])
_STEP = st.one_of(
    st.tuples(st.just("spo2"), st.lists(_SATURATION, min_size=1, max_size=3)),
    st.tuples(st.just("late"), st.lists(_SATURATION, min_size=1, max_size=7)),
    st.tuples(st.just("cuff"), st.sampled_from(["170", "185", None])),
    st.tuples(st.just("tick"), st.none()),
    st.tuples(st.just("act"), st.sampled_from([Take(), Release(), DONE, ERROR, Undo()])),
    st.tuples(st.just("invalidate"), st.integers(0, 3)),
    st.tuples(st.just("move"), st.integers(5, 90)),
    st.tuples(st.just("answer"), st.sampled_from([1, 4])),
    st.tuples(st.just("leave"), st.none()),
)
_GAP_MIN = st.sampled_from([1, 7, 16, 45, 240, 900])


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.tuples(_GAP_MIN, _STEP), min_size=6, max_size=16))
def test_any_history_follows_from_what_came_in(
    services: Services, migrated_template: Database, steps: list[tuple[int, tuple[str, Any]]]
) -> None:
    with cloned(services, migrated_template.name) as database:
        found = asyncio.run(_lived(database, steps))

    assert found == []


async def _lived(database: Database, steps: list[tuple[int, tuple[str, Any]]]) -> list[str]:
    days, now = await two_patients(database), at(6)
    for gap_min, (what, given_) in steps:
        now += timedelta(minutes=gap_min)
        await _step(days, now, what, given_)
    await days.tick(now + timedelta(minutes=20))
    return [one.text for one in (await days.rejudged())[0]]


async def _step(days: Days, now: datetime, what: str, value: Any) -> None:
    records = days.records
    match what:
        case "spo2":
            await days.spo2(now, *value)
        case "late":
            ago = [timedelta(minutes=45 * (number + 1)) for number in range(len(value))]
            await days.late(now, list(zip(value, ago, strict=True)))
        case "cuff":
            await days.cuff(now, value, value and "100")
        case "tick":
            await days.tick(now)
        case "act":
            await days.do(now, value)
        case "invalidate" if len(records) > value:
            await days.invalidate(now, records.pop(-1 - value))
        case "move" if records:
            corrected = days.home.correction(
                records[-1].record_id, records[-1].effective_at - timedelta(minutes=value)
            )
            await days.give(now, corrected)
        case "answer":
            await days.answer(now, value)
        case "leave":
            await days.sign_out(now, ANNA)
        case _:
            return
