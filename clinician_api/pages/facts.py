"""What an alert rests on, as ingest stored it: limits in force and readings used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ingest_service.alerts.alert import NO_FACTS, Evidence, Facts
from ingest_service.plans.limits import Limits, Measure

_LIMITS: Final = msgspec.json.Decoder(dict[Measure, Limits])
_FACTS: Final = msgspec.json.Decoder(Facts)
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


def noted(text: str) -> Facts:
    """Return what the rule noted; nothing where the text's shape is not known."""
    try:
        return _FACTS.decode(text)
    except msgspec.DecodeError:
        return NO_FACTS
