"""Which limit a value lies beyond, as sentences name it."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from ingest_service.plans.limits import Level, Limits

Side = Literal["high", "low"]


def crossed(limits: Limits, value: Decimal) -> tuple[Side, Level] | None:
    """Return side and level of the outermost limit that a value lies beyond, or None."""
    level = limits.level(value)
    if level is None:
        return None
    return ("high" if limits.is_high(value, level) else "low"), level


def bound(limits: Limits, side: Side, level: Level) -> Decimal | None:
    """Return the limit of that side and level, else the other level's on that side."""
    red, yellow = (
        (limits.red_high, limits.yellow_high)
        if side == "high"
        else (limits.red_low, limits.yellow_low)
    )
    first, second = (red, yellow) if level is Level.RED else (yellow, red)
    return second if first is None else first
