"""Readings that were taken back, and the alerts that rested on them (A8).

A red alert is withdrawn only by a person: somebody may have acted on it, and what is left of its
evidence may be enough. A yellow one that has nothing left to stand on ends by itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import structs

from ingest_service.alerts import latch, levels, life, worse
from ingest_service.alerts.alert import Alert, Event, State
from ingest_service.alerts.case import Case
from ingest_service.alerts.episodes import EVIDENCE_WITHDRAWN
from ingest_service.plans.limits import Level


def withdraw(
    case: Case, alert: Alert, observations: Collection[UUID], *, by: str, why: str, now: datetime
) -> None:
    """Mark what an alert rests on as taken back, if it does (A8).

    One that waits for a second value, and was never raised, ends when nothing waits any more.
    """
    mine = [one.observation_id for one in alert.standing if one.observation_id in observations]
    if not mine:
        return
    readings = tuple(
        structs.replace(one, is_withdrawn=True) if one.observation_id in mine else one
        for one in alert.readings
    )
    left = replace(alert, readings=readings)
    if not _waits(left):
        latch.not_needed(case, alert)
        left = replace(left, confirm_by=None)
    is_over = not left.standing and left.priority is not Level.RED
    if alert.state is State.AWAITING:
        is_over = left.confirm_by is None
    event = Event.EVIDENCE_WITHDRAWN
    if alert.is_open and is_over:
        event = Event.WITHDRAWN
        left = life.ended(left, EVIDENCE_WITHDRAWN, now)
    elif _is_single(left):
        left = replace(left, facts=structs.replace(left.facts, is_unconfirmed=True))
    ids = sorted(map(str, mine))
    detail = {"observations": msgspec.Raw(msgspec.json.encode(ids)), "why": why}
    case.change(left, event, at=now, by=by, detail=detail)


def _waits(alert: Alert) -> bool:
    """Tell whether what is left waits: a red for a second value, attempts for a valid one."""
    if alert.state is State.AWAITING and alert.priority is not Level.RED:
        return alert.confirm_by is not None and len(alert.standing) >= (alert.facts.count or 1)
    return bool(latch.pending(alert))


def doubt_again(case: Case, rule: str, observation_id: UUID) -> None:
    """Let a red that was disproved be judged as if it came now: what disproved it is gone."""
    alert = case.alerts.get(rule)
    if alert is not None:
        case.alerts[rule] = replace(
            alert,
            readings=tuple(
                one
                for one in alert.readings
                if one.observation_id != observation_id or latch.DISPROVED not in one.flags
            ),
        )


def _is_single(alert: Alert) -> bool:
    """Tell whether a red rests on one value that would have waited for a second."""
    if alert.priority is not Level.RED or not alert.rule.startswith("limit."):
        return False
    reds = [one for one in alert.standing if one.level is Level.RED]
    return len(reds) == 1 and not levels.is_immediate(worse.values_of(reds[0]), alert.limits)
