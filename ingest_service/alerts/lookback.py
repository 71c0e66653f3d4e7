"""How far back a patient's readings are needed to judge an input: mostly not at all.

Looking back costs more than judging. So each rule says when it would look, from the input, the
plan and the open alerts alone: a reading well within limits asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import is_late
from ingest_service.alerts.history import Answer, Attempt, Reading
from ingest_service.plans.limits import Measure
from ingest_service.plans.plan import (
    Baseline,
    ChangeOverDays,
    FailedAttempts,
    Plan,
    Side,
    Sustained,
    Symptom,
)

#: An episode beyond limits is followed back so far (hysteresis).
EPISODE: Final = timedelta(days=7)
_READINGS: Final = timedelta(days=30)  # "of the last five readings" lie within
_ATTEMPTS: Final = FailedAttempts()


def since(case: Case, one: Reading | Attempt | Answer) -> datetime | None:
    """Return from when on the patient's readings are needed, or None: they are not."""
    match one:
        case Reading():
            at = one.effective_at
            spans = _of_reading(case, one)
        case Attempt():
            at = one.effective_at
            settings = [s for s in _rules(case) if isinstance(s, FailedAttempts)] or [_ATTEMPTS]
            spans = (timedelta(minutes=each.within_min) for each in settings)
        case Answer():
            at = one.answered_at
            spans = (
                timedelta(hours=each.within_h)
                for each in _rules(case)
                if isinstance(each, Symptom) and each.beyond is not None
            )
    furthest = max(spans, default=None)
    return None if furthest is None else at - furthest


def furthest(plan: Plan | None) -> timedelta:
    """Return how far back any of the plan's rules may ever look."""
    spans = [EPISODE]
    for rule in plan.rules if plan else ():
        match rule:
            case Sustained():
                spans.append(_sustained(rule))
            case Baseline(days=days) | ChangeOverDays(days=days):
                spans.append(timedelta(days=days))
            case _:
                pass
    return max(spans)


def _of_reading(case: Case, one: Reading) -> Iterator[timedelta]:
    plan = case.plan
    if plan is None:
        return
    if is_late(one.effective_at, one.received_at):
        yield EPISODE  # what came after it decides whether it is history
    for measure, value in one.values.items():
        limits = plan.limits.get(measure)
        margin = (limits.hysteresis or 0) if limits else 0
        if limits is not None and any(
            limits.level(each) is not None for each in (value - margin, value, value + margin)
        ):
            yield EPISODE
    for rule in plan.rules:
        match rule:
            case Sustained() if _is_beyond(plan, rule, one):
                yield _sustained(rule)
            case Baseline() if rule.measure in one.values:
                yield timedelta(days=rule.days)
            case ChangeOverDays() if rule.measure in one.values:
                yield timedelta(days=rule.days)
            case _:
                pass


def _rules(case: Case) -> tuple[object, ...]:
    return case.plan.rules if case.plan else ()


def _sustained(rule: Sustained) -> timedelta:
    return timedelta(days=rule.of) if rule.unit == "days" else _READINGS


def _is_beyond(plan: Plan, rule: Sustained, one: Reading) -> bool:
    value = one.values.get(rule.measure)
    bound = rule.limit if rule.limit is not None else _yellow(plan, rule.measure, rule.side)
    if value is None or bound is None:
        return False
    return value < bound if rule.side is Side.LOW else value > bound


def _yellow(plan: Plan, measure: Measure, side: Side) -> Decimal | None:
    limits = plan.limits.get(measure)
    if limits is None:
        return None
    return limits.yellow_low if side is Side.LOW else limits.yellow_high
