"""The one door for what clinicians decide about plans: one decision, one transaction.

The patient is locked first (docs/adr/0005), so that no reading is judged half by one plan and half
by another. Each decision is a version; what was approved is never changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.admission import cases
from ingest_service.alerts.history import History
from ingest_service.alerts.replay import Replay, replay
from ingest_service.plans import checking, proposing, reading
from ingest_service.plans.limits import Measure
from ingest_service.plans.plan import Approval, Plan, Status
from ingest_service.plans.templates import library as templates
from ingest_service.plans.templates.template import Template, narrowing_faults
from ingest_service.protocols import library as protocols
from ingest_service.store import alerts, patients, plans
from ingest_service.store.connections import Connection
from ingest_service.store.plans import Affected, PlanRow, Version

_LATELY: Final = timedelta(days=14)


class PlanningError(Exception):
    """A plan cannot be so; the text says where and what, and repeats nothing of the patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A plan's replay over the last two weeks, beside that of what is in force now."""

    before: Replay
    after: Replay


async def write(connection: Connection, plan: Plan, *, by: str, now: datetime) -> Plan:
    """Write a draft: a plan's first version, the next one, or its latest draft anew.

    Raises:
        PlanningError: If it makes no sense, or the patient or the version are not as it says.
    """
    async with connection.transaction():
        known = await _locked(connection, plan)
        latest = known[-1] if known else None
        is_anew = latest is not None and latest.status == Status.DRAFT
        number = latest.version + (not is_anew) if latest is not None else 1
        draft = msgspec.structs.replace(
            plan, version=number, status=Status.DRAFT, approval=None, merged_from=()
        )
        before = _newest_approved(known)
        if before is not None:
            draft = proposing.with_beginnings(before, draft, now=now)
        _refuse(checking.faults(draft))
        row = _row(draft, by=by, now=now)
        if is_anew:
            await plans.rewrite(connection, row)
        else:
            await plans.add(connection, [row])
        return draft


async def approve(
    connection: Connection,
    plan_id: UUID,
    version: int,
    *,
    by: str,
    role: str,
    now: datetime,
    permanent_reason: str | None = None,
) -> tuple[Plan, Proposed]:
    """Let patients be judged by a draft from now on, or from when it begins.

    What the replay of both plans showed is kept with it.

    Raises:
        PlanningError: If the draft is not ready, its template does not allow it, it contradicts
            another plan of the patient, or it loosens a limit that was passed lately without an
            end or a reason (A17).
    """
    if not by.strip() or not role.strip():
        raise PlanningError("plan.approval: who approves, and in which role, must be stated")
    async with connection.transaction():
        known, draft = await _draft(connection, plan_id, version)
        if permanent_reason is not None:
            draft = msgspec.structs.replace(draft, permanent_reason=permanent_reason)
        plan = msgspec.structs.replace(
            draft, status=Status.ACTIVE, approval=Approval(by=by, role=role, at=now)
        )
        _refuse([*checking.faults(plan), *checking.unready(plan)])
        await _refuse_for_others(connection, plan, now)
        history = await _history(connection, plan.patient_id, now)
        shown = await _replayed(connection, plan, history, now)
        before = _newest_approved(known)
        if before is not None:
            _refuse(proposing.loosened_faults(before, plan, _values(history), now=now))
        begins = max(plan.since, now)
        if plan.until is not None and plan.until <= begins:
            raise PlanningError("plan.until: has passed; nobody would be judged by it")
        await plans.end(connection, plan.id, begins)
        row = _row(plan, by=by, now=now, begins=begins, shown=shown)
        await plans.rewrite(connection, row)
        await _tell(connection, plan, now)
        return plan, shown


async def proposed(connection: Connection, plan: Plan, *, now: datetime) -> Proposed:
    """Return what a plan would have called for, beside what is in force; nothing is written."""
    history = await _history(connection, plan.patient_id, now)
    return await _replayed(connection, plan, history, now)


