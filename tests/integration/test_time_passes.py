"""Plans, readings and time in the real database: a value waits for a second, windows pass."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus

from ingest_service import registration
from ingest_service.admission import actions
from ingest_service.admission.monitoring import sweep
from ingest_service.admission.passing import pass_time
from ingest_service.alerts.actions import Take
from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import Activity, AverageAbove
from ingest_service.registration import Registration
from ingest_service.store.callers import Caller
from tests.support import plans
from tests.support.ingest import Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

# A Monday in winter: Europe/Stockholm is an hour ahead of UTC, the unit opens at 8 (7 UTC).
MINUTES = timedelta(minutes=2)
MONDAY = datetime(2026, 2, 2, tzinfo=UTC)


def at(hour: int, minute: int = 0, day: int = 0) -> datetime:
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


async def a_home(database: Database, **changes: Any) -> Home:
    home = await registered(database, limits=[])
    home.now = at(7)
    plans.put(database, plans.copd(since=at(0), **changes))
    return home


async def give(home: Home, when: datetime, *values: str) -> None:
    home.now = when
    await home.give(*(home.oximeter(value) for value in values))


async def tick(home: Home, now: datetime) -> int:
    async with await AsyncConnection.connect(home.database.dsn("hemvital_ingest")) as opened:
        return await pass_time(opened, now=now, most=100)


def alerts(home: Home) -> list[dict[str, Any]]:
    return sorted(home.rows("alert"), key=lambda row: row["rule"])


def events(home: Home, rule: str) -> list[str]:
    [alert] = [row for row in alerts(home) if row["rule"] == rule]
    rows = [row for row in home.rows("alert_event") if row["alert_id"] == alert["id"]]
    return [row["event"] for row in sorted(rows, key=lambda row: row["id"])]


def said(home: Home) -> Collection[tuple[str, str]]:
    return {(row["kind"], row["state"]) for row in home.rows("message")}


async def test_a04_a_red_waits_for_a_second_value_and_is_red_without_one(
    database: Database,
) -> None:
    home = await a_home(database)
    await give(home, at(7), "86")

    [waiting] = alerts(home)
    assert (waiting["state"], waiting["raised_at"]) == ("awaiting", None)
    assert datetime.fromisoformat(waiting["confirm_by"]) == at(7, 15)
    assert ("remeasure_request", "waiting") in said(home)

    assert await tick(home, at(7, 14)) >= 0
    assert alerts(home)[0]["state"] == "awaiting"
    await tick(home, at(7, 16))
    [red] = alerts(home)
    assert (red["state"], red["priority"]) == ("new", "red")
    assert datetime.fromisoformat(red["raised_at"]) == at(7, 15)  # its own time, not the tick's
    assert red["facts"]["is_without_remeasurement"]


async def test_a04_a_second_red_confirms_and_a_second_within_limits_settles(
    database: Database,
) -> None:
    home = await a_home(database)
    await give(home, at(7), "86")
    await give(home, at(7, 8), "87")

    [red] = alerts(home)
    assert (red["state"], red["priority"]) == ("new", "red")
    assert len(red["readings"]) == 2
    assert events(home, "limit.spo2") == ["remeasure_asked", "raised"]


async def test_a04_what_a_second_value_disproves_alerts_nobody(database: Database) -> None:
    home = await a_home(database)
    await give(home, at(7), "86")
    await give(home, at(7, 8), "94")

    [settled] = alerts(home)
    assert (settled["state"], settled["outcome"]) == ("resolved", "not_confirmed")
    assert settled["raised_at"] is None
    await tick(home, at(7, 20))
    assert events(home, "limit.spo2") == ["remeasure_asked", "not_confirmed"]


async def test_a_value_beyond_the_immediate_limit_is_red_at_once(database: Database) -> None:
    home = await a_home(database)
    await give(home, at(7), "82")

    [red] = alerts(home)
    assert (red["state"], red["priority"]) == ("new", "red")
    assert red["due_at"] is not None


async def test_a19_without_an_approved_plan_nothing_is_judged(database: Database) -> None:
    home = await registered(database, limits=[])
    home.now = at(7)
    await home.give(home.oximeter("70"))

    assert alerts(home) == []
    assert home.count("observation") > 0


async def test_windows_are_judged_at_their_own_time_and_once(database: Database) -> None:
    home = await a_home(database)
    await give(home, at(6), "93")  # 7 o'clock there: the first morning is kept

    # Nobody ticked for a day and a half: three windows passed, evening, morning and evening.
    for _ in range(2):
        await tick(home, at(12, day=2))
    await asyncio.gather(*(tick(home, at(12, day=2)) for _ in range(3)))

    by_rule = {row["rule"]: row for row in alerts(home)}
    assert set(by_rule) == {"missed", "silence"}
    assert by_rule["missed"]["priority"] == "blue"
    assert by_rule["silence"]["priority"] == "red"  # 48 hours at 6 o'clock on day two
    assert datetime.fromisoformat(by_rule["silence"]["raised_at"]) == at(6, day=2)
    told = [each for each in events(home, "silence") if each != "escalated"]
    assert told == ["raised", "reraised"]
    # Whom nobody told meanwhile is not told of it all afterwards: of the staff's messages one is
    # still of use.
    staff = [row for row in home.rows("message") if row["kind"] == "staff_escalation"]
    assert len(staff) > 1
    assert sum(datetime.fromisoformat(row["deadline"]) > at(12, day=2) for row in staff) == 1
    reminders = [row for row in home.rows("message") if row["kind"] == "measure_reminder"]
    assert len(reminders) == 4


async def test_a_reading_ends_what_said_that_nothing_came(database: Database) -> None:
    home = await a_home(database)
    await give(home, at(6), "93")
    await tick(home, at(8, day=1))
    assert [row["rule"] for row in alerts(home)] == ["silence"]

    await give(home, at(8, 30, day=1), "93")

    [ended] = alerts(home)
    assert (ended["state"], ended["outcome"]) == ("resolved", "measured")


async def test_a09_a_gateway_that_never_said_anything_leaves_its_patient_unmonitored(
    database: Database,
) -> None:
    home = await a_home(database)
    home.execute("UPDATE device SET gateway_id = 'gateway-1'")
    home.execute("INSERT INTO gateway_listener VALUES (true, %s, %s)", at(-1), at(0))
    async with await AsyncConnection.connect(database.dsn("hemvital_ingest")) as opened:
        assert await sweep(opened, now=at(0)) == 3  # pressure, saturation, and either's pulse
        assert await sweep(opened, now=at(0)) == 0
    await tick(home, at(9, 20))

    by_rule = {row["rule"]: row for row in alerts(home)}
    assert set(by_rule) == {"unmonitored"}
    assert by_rule["unmonitored"]["facts"]["cause"] == "never_connected"
    assert {kind for kind, _ in said(home)} == {"chain_broken"}


async def test_a_course_is_averaged_and_judged_when_its_last_day_is_over(
    database: Database,
) -> None:
    cuff = Activity(
        family=Family.BLOOD_PRESSURE, protocol="esh-2021", course_start=date(2026, 2, 2)
    )
    rule = AverageAbove(id="home", limits={Measure.SYSTOLIC: Limits(yellow_high=Decimal(134))})
    home = await a_home(database, activities=(cuff,), rules=(rule,))
    for day in range(7):
        for hour in (6, 19):
            home.now = at(hour, day=day)
            await home.give(home.cuff("141", "84"), home.cuff("139", "82", ago=-MINUTES))

    await tick(home, at(2, 59, day=7))  # a minute to 4 there, where the protocol's day ends
    assert alerts(home) == []
    await tick(home, at(3, 1, day=7))

    [alert] = alerts(home)
    assert (alert["rule"], alert["priority"]) == ("average.home", "yellow")
    # Day one is left out; the mean of 141 and 139 is 140 on every other day.
    [issued] = [row for row in home.rows("observation") if row["code"] == "96607-7"]
    assert (issued["systolic"], issued["diastolic"]) == (140.0, 83.0)
    assert alert["readings"][0]["observation_id"] == issued["id"]
    await tick(home, at(3, 1, day=8))
    assert events(home, "average.home").count("raised") == 1


async def test_a_patient_of_whom_time_cannot_be_judged_is_red_and_holds_up_nobody(
    database: Database,
) -> None:
    home = await registered(database, patients=2, limits=[])
    home.now = at(7)
    plans.put(database, plans.copd(since=at(0)))
    plans.put(database, plans.copd(id_of("patient-2"), since=at(0)))
    home.execute("ALTER TABLE plan DISABLE TRIGGER USER")
    home.execute("UPDATE plan SET body = '{' WHERE patient_id = %s", id_of("patient-1"))

    await tick(home, at(9, 20))
    await tick(home, at(9, 21))

    broken = [row for row in alerts(home) if row["patient_id"] == str(id_of("patient-1"))]
    assert [(row["rule"], row["priority"]) for row in broken] == [("could_not_judge", "red")]
    reminded = [row["patient_id"] for row in home.rows("message") if "reminder" in row["kind"]]
    assert reminded == [str(id_of("patient-2"))]
    [clock] = [
        row for row in home.rows("patient_clock") if row["patient_id"] == str(id_of("patient-1"))
    ]
    assert datetime.fromisoformat(clock["due_at"]) == at(9, 25)


async def test_some_are_judged_at_a_time_and_nobody_is_locked_for_longer(
    database: Database,
) -> None:
    await a_home(database)

    async with await AsyncConnection.connect(database.dsn("hemvital_ingest")) as opened:
        await pass_time(opened, now=at(9, 20), most=100)
        assert opened.info.transaction_status is TransactionStatus.IDLE
        await sweep(opened, now=at(9, 20))
        assert opened.info.transaction_status is TransactionStatus.IDLE


async def test_a_registered_plan_starts_the_patients_clock(database: Database) -> None:
    home = await registered(database, limits=[])
    plan = msgspec.to_builtins(plans.copd(since=home.now - timedelta(days=3)), str_keys=True)
    given = Registration.model_validate(
        {"plans": [msgspec.json.decode(msgspec.json.encode(plan))]}
    )
    async with await AsyncConnection.connect(database.dsn()) as opened:
        await registration.register(opened, given, now=home.now)

    [clock] = home.rows("patient_clock")
    assert datetime.fromisoformat(clock["due_at"]) == home.now
    await tick(home, home.now)
    # Nothing came for three days: nobody has to wait until something does, to be told so.
    assert {row["rule"] for row in alerts(home)} == {"silence"}


async def test_a09_a_device_of_no_known_home_is_heard_by_the_gateway_that_last_brought_it(
    database: Database,
) -> None:
    home = await a_home(database)
    await give(home, at(6), "93")
    home.execute("INSERT INTO gateway_listener VALUES (true, %s, %s)", at(-1), at(7))
    home.execute(
        "INSERT INTO gateway_status (gateway_id, is_online, heard_at, changed_at, digest)"
        " VALUES ('gateway-1', false, %s, %s, '')",
        at(6, 30),
        at(6, 30),
    )

    async with await AsyncConnection.connect(database.dsn("hemvital_ingest")) as opened:
        await sweep(opened, now=at(7))

    causes = {row["family"]: row["cause"] for row in home.rows("monitoring_change")}
    assert causes["spo2"] == "gateway_offline"
    # The oximeter gives the pulse too, and the cuff that might is not heard either.
    assert set(causes) == {"blood_pressure", "pulse", "spo2"}


async def test_a_could_not_judge_that_no_program_can_read_hides_nothing(
    database: Database,
) -> None:
    home = await a_home(database)
    await give(home, at(7), "86")
    home.execute("UPDATE alert SET readings = '[{\"broken\": 1}]'")
    await give(home, at(7, 5), "85")
    home.execute("UPDATE alert SET readings = '[{\"broken\": 1}]'")

    await give(home, at(7, 9), "84")
    await tick(home, at(9, 20))

    [alert] = [row for row in alerts(home) if row["rule"] == "could_not_judge"]
    assert (alert["state"], alert["priority"]) == ("new", "red")
    assert {each["value"] for each in alert["readings"]} == {"84", "80"}  # and its pulse


async def test_a06_a_plan_that_no_program_can_read_keeps_nobody_from_a_red(
    database: Database,
) -> None:
    home = await registered(database, patients=2, limits=[])
    home.now = at(7)
    plans.put(database, plans.copd(since=at(0)))
    await give(home, at(7), "82")
    [red] = alerts(home)
    home.execute("ALTER TABLE plan DISABLE TRIGGER USER")
    home.execute("UPDATE plan SET body = '{'")

    await tick(home, at(9, 20))
    [waiting] = [row for row in alerts(home) if row["id"] == red["id"]]
    assert waiting["escalations"] >= 1
    nurse = Caller(
        actor="SE2321000016-1001",
        kind="staff",
        care_unit_ids=(UUID(waiting["care_unit_id"]),),
        trace_id="0" * 32,
    )
    async with await AsyncConnection.connect(
        database.dsn("hemvital_api"), autocommit=True
    ) as opened:
        done = await actions.act(
            opened, nurse, UUID(red["id"]), Take(), action_id=uuid4(), now=at(9, 25)
        )
        assert done.alert.owner == nurse.actor
        assert await actions.unassign_absent(opened, now=at(9, 30)) == 1
