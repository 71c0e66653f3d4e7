"""What a proposed plan would have alerted on: stored readings judged anew, before it is saved.

Nobody acts in a replay, so an alert stays open and what follows joins it. To count how often a
person would have been called, each alert that was raised is taken as done with after a day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.alerts.alert import Event, State
from ingest_service.alerts.case import Case
from ingest_service.alerts.engine import Input
from ingest_service.alerts.history import History
from ingest_service.alerts.running import run
from ingest_service.plans.hours import Hours
from ingest_service.plans.limits import Level
from ingest_service.plans.plan import Approval, Plan, Status
from ingest_service.protocols.protocol import Protocol

_CALLS: Final = (Event.RAISED, Event.RERAISED)
_DONE_AFTER: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_MOST_SHOWN: Final = 200


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """A time at which a person would have been called, by which rule and how urgently."""

    at: datetime
    rule: str
    level: Level
    is_again: bool


class Replay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often a plan would have called somebody over a time.

    ``calls`` holds the newest at most 200. ``per_week`` is by level.
    """

    since: datetime
    until: datetime
    readings: int
    count: int
    per_week: dict[Level, float]
    calls: tuple[Called, ...] = ()
    could_not_be_judged: bool = False


def replay(
    plan: Plan | None,
    hours: Hours,
    inputs: Sequence[Input],
    *,
    patient_id: UUID,
    care_unit_id: UUID,
    since: datetime,
    until: datetime,
    protocol_of: Callable[[str], Protocol | None] = lambda _: None,
) -> Replay:
    """Return what the plan would have called for, had it been in force all the time.

    Args:
        plan: Judged by as if approved, from ``since`` on; without one nothing is called for.
        hours: The unit's.
        inputs: What was received in that time.
        patient_id: Whose.
        care_unit_id: Of which unit.
        since: From when on.
        until: Until when.
        protocol_of: The newest version of a protocol by its id.
    """
    case = Case(
        patient_id=patient_id,
        care_unit_id=care_unit_id,
        plan=None if plan is None else as_if_approved(plan, since),
        hours=hours,
        history=History(),
        judged_through=since,
    )
    try:
        for day, given in _days(inputs, since, until):
            run(case, given, until=day, protocol_of=protocol_of)
            _done_with(case, day)
        is_broken = False
    except ArithmeticError:  # a limit with which nothing can be compared
        is_broken = True
    calls = [
        Called(
            at=change.at,
            rule=change.alert.rule,
            level=change.alert.priority,
            is_again=change.event is Event.RERAISED,
        )
        for change in case.changes
        if change.event in _CALLS
    ]
    weeks = max((until - since) / _WEEK, 1 / 7)
    return Replay(
        since=since,
        until=until,
        readings=len(inputs),
        count=len(calls),
        per_week={
            level: round(sum(each.level is level for each in calls) / weeks, 2) for level in Level
        },
        calls=tuple(calls[-_MOST_SHOWN:]),
        could_not_be_judged=is_broken,
    )


def as_if_approved(plan: Plan, since: datetime) -> Plan:
    """Return the plan as rules would judge by it had it been approved then."""
    return msgspec.structs.replace(
        plan,
        status=Status.ACTIVE,
        approval=plan.approval or Approval(by="replay", role="replay", at=since),
        since=since,
        until=None,
        activities=tuple(msgspec.structs.replace(each, since=None) for each in plan.activities),
    )


def _days(
    inputs: Iterable[Input], since: datetime, until: datetime
) -> Iterable[tuple[datetime, list[Input]]]:
    ordered = sorted(inputs, key=lambda one: one.received_at)
    begin = since
    while begin < until:
        end = min(begin + _DONE_AFTER, until)
        yield end, [each for each in ordered if begin < each.received_at <= end]
        begin = end


def _done_with(case: Case, at: datetime) -> None:
    for rule, alert in list(case.alerts.items()):
        if alert.raised_at is not None and alert.raised_at <= at - _DONE_AFTER / 2:
            del case.alerts[rule]
            case.ended[rule] = replace(alert, state=State.RESOLVED, resolved_at=at)
