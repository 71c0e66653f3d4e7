"""What a plan's rules must be to make sense beside its limits and activities."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from ingest_service.plans.limit_checking import distance_faults, limits_faults, value_faults
from ingest_service.plans.limits import Level, Measure
from ingest_service.plans.plan import (
    AverageAbove,
    Baseline,
    ChangeOverDays,
    FailedAttempts,
    Missed,
    Plan,
    RuleSettings,
    Side,
    Silence,
    Sustained,
    Symptom,
)

_ONCE: Final = (FailedAttempts, Missed, Silence)
_AVERAGED: Final = (Measure.SYSTOLIC, Measure.DIASTOLIC, Measure.PULSE)


def rules_faults(plan: Plan) -> Iterator[str]:
    """Yield what is wrong with the rules, by their place."""
    ids = set[str]()
    for index, rule in enumerate(plan.rules):
        if rule.id in ids:
            yield f"rules[{index}].id: {rule.id!r} is given twice"
        ids.add(rule.id)
        yield from (f"rules[{index}].{fault}" for fault in _faults(plan, rule))
    for kind in _ONCE:
        if sum(isinstance(rule, kind) for rule in plan.rules) > 1:
            yield f"rules: more than one of the kind {kind.__name__}"


def _faults(plan: Plan, rule: RuleSettings) -> Iterator[str]:
    match rule:
        case Sustained():
            yield from _sustained(plan, rule)
        case Baseline():
            yield from distance_faults("distance", rule.distance)
        case AverageAbove():
            yield from _average(plan, rule)
        case ChangeOverDays():
            yield from _change(rule)
        case Symptom():
            yield from _symptom(rule)
        case Missed():
            yield from _count_of(rule.count, rule.of)
        case Silence() | FailedAttempts():
            yield from _sign_of_life(rule)


def _sustained(plan: Plan, rule: Sustained) -> Iterator[str]:
    yield from _count_of(rule.count, rule.of)
    yield from value_faults(rule.measure, "limit", rule.limit)
    limits = plan.limits.get(rule.measure)
    yellow = limits and (limits.yellow_low if rule.side is Side.LOW else limits.yellow_high)
    if rule.limit is None and yellow is None:
        yield "limit: must be given, for the plan has no yellow limit on that side"


def _average(plan: Plan, rule: AverageAbove) -> Iterator[str]:
    for measure, limits in rule.limits.items():
        yield from limits_faults(f"limits.{measure}", measure, limits)
        if measure not in _AVERAGED:
            yield f"limits.{measure}: a blood-pressure protocol does not average it"
    if not rule.limits:
        yield "limits: at least one measure is needed"
    if not any(activity.protocol for activity in plan.activities):
        yield "type: no activity has a protocol, so nothing is averaged"


def _change(rule: ChangeOverDays) -> Iterator[str]:
    if rule.measure is Measure.SPO2:
        yield "measure: saturation varies more within a day than such a change tells (A14)"
    if rule.rise is None and rule.fall is None:
        yield "rise: this or fall must be given"
    yield from distance_faults("rise", rule.rise)
    yield from distance_faults("fall", rule.fall)


def _symptom(rule: Symptom) -> Iterator[str]:
    if rule.at_least is None and rule.rise is None:
        yield "at_least: this or rise must be given"
    given: dict[str, Decimal | None] = {"at_least": rule.at_least, "rise": rule.rise}
    for name, value in given.items():
        if value is not None and not value.is_finite():
            yield f"{name}: must be a number"


def _sign_of_life(rule: Silence | FailedAttempts) -> Iterator[str]:
    if isinstance(rule, FailedAttempts):
        if rule.level is Level.BLUE:
            yield "level: somebody must call a patient who cannot measure: not blue"
    elif rule.red_after_h is not None and rule.red_after_h < rule.yellow_after_h:
        yield "red_after_h: must not be before yellow_after_h"


def _count_of(count: int, of: int) -> Iterator[str]:
    if count > of:
        yield "count: must not be above of"
