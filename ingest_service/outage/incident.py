"""An incident: what stands between many patients and us, as one thing instead of hundreds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5

_SPACE: Final = UUID("2f0d7b5e-0b6e-5a52-9d37-6a7a6f1a0c51")


class Kind(StrEnum):
    """What is broken."""

    CHAIN = "chain"  # our own parts, as the jobs see them
    GATEWAYS = "gateways"  # many of them at once: one network, one power cut, one bad release
    CANARY = "canary"  # our own parts, as the canary's process sees them: the jobs may be dead


class Cause(StrEnum):
    """By what it was noticed."""

    SERVER_DEAF = "server_deaf"  # the jobs do not hear gateways
    NOT_STORED = "not_stored"  # the canary is heard, and its readings are not stored
    CANARY_LOST = "canary_lost"  # the canary itself is not heard: of the others that says nothing
    NOT_JUDGED = "not_judged"  # readings are stored, and nobody judges them
    GATEWAYS_AWAY = "gateways_away"
    LEG_PUBLISHED = "leg_published"
    LEG_STORED = "leg_stored"
    LEG_JOB = "leg_job"
    LEG_JUDGED = "leg_judged"
    LEG_PAGE = "leg_page"


class Event(StrEnum):
    """What happened to an incident."""

    OPENED = "opened"
    GROWN = "grown"
    SHRUNK = "shrunk"
    CHANGED = "changed"  # another cause than before
    ENDED = "ended"
    MERGED = "merged"  # into one of every unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """Since when a gateway is away, and since when it is back if it is."""

    since: datetime
    back_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident as it stands.

    ``unit_id`` is absent where it is not one unit's. ``began_at`` is when the first part fell
    silent, ``opened_at`` when that was noticed, ``calm_since`` since when little is left of it.
    ``most`` is how many gateways were away at once.
    """

    id: UUID
    kind: Kind
    cause: Cause
    unit_id: UUID | None
    began_at: datetime
    opened_at: datetime
    gateways: Mapping[str, Away] = field(default_factory=dict[str, Away])
    most: int = 0
    calm_since: datetime | None = None
    ended_at: datetime | None = None
    merged_into: UUID | None = None

    @property
    def away(self) -> int:
        """Return how many gateways are away now."""
        return sum(each.back_at is None for each in self.gateways.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An incident as it is from now on, and what happened to it, if that is worth telling."""

    after: Incident
    event: Event | None = None


def id_of(kind: Kind, unit_id: UUID | None, opened_at: datetime) -> UUID:
    """Return an incident's id; who opens the same one at the same time opens one."""
    return uuid5(_SPACE, f"{kind}|{unit_id}|{opened_at.isoformat()}")
