"""Plans in the database: who is judged by what, what becomes of limits of before, who is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from pydantic import ValidationError

from ingest_service import registration
from ingest_service.plans.default_hours import DEFAULT_HOURS
from ingest_service.plans.hours import is_open
from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import Plan
from ingest_service.plans.reading import PlanError
from ingest_service.registration import Registration, RegistrationError
from ingest_service.store import migration, plans
from ingest_service.store.callers import Caller
from ingest_service.store.plans import Unmonitored, Why
from tests.support import plan_documents as documents
from tests.support.clinic import Clinic, Unit
from tests.support.ingest import UNIT, Home, document, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
PATIENT = id_of("patient-1")
SPO2 = {"spo2": {"red_low": "88", "yellow_low": "90"}}


async def in_force(database: Database, patient: UUID, at: datetime = NOW) -> Plan | None:
    async with await AsyncConnection.connect(database.dsn("hemvital_ingest")) as opened:
        return (await plans.in_force(opened, [patient], at)).get(patient)


async def register(database: Database, *given: dict[str, Any]) -> None:
    async with await AsyncConnection.connect(database.dsn()) as opened:
        await registration.register(
            opened,
            Registration.model_validate({"plans": [dict(one) for one in given]}),
            now=datetime.now(UTC),
        )


async def unmonitored(database: Database, unit: Unit) -> list[Unmonitored]:
    caller = Caller(actor="SE1", kind="staff", care_unit_ids=(unit.id,), trace_id="0")
    async with await AsyncConnection.connect(database.dsn("hemvital_api")) as opened:
        return await plans.unmonitored_patients(opened, caller, now=NOW, limit=100)


async def test_a_registered_plan_is_in_force_as_it_was_approved(database: Database) -> None:
    await registered(database, limits=[{"measure": "spo2", "red_low": 88, "yellow_low": 90}])

    plan = await in_force(database, PATIENT)

    assert plan is not None
    assert plan.approval is not None
    assert plan.approval.by == documents.CLINICIAN
    assert plan.limits_at(NOW) == {
        Measure.SPO2: Limits(red_low=Decimal(88), yellow_low=Decimal(90))
    }


async def test_the_same_document_again_changes_nothing(database: Database) -> None:
    home = await registered(database)
    before = home.rows("plan")

    async with await AsyncConnection.connect(database.dsn()) as opened:
        await registration.register(opened, document(), now=datetime.now(UTC))

    assert home.rows("plan") == before


async def test_a_new_version_holds_from_its_approval_on(database: Database) -> None:
    first = documents.document(PATIENT, UNIT, SPO2)
    await registered(database, limits=[])
    await register(database, first)
    at = NOW - timedelta(days=1)
    second = {
        **first,
        "version": 2,
        "approval": {"by": "SE9", "role": "physician", "at": at.isoformat()},
        "limits": {"spo2": {"red_low": "85"}},
    }

    await register(database, second)

    before, after = await in_force(database, PATIENT, at - timedelta(seconds=1)), None
    after = await in_force(database, PATIENT, at)
    assert before is not None
    assert after is not None
    assert (before.version, after.version) == (1, 2)


async def test_a_version_never_says_something_else(database: Database) -> None:
    await registered(database, limits=[])
    first = documents.document(PATIENT, UNIT, SPO2)
    await register(database, first)

    with pytest.raises(RegistrationError, match=r"version 1 of plan .* says something else"):
        await register(database, {**first, "limits": {"spo2": {"red_low": "80"}}})
    with (
        psycopg.connect(database.dsn()) as opened,
        pytest.raises(psycopg.errors.CheckViolation, match="write a new version"),
    ):
        opened.execute("UPDATE plan SET body = '{}'")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"approval": None}, "plan.approval: who approved it must be stated"),
        ({"on_red": {"in_hours": "Call."}}, "plan.on_red.out_of_hours: must say"),
        ({"limits": {"spo2": {"red_low": "95", "yellow_low": "90"}}}, "plan.limits.spo2.red_low"),
        ({"limits": {"spo2": {"red_low": "x"}}}, "plan.limits.spo2.red_low: Invalid decimal"),
    ],
)
def test_a_plan_that_is_wrong_is_refused_with_its_place(change: dict[str, Any], told: str) -> None:
    given = documents.document(PATIENT, UNIT, SPO2) | change

    with pytest.raises(ValidationError, match=told):
        Registration.model_validate({"plans": [given]})


async def test_a18_two_programmes_are_one_plan_led_by_the_patients_unit(
    database: Database,
) -> None:
    await registered(database, limits=[])
    clinic = Clinic(database.dsn())
    other = clinic.unit("SE2321000016-E102")
    mine = documents.document(PATIENT, UNIT, SPO2, programme="COPD")
    theirs = documents.document(
        PATIENT, other.id, {"spo2": {"red_low": "86", "yellow_low": "92"}}, programme="heart"
    )
    clinic.plan(theirs)
    clinic.plan(mine)

    plan = await in_force(database, PATIENT)

    assert plan is not None
    assert (str(plan.id), plan.care_unit_id) == (mine["id"], UNIT)
    assert plan.limits[Measure.SPO2] == Limits(red_low=Decimal(88), yellow_low=Decimal(92))
    assert {str(part.id) for part in plan.merged_from} == {mine["id"], theirs["id"]}


async def test_a19_who_has_no_plan_in_force_is_told_with_why(database: Database) -> None:
    clinic = Clinic(database.dsn())
    unit = clinic.unit()
    names = ("Held", "Draft", "Expired", "Begins", "Nothing", "Watched", "Revoked")
    patients = {name: clinic.patient(unit, given=name, family=name) for name in names}

    def plan(name: str, **given: Any) -> None:
        clinic.plan(documents.document(patients[name], unit.id, SPO2, **given))

    plan("Draft", status="draft", approval=None)
    plan("Held", until=(NOW - timedelta(days=2)).isoformat())
    plan("Held", status="on-hold", version=2)
    clinic.plan(
        documents.document(patients["Expired"], unit.id, SPO2, until="2026-11-24T12:00:00Z")
    )
    plan("Begins", since="2026-11-26T12:00:00Z")
    plan("Watched")
    plan("Revoked", status="revoked")

    found = await unmonitored(database, unit)

    why = {
        name: each.why
        for each in found
        for name, id_ in patients.items()
        if id_ == each.patient_id
    }
    assert why == {
        "Held": Why.ON_HOLD,
        "Draft": Why.DRAFT_ONLY,
        "Expired": Why.EXPIRED,
        "Begins": Why.NOT_BEGUN,
        "Nothing": Why.NO_PLAN,
        "Revoked": Why.ENDED,
    }
    since = {each.why: each.since for each in found}
    assert since[Why.EXPIRED] == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert await in_force(database, patients["Expired"]) is None


async def test_a19_a_draft_or_held_plan_judges_nobody(database: Database) -> None:
    await registered(database, limits=[])
    for status in ("draft", "on-hold", "revoked", "completed"):
        documents.write(
            database.dsn(),
            documents.document(PATIENT, UNIT, SPO2, status=status, programme=status),
        )

    assert await in_force(database, PATIENT) is None


async def test_a_plan_that_cannot_be_read_is_named(database: Database) -> None:
    await registered(database, limits=[])
    plan = documents.document(PATIENT, UNIT, {"spo2": {"red_low": "much"}})
    documents.write(database.dsn(), plan)

    with pytest.raises(PlanError, match=rf"plan {plan['id']} version 1\.limits\.spo2\.red_low"):
        await in_force(database, PATIENT)


async def test_the_clock_is_told_when_a_plan_begins_or_ends(database: Database) -> None:
    await registered(database, limits=[])
    until = NOW + timedelta(days=3)
    documents.write(
        database.dsn(), documents.document(PATIENT, UNIT, SPO2, until=until.isoformat())
    )
    later = NOW + timedelta(days=2)
    documents.write(
        database.dsn(),
        documents.document(PATIENT, UNIT, SPO2, since=later.isoformat(), programme="other"),
    )

    async with await AsyncConnection.connect(database.dsn("hemvital_ingest")) as opened:
        found = await plans.next_change(opened, [PATIENT], NOW)
        after = await plans.next_change(opened, [PATIENT], until)

    assert found == {PATIENT: later}
    assert after == {}


async def test_a_unit_without_hours_is_an_office_and_never_open_at_night(
    database: Database,
) -> None:
    await registered(database)

    async with await AsyncConnection.connect(database.dsn("hemvital_ingest")) as opened:
        hours = (await plans.hours_of(opened, [UNIT]))[UNIT]

    assert hours == DEFAULT_HOURS
    wednesday = datetime(2026, 11, 25, tzinfo=UTC)
    assert is_open(hours, wednesday + timedelta(hours=9))
    assert not is_open(hours, wednesday + timedelta(hours=2))
    assert not is_open(hours, datetime(2026, 12, 25, 9, tzinfo=UTC))


async def test_hours_that_are_registered_are_the_units(database: Database) -> None:
    home = await registered(database)
    hours: dict[str, Any] = {
        "zone": "Europe/Stockholm",
        "weekly": {"1": [{"start": "10:00", "end": "12:00"}]},
        "respond_within_min": {"red": 15, "yellow": 60, "blue": 600},
        "finish_within_min": 60,
    }
    given = Registration.model_validate(
        {
            "care_unit_hours": [
                {
                    "care_unit_id": UNIT,
                    "hours": hours,
                    "decided_by": "SE1",
                    "decided_at": "2026-01-01T00:00:00Z",
                }
            ]
        }
    )

    async with await AsyncConnection.connect(database.dsn()) as opened:
        await registration.register(opened, given, now=datetime.now(UTC))
        await registration.register(opened, given, now=datetime.now(UTC))
        found = (await plans.hours_of(opened, [UNIT]))[UNIT]

    assert found.respond_within_min.red == 15
    assert home.count("care_unit_hours") == 1


@pytest.fixture
def before_plans(tmp_path: Path) -> Path:
    """Return the migrations of before there were plans."""
    found = tmp_path / "migrations"
    found.mkdir()
    for script in Path(migration.__file__).with_name("migrations").glob("*.sql"):
        if script.name < "0014":
            (found / script.name).write_text(script.read_text("utf-8"), "utf-8")
    return found


async def test_limits_of_before_become_plans_that_judge_as_they_did(
    empty_database: Database, before_plans: Path
) -> None:
    migration.apply(empty_database.dsn(), before_plans)
    home = Home(database=empty_database)
    clinic = Clinic(empty_database.dsn())
    unit = clinic.unit()
    patient = clinic.patient(unit)
    ended = clinic.patient(unit, given="Ended")
    add = (
        "INSERT INTO limit_set (id, patient_id, measure, red_low, yellow_low, yellow_high,"
        " red_high, valid, approved_by, approved_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'SE1', '2020-01-01')"
    )
    home.execute(add, uuid4(), patient, "systolic", 90, "100.5", 150, 180, "[2020-01-01,)")
    home.execute(add, uuid4(), patient, "spo2", 88, None, None, None, "[2020-01-01,)")
    home.execute(add, uuid4(), patient, "pulse", 40, None, None, 130, "[2020-01-01,2126-01-01)")
    home.execute(add, uuid4(), ended, "pulse", 40, None, None, 130, "[2020-01-01,2021-01-01)")

    migration.apply(empty_database.dsn())

    plan = await in_force(empty_database, patient)
    assert plan is not None
    assert plan.limits_at(NOW) == {
        Measure.SYSTOLIC: Limits(
            red_low=Decimal(90),
            yellow_low=Decimal("100.5"),
            yellow_high=Decimal(150),
            red_high=Decimal(180),
        ),
        Measure.SPO2: Limits(red_low=Decimal(88)),
        Measure.PULSE: Limits(red_low=Decimal(40), red_high=Decimal(130)),
    }
    assert {plan.confirm_of(family).within_min for family in plan.confirm} == {0}
    assert set(plan.confirm) == {Family.BLOOD_PRESSURE, Family.SPO2, Family.PULSE}
    assert plan.approval is not None
    assert plan.approval.by == "SE1"
    later = await in_force(empty_database, patient, datetime(2126, 1, 2, tzinfo=UTC))
    assert later is not None
    assert Measure.PULSE not in later.limits
    assert await in_force(empty_database, ended) is None
    assert home.count("limit_set") == 4
