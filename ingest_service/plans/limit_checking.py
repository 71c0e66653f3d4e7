"""What one measure's limits must be to make sense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Final

from ingest_service.plans.limits import Limits, Measure

# What a limit can be at all, as the mapping takes values: beyond it, it is a slip of the pen.
_POSSIBLE: Final[Mapping[Measure, tuple[int, int]]] = {
    Measure.SYSTOLIC: (30, 300),
    Measure.DIASTOLIC: (10, 200),
    Measure.PULSE: (15, 300),
    Measure.SPO2: (40, 100),
    Measure.BODY_WEIGHT: (1, 400),
}
_MOST_DIGITS: Final = 6
_MOST_APART: Final = 100


def limits_faults(place: str, measure: Measure, limits: Limits) -> Iterator[str]:
    """Yield what is wrong with one measure's limits, by their place and the name of the side."""
    sides = _sides(limits)
    given = {name: value for name, value in sides.items() if value is not None}
    wrong = [
        fault
        for name, value in (
            *sides.items(),
            ("immediate_low", limits.immediate_low),
            ("immediate_high", limits.immediate_high),
        )
        for fault in value_faults(measure, name, value)
    ]
    wrong += distance_faults("hysteresis", limits.hysteresis)
    wrong += distance_faults("step", limits.step)
    if not given:
        yield f"{place}: at least one limit is needed"
    yield from (f"{place}.{fault}" for fault in wrong or _order_faults(limits, given))


def value_faults(measure: Measure, name: str, value: Decimal | None) -> Iterator[str]:
    """Yield why a value of that measure is impossible."""
    if value is None:
        return
    least, most = _POSSIBLE[measure]
    if not value.is_finite() or not least <= value <= most:
        yield f"{name}: must be {least} to {most}"
    elif len(value.as_tuple().digits) > _MOST_DIGITS:
        yield f"{name}: has more than {_MOST_DIGITS} digits"


def distance_faults(name: str, value: Decimal | None) -> Iterator[str]:
    """Yield why a difference between two values is impossible."""
    if value is not None and (not value.is_finite() or not 0 < value <= _MOST_APART):
        yield f"{name}: must be above 0 and at most {_MOST_APART}"


def inner(limits: Limits) -> tuple[Decimal | None, Decimal | None]:
    """Return between which values nothing alerts."""
    low = limits.red_low if limits.yellow_low is None else limits.yellow_low
    high = limits.red_high if limits.yellow_high is None else limits.yellow_high
    return low, high


def _sides(limits: Limits) -> dict[str, Decimal | None]:
    return {
        "red_low": limits.red_low,
        "yellow_low": limits.yellow_low,
        "yellow_high": limits.yellow_high,
        "red_high": limits.red_high,
    }


def _order_faults(limits: Limits, given: Mapping[str, Decimal]) -> Iterator[str]:
    for (lower, low), (upper, high) in pairwise(given.items()):
        is_empty = lower.endswith("low") and upper.endswith("high") and low == high
        if low > high or is_empty:
            yield f"{lower}: must be below {upper}"
    low, high = limits.immediate_low, limits.immediate_high
    if low is not None and (limits.red_low is None or low > limits.red_low):
        yield "immediate_low: must lie at or below red_low, which must be set"
    if high is not None and (limits.red_high is None or high < limits.red_high):
        yield "immediate_high: must lie at or above red_high, which must be set"
    low, high = inner(limits)
    if low is None or high is None or limits.hysteresis is None:
        return
    if low < high < low + 2 * limits.hysteresis:
        yield "hysteresis: leaves no value that counts as back within the limits"
