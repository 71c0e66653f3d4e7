"""What is new in a plan was not missed before it was asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from ingest_service.alerts.case import Case
from ingest_service.alerts.history import History
from ingest_service.alerts.rules import expected
from ingest_service.plans.default_hours import DEFAULT_HOURS
from ingest_service.plans.limits import Family
from ingest_service.plans.plan import Activity, Plan, Status
from ingest_service.plans.windows import Window


def test_windows_before_an_activity_began_are_not_missed() -> None:
    activity = Activity(
        family=Family.SPO2,
        windows=(Window(name="morning", start="06:00", end="10:00"),),
        since=datetime(2026, 3, 10, tzinfo=UTC),
    )
    plan = Plan(
        id=UUID(int=1),
        version=2,
        patient_id=UUID(int=2),
        care_unit_id=UUID(int=3),
        programme="copd",
        status=Status.ACTIVE,
        since=datetime(2026, 1, 1, tzinfo=UTC),
        activities=(activity,),
    )
    case = Case(
        patient_id=plan.patient_id,
        care_unit_id=plan.care_unit_id,
        plan=plan,
        hours=DEFAULT_HOURS,
        history=History(),
        judged_through=plan.since,
    )
    until = datetime(2026, 3, 11, 12, tzinfo=UTC)

    found = expected.ended(case, plan, activity, until=until, most=9)

    assert [one.occurrence.local_date.day for one in found] == [10, 11]
    assert expected.silent_since(case, plan, activity, until) == activity.since
