"""Readings that were taken back, and the alerts that rested on them (A8).

A red alert is withdrawn only by a person: somebody may have acted on it, and what is left of its
evidence may be enough. A yellow one that has nothing left to stand on ends by itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from uuid import UUID

from msgspec import structs

from ingest_service.alerts.finding import Alert, Event, State
from ingest_service.plans.limits import Level


def without(alert: Alert, observations: Collection[UUID]) -> tuple[Event, Alert] | None:
    """Return the alert without these observations, and what that is; ``None`` if it had none.

    Its priority never falls here. The observations stay in it, marked as withdrawn.
    """
    if not any(reading.observation_id in observations for reading in alert.standing):
        return None
    readings = tuple(
        structs.replace(reading, is_withdrawn=True)
        if reading.observation_id in observations
        else reading
        for reading in alert.readings
    )
    left = replace(alert, readings=readings)
    if left.standing or alert.priority is Level.RED:
        return Event.EVIDENCE_WITHDRAWN, left
    return Event.WITHDRAWN, replace(left, state=State.RESOLVED)
