"""A version of a plan as the mapping to FHIR takes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec

from fhir_mappings.care_plan_details import (
    ApprovalDetails,
    CarePlanDetails,
    LimitDetails,
    PauseDetails,
    RequestDetails,
    Status,
    TargetDetails,
    UnitDetails,
)
from fhir_mappings.timings import WindowDetails
from ingest_service.plans import plan as plans
from ingest_service.plans.limits import Limits, Measure
from ingest_service.plans.plan import Activity, Plan
from ingest_service.plans.windows import Condition, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What is known of a version beside its document.

    ``in_force``: when patients were, are or will be judged by it; ``None`` if never.
    """

    by: str
    at: datetime
    reason: str | None
    in_force: tuple[datetime, datetime | None] | None
    unit: UnitDetails
    lead_unit: UnitDetails


def details(
    plan: Plan, written: Written, *, at: datetime, document: bytes | None = None
) -> CarePlanDetails:
    """Return what a version of a plan tells at a time.

    Nothing that does not judge looks as if it did (A19): an active plan that nobody approved is
    told as a draft, one whose time is over as completed.

    Args:
        plan: One version, as one programme wrote it and not merged.
        written: What is known beside it.
        at: The time it is.
        document: The plan as it is stored, to go with it.
    """
    approval = plan.approval
    return CarePlanDetails(
        id=plan.id,
        version=plan.version,
        patient_id=plan.patient_id,
        programme=plan.programme,
        status=_status(plan, at),
        since=plan.since,
        until=plan.until,
        in_force=written.in_force,
        lead_unit=written.lead_unit,
        unit=written.unit,
        approval=(
            ApprovalDetails(by=approval.by, role=approval.role, at=approval.at)
            if approval
            else None
        ),
        written_by=written.by,
        written_at=written.at,
        template=(plan.template.id, plan.template.version) if plan.template else None,
        requests=tuple(_request(plan, activity) for activity in plan.activities),
        targets=tuple(
            TargetDetails(measure=measure.value, low=target.low, high=target.high)
            for measure, target in plan.targets.items()
            if target.low is not None or target.high is not None
        ),
        limits=tuple(_limits(plan)),
        pauses=tuple(
            PauseDetails(since=one.since, until=one.until, reason=one.reason, by=one.by)
            for one in plan.pauses
        ),
        instructions=tuple(_instructions(plan)),
        reason=written.reason,
        document=document,
    )


def _status(plan: Plan, at: datetime) -> Status:
    if plan.status is not plans.Status.ACTIVE:
        return plan.status.value
    if plan.approval is None:
        return "draft"
    is_over = plan.until is not None and plan.until <= at
    return "completed" if is_over else "active"


def _request(plan: Plan, activity: Activity) -> RequestDetails:
    return RequestDetails(
        family=activity.family.value,
        windows=tuple(_window(window, plan.time_zone) for window in activity.windows),
        since=plan.since_of(activity),
        protocol=activity.protocol,
        course_start=activity.course_start,
    )


def _window(window: Window, zone: str) -> WindowDetails:
    return WindowDetails(
        name=window.name,
        minutes=window.minutes,
        zone=zone,
        condition=window.condition.value,
        sitting=window.sitting.value,
        weekdays=window.weekdays,
        weeks_of_month=window.weeks_of_month,
        every_n_days=window.every_n_days,
        anchor=window.anchor,
    )


def _limits(plan: Plan) -> Iterator[LimitDetails]:
    for measure, limits in plan.limits.items():
        yield _limit(measure, limits, Condition.REST)
    for condition, by_measure in plan.limits_when.items():
        for measure, limits in by_measure.items():
            yield _limit(measure, limits, condition)
    for one in plan.temporary:
        yield LimitDetails(
            measure=one.measure.value,
            condition="rest",
            limits=_named(one.limits),
            during=(one.since, one.until),
            by=one.by,
            reason=one.reason,
        )


def _limit(measure: Measure, limits: Limits, condition: Condition) -> LimitDetails:
    return LimitDetails(measure=measure.value, condition=condition.value, limits=_named(limits))


def _named(limits: Limits) -> tuple[tuple[str, Decimal], ...]:
    return tuple(
        (_camel(name), value)
        for name, value in msgspec.structs.asdict(limits).items()
        if value is not None
    )


def _instructions(plan: Plan) -> Iterator[tuple[str, str]]:
    if plan.on_red is None:
        return
    yield "in opening hours", plan.on_red.in_hours
    if plan.on_red.out_of_hours is not None:
        yield "out of hours", plan.on_red.out_of_hours


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
