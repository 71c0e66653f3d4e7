"""A version of a measurement plan as a FHIR R4 CarePlan: finished JSON text.

What it asks for (ServiceRequest, one for each window), what is aimed at (Goal), who leads the care
(CareTeam) and, if given, the plan's own document (DocumentReference) are contained: they are
nothing without it, and have no versions of their own. It claims no profile. Limits are no goals:
they alert, a goal does not; they stand in an extension, since R4's CarePlan has no place for them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from fhir_mappings import codes
from fhir_mappings.care_plan_details import (
    CarePlanDetails,
    Family,
    LimitDetails,
    Measure,
    RequestDetails,
    Status,
    TargetDetails,
    UnitDetails,
)
from fhir_mappings.codes import SNOMED_CT, Unit
from fhir_mappings.elements import (
    Annotation,
    CodeableConcept,
    Coding,
    Extension,
    Identifier,
    Logical,
    Meta,
    Period,
    Reference,
)
from fhir_mappings.identifiers import HSA_ID, WORKER, is_hsa_id
from fhir_mappings.plan_elements import (
    Attachment,
    CarePlan,
    CarePlanActivity,
    CareTeam,
    Content,
    DocumentReference,
    Goal,
    GoalTarget,
    Participant,
    Range,
    ServiceRequest,
    text,
)
from fhir_mappings.source import quantity
from fhir_mappings.timings import Condition, timing

_FAMILIES: Final[dict[Family, msgspec.Raw]] = {
    "blood_pressure": codes.BLOOD_PRESSURE.concept,
    "pulse": codes.PULSE,
    "spo2": codes.SPO2.concept,
    "body_weight": codes.BODY_WEIGHT.concept,
}
_MEASURES: Final[dict[Measure, tuple[msgspec.Raw, str, Unit]]] = {
    "systolic": (codes.SYSTOLIC.concept, "Systolic blood pressure", codes.MMHG),
    "diastolic": (codes.DIASTOLIC.concept, "Diastolic blood pressure", codes.MMHG),
    "pulse": (codes.PULSE, "Pulse rate", codes.PER_MINUTE),
    "spo2": (codes.SPO2.concept, "SpO2", codes.PERCENT),
    "body_weight": (codes.BODY_WEIGHT.concept, "Body weight", codes.KILOGRAM),
}
_CONDITIONS: Final[dict[Condition, CodeableConcept]] = {
    "rest": CodeableConcept((Coding(SNOMED_CT, "263678003", "At rest"),), "At rest"),
    "after_exertion": CodeableConcept(
        (Coding(SNOMED_CT, "255214003", "After exercise"),), "After exertion"
    ),
    "asleep": CodeableConcept(text="Asleep"),
}
_GOALS: Final[dict[Status, str]] = {
    "draft": "proposed",
    "active": "active",
    "on-hold": "on-hold",
    "revoked": "cancelled",
    "completed": "completed",
}
_AT_HOME: Final = CodeableConcept(
    (Coding("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "PTRES", "Patient's Residence"),)
)
_TEMPLATE: Final = "urn:hemvital:plan-template:"


def map_care_plan(details: CarePlanDetails) -> str:
    """Return the CarePlan of one version of a plan.

    Source:
        FHIR R4, CarePlan, ServiceRequest, Goal, CareTeam; invariants dom-3, dom-4, gol-1, prr-1.
    """
    goals = tuple(_goal(details, target) for target in details.targets)
    requests = tuple(_requests(details))
    documents = () if details.document is None else (_document(details, details.document),)
    template = details.template
    return text(
        CarePlan(
            id=details.id,
            meta=Meta(
                version_id=str(details.version), last_updated=details.written_at.isoformat()
            ),
            contained=(*goals, *requests, _team(details), *documents),
            extension=tuple(_extensions(details)),
            instantiates_uri=(f"{_TEMPLATE}{template[0]}:{template[1]}",) if template else (),
            status=details.status,
            intent="plan",
            title=details.programme,
            subject=_patient(details),
            period=_period(details.since, details.until),
            author=_person(details.approval.by) if details.approval else None,
            contributor=(_person(details.written_by),),
            care_team=(Reference("#team"),),
            supporting_info=tuple(Reference(f"#{one.id}") for one in documents),
            goal=tuple(Reference(f"#{goal.id}") for goal in goals),
            activity=tuple(CarePlanActivity(Reference(f"#{one.id}")) for one in requests),
            note=tuple(Annotation(words) for words in _notes(details)),
        )
    )


def _goal(details: CarePlanDetails, target: TargetDetails) -> Goal:
    measure, name, unit = _MEASURES[target.measure]
    low, high = (
        None if value is None else quantity(value, unit) for value in (target.low, target.high)
    )
    words = [
        f"{which} {value:f} {unit.text}"
        for which, value in (("at least", target.low), ("at most", target.high))
        if value is not None
    ]
    return Goal(
        id=f"goal-{target.measure.replace('_', '-')}",
        lifecycle_status=_GOALS[details.status],
        description=CodeableConcept(text=f"{name}: {', '.join(words)}"),
        subject=_patient(details),
        target=(GoalTarget(measure, Range(low, high)),),
    )


def _requests(details: CarePlanDetails) -> Iterator[ServiceRequest]:
    asked = [
        (request, window) for request in details.requests for window in request.windows or (None,)
    ]
    approval = details.approval
    for number, (request, window) in enumerate(asked, 1):
        yield ServiceRequest(
            id=f"request-{number}",
            extension=tuple(_protocol(request)),
            status=details.status,
            intent="plan",
            code=_FAMILIES[request.family],
            order_detail=() if window is None else (_CONDITIONS[window.condition],),
            subject=_patient(details),
            occurrence_timing=(
                None
                if window is None
                else timing(window, since=request.since, until=details.until)
            ),
            as_needed_boolean=True if window is None else None,
            authored_on=approval.at.isoformat() if approval else None,
            requester=_person(approval.by) if approval else None,
            performer=(_patient(details),),
            location_code=(_AT_HOME,),
        )


def _protocol(request: RequestDetails) -> Iterator[Extension]:
    if request.protocol is None:
        return
    start = request.course_start
    yield Extension(
        codes.PROTOCOL,
        extension=(
            Extension("protocol", value_code=request.protocol),
            *((Extension("courseStart", value_date=start.isoformat()),) if start else ()),
        ),
    )


def _team(details: CarePlanDetails) -> CareTeam:
    is_other = details.unit.hsa_id != details.lead_unit.hsa_id
    return CareTeam(
        id="team",
        subject=_patient(details),
        participant=(Participant(_organization(details.unit)),) if is_other else (),
        managing_organization=(_organization(details.lead_unit),),
    )


def _document(details: CarePlanDetails, document: bytes) -> DocumentReference:
    return DocumentReference(
        id="document",
        status="current",
        subject=_patient(details),
        content=(
            Content(
                Attachment(
                    content_type="application/json",
                    data=b64encode(document).decode(),
                    title=f"plan {details.id} version {details.version}",
                )
            ),
        ),
    )


def _extensions(details: CarePlanDetails) -> Iterator[Extension]:
    if details.in_force is not None:
        yield Extension(codes.IN_FORCE, value_period=_period(*details.in_force))
    if (approval := details.approval) is not None:
        yield Extension(
            codes.APPROVAL,
            extension=(
                Extension("role", value_string=approval.role),
                Extension("at", value_date_time=approval.at.isoformat()),
            ),
        )
    if details.reason is not None:
        yield Extension(codes.STATUS_REASON, value_string=details.reason)
    for pause in details.pauses:
        yield Extension(
            codes.PAUSE,
            extension=(
                Extension("period", value_period=_period(pause.since, pause.until)),
                Extension("reason", value_string=pause.reason),
                Extension("by", value_reference=_person(pause.by)),
            ),
        )
    for limits in details.limits:
        yield Extension(codes.LIMITS, extension=tuple(_limits(limits)))


def _limits(details: LimitDetails) -> Iterator[Extension]:
    unit = _MEASURES[details.measure][2]
    yield Extension("measure", value_code=details.measure)
    yield Extension("condition", value_code=details.condition)
    for name, value in details.limits:
        yield Extension(name, value_quantity=quantity(value, unit))
    if details.during is not None:
        yield Extension("period", value_period=_period(*details.during))
    if details.by is not None:
        yield Extension("by", value_reference=_person(details.by))
    if details.reason is not None:
        yield Extension("reason", value_string=details.reason)


def _notes(details: CarePlanDetails) -> Iterator[str]:
    """Yield in words what a program that knows no extension must not hide from its reader."""
    if details.approval is None:
        yield "Nobody has approved this plan: no readings are judged by it."
    for when, words in details.instructions:
        yield f"On red, {when}: {words}"
    for pause in details.pauses:
        until = f" to {pause.until.isoformat()}" if pause.until else ", without an end"
        yield (
            f"Paused from {pause.since.isoformat()}{until}: {pause.reason} Nothing is expected"
            " meanwhile; what is measured is judged."
        )


def _patient(details: CarePlanDetails) -> Reference:
    return Reference(f"Patient/{details.patient_id}")


def _person(who: str) -> Logical:
    system = HSA_ID if is_hsa_id(who) else WORKER
    return Logical(Identifier(system=system, value=who), type="Practitioner")


def _organization(unit: UnitDetails) -> Logical:
    return Logical(Identifier(system=HSA_ID, value=unit.hsa_id), "Organization", unit.name)


def _period(since: datetime, until: datetime | None) -> Period:
    return Period(since.isoformat(), until.isoformat() if until else None)
