"""What clinicians decide about plans, in the real database."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection

from ingest_service.admission import planning
from ingest_service.admission.planning import PlanningError
from ingest_service.plans import reading
from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import Activity, Fact, Plan, Status, TemporaryLimits
from ingest_service.plans.templates.library import shipped
from ingest_service.plans.templates.template import assign
from ingest_service.store import plans
from ingest_service.store.connections import Connection
from tests.support import plan_documents as documents
from tests.support.ingest import UNIT, Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

PATIENT = id_of("patient-1")
NURSE, PHYSICIAN = "SE2321000016-0001", "SE2321000016-0042"
SPO2 = {"spo2": {"red_low": "90", "yellow_low": "91"}}


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database, limits=[])


@pytest.fixture
async def opened(home: Home) -> AsyncGenerator[Connection]:
    async with await AsyncConnection.connect(
        home.database.dsn("hemvital_operator"), autocommit=True
    ) as connection:
        yield connection


def draft(**given: Any) -> Plan:
    return reading.decode(
        msgspec.json.encode(
            documents.document(PATIENT, UNIT, SPO2, status="draft", approval=None, **given)
        )
    )


async def approved(opened: Connection, home: Home, plan: Plan, **given: Any) -> Plan:
    written = await planning.write(opened, plan, by=NURSE, now=home.now)
    decided, _ = await planning.approve(
        opened, written.id, written.version, by=PHYSICIAN, role="physician", now=home.now, **given
    )
    return decided


async def version_in_force(opened: Connection, home: Home) -> int | None:
    found = (await plans.in_force(opened, [PATIENT], home.now)).get(PATIENT)
    return found.version if found else None


async def test_a19_a_draft_judges_nobody_until_a_named_clinician_approves(
    opened: Connection, home: Home
) -> None:
    plan = await planning.write(opened, draft(), by=NURSE, now=home.now)
    assert await version_in_force(opened, home) is None

    with pytest.raises(PlanningError, match="who approves"):
        await planning.approve(opened, plan.id, 1, by=" ", role="physician", now=home.now)
    await planning.approve(opened, plan.id, 1, by=PHYSICIAN, role="physician", now=home.now)

    assert await version_in_force(opened, home) == 1
    [row] = home.rows("plan")
    assert (row["approved_by"], row["written_by"]) == (PHYSICIAN, PHYSICIAN)
    [clock] = home.rows("patient_clock")
    assert clock["due_at"] is not None


async def test_a12_a_plan_without_an_out_of_hours_action_cannot_be_approved(
    opened: Connection, home: Home
) -> None:
    plan = draft(on_red={"in_hours": "Call."})

    with pytest.raises(PlanningError, match=r"plan\.on_red\.out_of_hours"):
        await approved(opened, home, plan)


async def test_a_change_is_a_new_version_and_history_stays(opened: Connection, home: Home) -> None:
    first = await approved(opened, home, draft())
    home.now += timedelta(hours=1)
    tighter = {Measure.SPO2: Limits(red_low=Decimal(91), yellow_low=Decimal(92))}

    second = await approved(opened, home, msgspec.structs.replace(first, limits=tighter))

    assert second.version == 2
    assert await version_in_force(opened, home) == 2
    history = await plans.versions(opened, first.id)
    assert [(one.version, one.valid_until) for one in history] == [(1, home.now), (2, None)]


async def test_an_activity_that_is_new_was_not_missed_before(
    opened: Connection, home: Home
) -> None:
    first = await approved(opened, home, draft())
    home.now += timedelta(days=1)
    more = (*first.activities, Activity(family=Family.BODY_WEIGHT))

    second = await approved(opened, home, msgspec.structs.replace(first, activities=more))

    assert [one.since for one in second.activities] == [None, home.now]


async def test_a17_a_limit_that_is_loosened_while_it_alerts_needs_an_end_or_a_reason(
    opened: Connection, home: Home
) -> None:
    first = await approved(opened, home, draft())
    for days in (1, 2, 3):
        await home.give(home.oximeter("89", ago=timedelta(days=days)))
    loose = msgspec.structs.replace(
        first, limits={Measure.SPO2: Limits(red_low=Decimal(88), yellow_low=Decimal(91))}
    )
    home.now += timedelta(hours=1)
    written = await planning.write(opened, loose, by=NURSE, now=home.now)

    with pytest.raises(PlanningError, match=r"plan\.limits\.spo2\.red_low: .* 3 reading"):
        await planning.approve(
            opened, first.id, written.version, by=PHYSICIAN, role="physician", now=home.now
        )
    assert await version_in_force(opened, home) == 1
    await planning.approve(
        opened,
        first.id,
        written.version,
        by=PHYSICIAN,
        role="physician",
        now=home.now,
        permanent_reason="Her usual saturation is 89 since the spring.",
    )

    assert await version_in_force(opened, home) == 2
    kept = max(home.rows("plan"), key=lambda row: row["version"])["replay"]
    assert kept["before"]["count"] > 0
    assert kept["before"]["per_week"]["red"] > kept["after"]["per_week"]["red"]


async def test_a17_temporary_limits_return_by_themselves(opened: Connection, home: Home) -> None:
    first = await approved(opened, home, draft())
    await home.give(home.oximeter("89", ago=timedelta(days=1)))
    until = home.now + timedelta(days=7)
    temporary = TemporaryLimits(
        measure=Measure.SPO2,
        limits=Limits(red_low=Decimal(88)),
        since=home.now,
        until=until,
        by=PHYSICIAN,
        reason="Infection, treated.",
    )

    plan = await approved(opened, home, msgspec.structs.replace(first, temporary=(temporary,)))

    assert plan.limits_at(home.now)[Measure.SPO2].red_low == 88
    assert plan.limits_at(until)[Measure.SPO2].red_low == 90


async def test_a_plan_on_hold_judges_nobody_and_is_resumed(opened: Connection, home: Home) -> None:
    first = await approved(opened, home, draft())
    home.now += timedelta(hours=1)
    given = {"by": PHYSICIAN, "role": "physician"}

    with pytest.raises(PlanningError, match="why"):
        await planning.stop(opened, first.id, Status.ON_HOLD, reason=" ", now=home.now, **given)
    await planning.stop(
        opened, first.id, Status.ON_HOLD, reason="At the ward.", now=home.now, **given
    )
    held = await version_in_force(opened, home)
    home.now += timedelta(days=1)
    await planning.resume(opened, first.id, reason="Home again.", now=home.now, **given)

    assert held is None
    assert await version_in_force(opened, home) == 3
    assert [row["status"] for row in home.rows("plan")] == ["active", "on-hold", "active"]


async def test_a16_a_plan_of_the_guarded_template_stays_guarded_by_other_plans(
    opened: Connection, home: Home
) -> None:
    facts = {
        Fact.COPD: False,
        Fact.HOME_OXYGEN: False,
        Fact.USUALLY_LOW_SATURATION: False,
        Fact.BASELINE_KNOWN: True,
    }
    oximetry = assign(
        shipped()["covid-oximetry", 1],
        plan_id=id_of("oximetry"),
        patient_id=PATIENT,
        care_unit_id=UNIT,
        since=home.now,
        facts=facts,
    )
    await approved(opened, home, msgspec.structs.replace(oximetry, on_red=draft().on_red))
    copd = draft(programme="copd", facts={"copd": True}, oxygen={"is_used": False})

    with pytest.raises(PlanningError, match=r"plan\.facts\.copd: .* covid-oximetry"):
        await approved(opened, home, copd)


async def test_of_two_who_approve_the_second_is_told(opened: Connection, home: Home) -> None:
    plan = await approved(opened, home, draft())

    with pytest.raises(PlanningError, match="is no draft but active"):
        await planning.approve(opened, plan.id, 1, by=PHYSICIAN, role="physician", now=home.now)
