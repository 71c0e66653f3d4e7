"""How far several values of one reading lie beyond a patient's limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from ingest_service.plans.limits import Level, Limits, Measure, PlanLimits

_NONE: Final = Decimal(0)


def level_of(values: Mapping[Measure, Decimal], limits: PlanLimits) -> Level | None:
    """Return how far beyond the limits the worst of the values lies, ``None`` if within.

    Beyond an immediate limit is red, whatever the other limits say.
    """
    worst: Level | None = None
    for value, own in _judged(values, limits):
        level = Level.RED if own.is_immediate(value) else own.level(value)
        if level is Level.RED:
            return level
        worst = level or worst
    return worst


def is_immediate(values: Mapping[Measure, Decimal], limits: PlanLimits) -> bool:
    """Tell whether one of the values is so far out that nothing is to be waited for (A4)."""
    return any(own.is_immediate(value) for value, own in _judged(values, limits))


def is_back(values: Mapping[Measure, Decimal], limits: PlanLimits) -> bool:
    """Tell whether every value is within its limits, and by the hysteresis inside."""
    return all(_is_back(value, own) for value, own in _judged(values, limits))


def _judged(
    values: Mapping[Measure, Decimal], limits: PlanLimits
) -> Iterable[tuple[Decimal, Limits]]:
    return [(value, limits[measure]) for measure, value in values.items() if measure in limits]


def _is_back(value: Decimal, limits: Limits) -> bool:
    if limits.is_immediate(value) or limits.level(value) is not None:
        return False
    inside = limits.hysteresis or _NONE
    low = limits.yellow_low if limits.yellow_low is not None else limits.red_low
    high = limits.yellow_high if limits.yellow_high is not None else limits.red_high
    if low is not None and high is not None and high - low < 2 * inside:
        return True  # a band so narrow that nothing would ever be back within it
    return (low is None or value >= low + inside) and (high is None or value <= high - inside)
