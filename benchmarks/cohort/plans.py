"""The patients' plans, as the server's plan documents are written."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Final
from uuid import UUID, uuid5

import msgspec

from benchmarks.cohort import parameters as given
from benchmarks.cohort.parameters import Parameters, ParametersError
from benchmarks.cohort.patients import Patient
from benchmarks.cohort.plain import exact
from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import (
    Activity,
    Approval,
    Oxygen,
    Plan,
    Risk,
    Status,
    TemplateUse,
)
from ingest_service.plans.templates import library
from ingest_service.plans.templates.template import Template
from ingest_service.plans.windows import Window

#: A placeholder: nobody approves limits of people who do not exist.
APPROVER: Final = "SE2321000016-0000"
ROLE: Final = "physician"
UNIT: Final = UUID("3d0a6c6e-3f5e-5f43-b3c8-0c6c6f4a7d10")


def plan(parameters: Parameters, patient: Patient) -> Plan:
    """Return a patient's plan: the template's rules, the programme's windows, their own limits."""
    programme = parameters.programmes[patient.programme]
    template = newest(programme.template) if programme.template is not None else None
    proposed: Mapping[Measure, Limits] = template.limits if template is not None else {}
    return Plan(
        id=uuid5(patient.id, "plan"),
        version=1,
        patient_id=patient.id,
        care_unit_id=UNIT,
        programme=patient.programme,
        status=Status.ACTIVE,
        since=patient.since,
        until=patient.until,
        approval=Approval(by=APPROVER, role=ROLE, at=patient.since),
        template=TemplateUse(id=template.id, version=template.version) if template else None,
        time_zone=parameters.time_zone,
        risk=Risk(programme.risk),
        oxygen=Oxygen(is_used=programme.oxygen),
        activities=tuple(_activity(one, template) for one in programme.activities),
        limits={
            Measure(measure): _limits(sides, proposed.get(Measure(measure)))
            for measure, sides in exact(patient.limits).items()
        },
        confirm={**(template.confirm if template else {}), **programme.confirm},
        rules=(*(template.rules if template else ()), *programme.rules),
    )


@cache
def newest(template_id: str) -> Template:
    """Return the newest version of a template that comes with the program.

    Raises:
        ParametersError: If there is none of that id.
    """
    known = [one for one in library.shipped().values() if one.id == template_id]
    if not known:
        names = ", ".join(sorted({one.id for one in library.shipped().values()}))
        raise ParametersError(f"template: {template_id}: none of {names}")
    return max(known, key=lambda one: one.version)


def _limits(sides: Mapping[str, Decimal], proposed: Limits | None) -> Limits:
    """Return a patient's own limits, with the template's hysteresis and step."""
    own = msgspec.convert(sides, Limits)
    if proposed is None:
        return own
    return msgspec.structs.replace(own, hysteresis=proposed.hysteresis, step=proposed.step)


def _activity(activity: given.Activity, template: Template | None) -> Activity:
    """Return what is measured in which windows; averages by the template's protocol."""
    family = Family(activity.family)
    same = [one for one in template.activities if one.family is family] if template else []
    windows = tuple(
        Window(name=one.name, start=one.start, end=one.end, weekdays=one.weekdays)
        for one in activity.windows
    )
    protocol = same[0].protocol if same else None
    return Activity(family=family, windows=windows, protocol=protocol)
