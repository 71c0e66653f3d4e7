"""The patients' plans, as the server's plan documents are written."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

import msgspec

from benchmarks.cohort import parameters as given
from benchmarks.cohort.parameters import Parameters
from benchmarks.cohort.patients import Patient
from benchmarks.cohort.plain import exact
from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import Activity, Approval, Oxygen, Plan, Risk, Status
from ingest_service.plans.windows import Window

#: A placeholder: nobody approves limits of people who do not exist.
APPROVER: Final = "SE2321000016-0000"
UNIT: Final = UUID("3d0a6c6e-3f5e-5f43-b3c8-0c6c6f4a7d10")


def plan(parameters: Parameters, patient: Patient) -> Plan:
    """Return a patient's plan: the programme's windows and rules, and limits of their own."""
    programme = parameters.programmes[patient.programme]
    return Plan(
        id=uuid5(patient.id, "plan"),
        version=1,
        patient_id=patient.id,
        care_unit_id=UNIT,
        programme=patient.programme,
        status=Status.ACTIVE,
        since=patient.since,
        until=patient.until,
        approval=Approval(by=APPROVER, role="physician", at=patient.since),
        time_zone=parameters.time_zone,
        risk=Risk(programme.risk),
        oxygen=Oxygen(is_used=programme.oxygen),
        activities=tuple(_activity(one) for one in programme.activities),
        limits={
            Measure(measure): msgspec.convert(sides, Limits)
            for measure, sides in exact(patient.limits).items()
        },
        confirm=programme.confirm,
        rules=programme.rules,
    )


def _activity(activity: given.Activity) -> Activity:
    windows = tuple(
        Window(name=one.name, start=one.start, end=one.end, weekdays=one.weekdays)
        for one in activity.windows
    )
    return Activity(family=Family(activity.family), windows=windows)