async def stop(
    connection: Connection,
    plan_id: UUID,
    status: Status,
    *,
    by: str,
    role: str,
    reason: str,
    now: datetime,
) -> Plan:
    """Put a plan on hold, revoke or complete it: nobody is judged by it from now on (A19).

    Raises:
        PlanningError: If it is not in force, or a word of why is missing.
    """
    if status not in {Status.ON_HOLD, Status.REVOKED, Status.COMPLETED}:
        raise PlanningError("plan.status: a plan is put on hold, revoked or completed")
    if not reason.strip():
        raise PlanningError("plan.reason: must say why nobody is to judge the patient's readings")
    return await _decide(connection, plan_id, by=by, role=role, reason=reason, now=now, to=status)


async def resume(
    connection: Connection, plan_id: UUID, *, by: str, role: str, reason: str, now: datetime
) -> Plan:
    """Let a plan on hold judge again, as it was approved before.

    Raises:
        PlanningError: If it is not on hold.
    """
    return await _decide(
        connection, plan_id, by=by, role=role, reason=reason, now=now, to=Status.ACTIVE
    )


async def _decide(
    connection: Connection,
    plan_id: UUID,
    *,
    by: str,
    role: str,
    reason: str,
    now: datetime,
    to: Status,
) -> Plan:
    if not by.strip() or not role.strip():
        raise PlanningError("plan.approval: who decides, and in which role, must be stated")
    async with connection.transaction():
        known = await _versions(connection, plan_id)
        latest = known[-1]
        needed = Status.ON_HOLD if to is Status.ACTIVE else Status.ACTIVE
        decided = [each for each in known if each.approved_at is not None]
        if not decided or decided[-1].status not in {needed, Status.ON_HOLD}:
            raise PlanningError(f"plan {plan_id}: is not {needed}, so it cannot become {to}")
        plan = msgspec.structs.replace(
            reading.decode(decided[-1].body),
            version=latest.version + 1,
            status=to,
            approval=Approval(by=by, role=role, at=now),
        )
        if to is Status.ACTIVE:
            _refuse([*checking.faults(plan), *checking.unready(plan)])
            await _refuse_for_others(connection, plan, now)
        await plans.end(connection, plan.id, now)
        begins = max(plan.since, now) if to is Status.ACTIVE else None
        row = _row(plan, by=by, now=now, begins=begins, reason=reason)
        await plans.add(connection, [row])
        await _tell(connection, plan, now)
        return plan


async def _locked(connection: Connection, plan: Plan) -> Sequence[Version]:
    if plan.patient_id not in await patients.lock(connection, {plan.patient_id}):
        raise PlanningError("plan.patient_id: no such patient")
    known = await plans.versions(connection, plan.id)
    if any(each.patient_id != plan.patient_id for each in known):
        raise PlanningError("plan.id: is another patient's plan")
    return known


async def _versions(connection: Connection, plan_id: UUID) -> Sequence[Version]:
    """Return a plan's versions, with its patient locked before they are read for good."""
    known = await plans.versions(connection, plan_id)
    if not known:
        raise PlanningError(f"plan {plan_id}: no such plan")
    await patients.lock(connection, {known[0].patient_id})
    return await plans.versions(connection, plan_id)


async def _draft(
    connection: Connection, plan_id: UUID, version: int
) -> tuple[Sequence[Version], Plan]:
    known = await _versions(connection, plan_id)
    latest = known[-1]
    if latest.version != version:
        raise PlanningError(
            f"plan {plan_id}: version {version} is not the latest, which is {latest.version}: "
            "read that one first"
        )
    if latest.status != Status.DRAFT:
        raise PlanningError(f"plan {plan_id}: version {version} is no draft but {latest.status}")
    return known, reading.decode(latest.body)


