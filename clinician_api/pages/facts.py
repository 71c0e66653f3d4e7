"""What an alert rests on, as ingest stored it: limits in force and readings used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal

import msgspec

from ingest_service.alerts.finding import Evidence
from ingest_service.plans.limits import Level, Limits, Measure

Side = Literal["high", "low"]

_LIMITS: Final = msgspec.json.Decoder(dict[Measure, Limits])
_READINGS: Final = msgspec.json.Decoder(tuple[Evidence, ...])


def limits(text: str) -> Mapping[Measure, Limits]:
    """Return the limits by measure; none where the text is of a shape that is not known.

    An alert whose facts cannot be read is still an alert: it is shown, with less to say.
    """
    try:
        return _LIMITS.decode(text)
    except msgspec.DecodeError:
        return {}


def readings(text: str) -> Sequence[Evidence]:
    """Return the readings used, oldest first; none where the text's shape is not known."""
    try:
        return sorted(_READINGS.decode(text), key=lambda used: used.effective_at)
    except (msgspec.DecodeError, TypeError):  # TypeError: times with and without a zone
        return ()


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
