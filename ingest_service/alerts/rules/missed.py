"""Rule ``missed``, version 1: windows without a valid reading; one is reminded of.

It informs. That a patient who stops measuring may be getting worse is rule ``silence``'s business
(A9). Where the chain is broken, or one outage stands for many, nothing was missed: people who did
measure are not reminded (A20).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from ingest_service.alerts.alert import Facts
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import Finding
from ingest_service.alerts.rules.expected import (
    HORIZON,
    Expected,
    activities,
    ended,
    judged_at,
    next_judged,
)
from ingest_service.messages import kinds
from ingest_service.messages.kinds import Subject
from ingest_service.messages.message import Message
from ingest_service.plans.plan import Missed, Plan

RULE: Final = "missed"
VERSION: Final = 1


def next_at(case: Case, after: datetime) -> datetime | None:
    """Return when the next window is judged."""
    return next_judged(case.plan, after) if case.plan and _settings(case.plan) else None


def judge(case: Case, *, at: datetime) -> Iterable[Finding]:
    """Return what the windows judged at this instant mean; put a reminder where one is due.

    Args:
        case: The patient; `Case.messages` grows.
        at: An instant that `next_at` gave.
    """
    plan = case.plan
    settings = _settings(plan) if plan else None
    if plan is None or settings is None:
        return
    missed = list(_missed_at(case, plan, settings, at))
    if missed and settings.is_reminding:
        case.messages.append(_reminder(case, plan, missed, at))
    worst = max(missed, key=_count, default=list[Expected]())
    if _count(worst) < settings.count:
        return
    yield Finding(
        rule=RULE,
        version=VERSION,
        level=settings.level,
        evidence=(),
        facts=Facts(
            count=_count(worst),
            of=len(worst),
            unit=worst[0].family,
            since=next(one.occurrence.starts_at for one in worst if not one.is_kept),
        ),
    )


def _missed_at(case: Case, plan: Plan, settings: Missed, at: datetime) -> Iterator[list[Expected]]:
    """Yield the windows of each activity whose last one is known, at that instant, as missed."""
    for activity in activities(plan):
        chain = case.chain_of(activity.family)
        if not chain.is_whole or chain.is_outage:
            continue
        windows = ended(case, plan, activity, until=at, most=settings.of)
        if windows and judged_at(windows[-1].occurrence) == at and not windows[-1].is_kept:
            yield windows


def _count(windows: list[Expected]) -> int:
    return sum(not one.is_kept for one in windows)


def _settings(plan: Plan) -> Missed | None:
    return next((one for one in plan.rules if isinstance(one, Missed)), None)


def _reminder(case: Case, plan: Plan, missed: list[list[Expected]], at: datetime) -> Message:
    """Return one reminder for all that is missed in this window."""
    return kinds.measure_reminder(
        Subject(patient_id=case.patient_id, care_unit_id=case.care_unit_id),
        min(one[-1].occurrence.starts_at for one in missed),
        next_judged(plan, at) or at + HORIZON,
        plan.language,
    )
