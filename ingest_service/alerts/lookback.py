"""How far back a patient's readings are needed to judge an input: mostly not at all.

Looking back costs more than judging. So each rule says when it would look, from the input, the
plan and the open alerts alone: a reading well within limits asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from ingest_service.alerts import conditions, episodes, levels
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import is_late
from ingest_service.alerts.history import Answer, Attempt, Reading
from ingest_service.alerts.rules import attempts, sustained
from ingest_service.plans.plan import Baseline, ChangeOverDays, Plan, Sustained, Symptom

#: An episode beyond limits is followed back so far.
EPISODE: Final = episodes.LONGEST
# A home's day begins before that of UTC, and the readings of a run before the last of them.
_SLACK: Final = timedelta(days=2)


def since(case: Case, one: Reading | Attempt | Answer) -> datetime | None:
    """Return from when on the patient's readings are needed, or None: they are not."""
    plan = case.plan
    if plan is None:
        return None
    match one:
        case Reading():
            at, spans = one.effective_at, _of_reading(plan, one)
        case Attempt():
            at, spans = one.effective_at, iter([_window(plan)])
        case Answer():
            at, spans = one.answered_at, _of_answer(plan)
    furthest = max(spans, default=None)
    return None if furthest is None else at - furthest


def furthest(plan: Plan | None) -> timedelta:
    """Return how far back any of the plan's rules may ever look."""
    spans = (_of_rule(rule) for rule in plan.rules) if plan else ()
    return max([EPISODE, *(span for span in spans if span is not None)])


def _of_reading(plan: Plan, one: Reading) -> Iterator[timedelta]:
    limits = conditions.limits_of(plan, one, now=one.received_at)
    if is_late(one.effective_at, one.received_at) or not levels.is_back(one.values, limits):
        yield EPISODE
    for rule in plan.rules:
        match rule:
            case Sustained() if sustained.is_beyond(plan, rule, one, now=one.received_at):
                yield sustained.HORIZON
            case Baseline() | ChangeOverDays() if rule.measure in one.values:
                yield timedelta(days=rule.days) + _SLACK
            case _:
                pass


def _of_answer(plan: Plan) -> Iterator[timedelta]:
    for rule in plan.rules:
        if isinstance(rule, Symptom) and rule.beyond is not None:
            yield timedelta(hours=rule.within_h)


def _of_rule(rule: object) -> timedelta | None:
    match rule:
        case Sustained():
            return sustained.HORIZON
        case Baseline() | ChangeOverDays():
            return timedelta(days=rule.days) + _SLACK
        case _:
            return None


def _window(plan: Plan) -> timedelta:
    return timedelta(minutes=attempts.settings_of(plan).within_min)
