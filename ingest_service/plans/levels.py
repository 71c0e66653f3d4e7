"""How far values lie beyond limits."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ingest_service.plans.limits import Level, Measure, PlanLimits


def level_of(values: Mapping[Measure, Decimal], limits: PlanLimits) -> Level | None:
    """Return how far beyond the limits the worst of the values lies, ``None`` if within."""
    levels = [
        level
        for measure, value in values.items()
        if measure in limits and (level := limits[measure].level(value))
    ]
    return max(levels, key=lambda level: level.rank, default=None)