async def adopt(
    connection: Connection,
    given: Template,
    *,
    owner: UUID,
    is_unit: bool,
    approval: Approval,
) -> list[Affected]:
    """Store a region's or a unit's own template, and return whose plans are of an older version.

    No plan changes by it: each adoption is a new version of a patient's plan, approved anew.

    Raises:
        PlanningError: If it is there already, narrows what there is not, or is looser than that.
    """
    known = await _templates(connection)
    if (given.id, given.version) in known:
        raise PlanningError(
            f"template {given.id} version {given.version} is there already; a change is a new"
            " version"
        )
    if given.narrows is not None:
        wide = known.get((given.narrows.id, given.narrows.version))
        if wide is None:
            raise PlanningError("template.narrows: there is no such version of that template")
        _refuse(narrowing_faults(wide, given))
    await plans.put_template(connection, given, owner=owner, is_unit=is_unit, approval=approval)
    return await plans.affected(connection, given.id, given.version, approval.at)


def _newest_approved(known: Sequence[Version]) -> Plan | None:
    decided = [each for each in known if each.approved_at is not None]
    return reading.decode(decided[-1].body) if decided else None


async def _refuse_for_others(connection: Connection, plan: Plan, now: datetime) -> None:
    """Refuse what the plan's template or another of the patient's plans does not allow."""
    others = [
        reading.decode(each.body)
        for each in await plans.of_patient(connection, plan.patient_id)
        if each.id != plan.id
        and each.valid_from is not None
        and (each.valid_until is None or each.valid_until > now)
    ]
    known = await _templates(connection)
    _refuse(proposing.template_faults(plan, others, known))
    _refuse(proposing.conflict_faults(plan, others))


async def _templates(connection: Connection) -> Mapping[tuple[str, int], Template]:
    return {**templates.shipped(), **await plans.templates_of(connection)}


async def _history(connection: Connection, patient_id: UUID, now: datetime) -> History:
    return await cases.history_of(connection, patient_id, since=now - _LATELY, now=now)


def _values(history: History) -> list[Mapping[Measure, Decimal]]:
    return [each.values for known in history.readings.values() for each in known]


async def _replayed(
    connection: Connection, plan: Plan, history: History, now: datetime
) -> Proposed:
    hours = await plans.hours_of(connection, {plan.care_unit_id})
    present = await plans.in_force(connection, {plan.patient_id}, now)
    inputs = [
        *(each for known in history.readings.values() for each in known),
        *history.attempts,
        *history.answers,
    ]
    since = now - _LATELY

    def of(one: Plan | None) -> Replay:
        return replay(
            one,
            hours[plan.care_unit_id],
            inputs,
            patient_id=plan.patient_id,
            care_unit_id=plan.care_unit_id,
            since=since,
            until=now,
            protocol_of=protocols.newest,
        )

    return Proposed(before=of(present.get(plan.patient_id)), after=of(plan))


async def _tell(connection: Connection, plan: Plan, now: datetime) -> None:
    await plans.judge_soon(connection, plan.patient_id, now)
    await alerts.notify_pages(connection, {plan.care_unit_id})


def _row(
    plan: Plan,
    *,
    by: str,
    now: datetime,
    begins: datetime | None = None,
    reason: str | None = None,
    shown: Proposed | None = None,
) -> PlanRow:
    approval = plan.approval
    kept = None
    if shown is not None:
        kept = msgspec.Raw(msgspec.json.encode({"before": shown.before, "after": shown.after}))
    return PlanRow(
        id=plan.id,
        version=plan.version,
        patient_id=plan.patient_id,
        care_unit_id=plan.care_unit_id,
        programme=plan.programme,
        status=plan.status,
        valid_from=begins,
        valid_until=plan.until if begins else None,
        template_id=plan.template.id if plan.template else None,
        template_version=plan.template.version if plan.template else None,
        approved_by=approval.by if approval else None,
        approved_role=approval.role if approval else None,
        approved_at=approval.at if approval else None,
        written_by=by,
        written_at=now,
        reason=reason,
        replay=kept,
        body=reading.encode(plan),
    )


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        raise PlanningError("; ".join(faults))
