"""What "worse" means: further out, on its own side, by a stated step (A7).

It is measured against the values that were known when the alert was last raised, and not against
the last one: else a value could creep down for ever in steps too small to be noticed. Limits are
two-sided, so a value is worse than another only on the side on which it lies beyond its own limit:
after 84 %, a saturation of 97 % is worse for whom 96 % is too much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from ingest_service.alerts.alert import Evidence
from ingest_service.plans.limits import FAMILY_OF_CODE, Family, Level, Limits, Measure, PlanLimits

#: Steps where the plan states none: mm[Hg], per minute, percent, kilograms. Ours, for a
#: clinician to change; none is finer than its device.
STEPS: Final[Mapping[Measure, Decimal]] = {
    Measure.SYSTOLIC: Decimal(10),
    Measure.DIASTOLIC: Decimal(5),
    Measure.PULSE: Decimal(10),
    Measure.SPO2: Decimal(2),
    Measure.BODY_WEIGHT: Decimal(1),
}

_SINGLE: Final[Mapping[Family, Measure]] = {
    Family.PULSE: Measure.PULSE,
    Family.SPO2: Measure.SPO2,
    Family.BODY_WEIGHT: Measure.BODY_WEIGHT,
}


def step_of(measure: Measure, limits: Limits) -> Decimal:
    """Return how much further out is worse; a step that is no step would make all news."""
    given = limits.step
    return given if given is not None and given > 0 else STEPS[measure]


def is_worse(new: Iterable[Evidence], reference: Sequence[Evidence], limits: PlanLimits) -> bool:
    """Tell whether one of the new readings or answers is worse than what is known.

    Args:
        new: What came, with its level.
        reference: What was known at the last raise.
        limits: The limits in force; a measure without is never worse.
    """
    return any(_is_worse(one, reference, limits) for one in new)


def values_of(evidence: Evidence) -> dict[Measure, Decimal]:
    """Return the values that a piece of evidence has, by measure."""
    found: dict[Measure, Decimal] = {}
    if evidence.systolic is not None:
        found[Measure.SYSTOLIC] = evidence.systolic
    if evidence.diastolic is not None:
        found[Measure.DIASTOLIC] = evidence.diastolic
    family = FAMILY_OF_CODE.get(evidence.code)
    if evidence.value is not None and family is not None and family in _SINGLE:
        found[_SINGLE[family]] = evidence.value
    return found


def distance(evidence: Evidence, limits: PlanLimits) -> Decimal:
    """Return how many steps a reading lies beyond its limits; to compare measures with it."""
    return max(
        (
            _beyond(value, limits[measure]) / step_of(measure, limits[measure])
            for measure, value in values_of(evidence).items()
            if measure in limits
        ),
        default=Decimal(0),
    )


def _is_worse(one: Evidence, reference: Sequence[Evidence], limits: PlanLimits) -> bool:
    if one.level is None:
        return False
    values = values_of(one)
    if not values:
        return _is_worse_answer(one, reference)
    for measure, value in values.items():
        own = limits.get(measure)
        if own is None:
            continue
        before = [each[measure] for each in map(values_of, reference) if measure in each]
        step = step_of(measure, own)
        if _is_high(value, one.level, own) and (not before or value - max(before) >= step):
            return True
        if _is_low(value, one.level, own) and (not before or min(before) - value >= step):
            return True
    return False


def _is_worse_answer(one: Evidence, reference: Sequence[Evidence]) -> bool:
    before = [each.value for each in reference if each.code == one.code and each.value is not None]
    return one.value is not None and bool(before) and one.value > max(before)


def _is_high(value: Decimal, level: Level, limits: Limits) -> bool:
    immediate = limits.immediate_high
    return limits.is_high(value, level) or (immediate is not None and value > immediate)


def _is_low(value: Decimal, level: Level, limits: Limits) -> bool:
    immediate = limits.immediate_low
    return limits.is_low(value, level) or (immediate is not None and value < immediate)


def _beyond(value: Decimal, limits: Limits) -> Decimal:
    low = [one for one in (limits.yellow_low, limits.red_low) if one is not None]
    high = [one for one in (limits.yellow_high, limits.red_high) if one is not None]
    return max(
        [Decimal(0), *(one - value for one in low), *(value - one for one in high)],
    )
