"""An alert as rules, deadlines and persons see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.plans.limits import Level, Limits, Measure


class State(StrEnum):
    """What has been done about an alert; all but the last are unresolved."""

    AWAITING = "awaiting"  # a second value is waited for; nobody has been alerted yet
    NEW = "new"
    TAKEN = "taken"
    PAUSED = "paused"
    RESOLVED = "resolved"


class Event(StrEnum):
    """What happened to an alert; each is appended, none is ever changed."""

    # By the rules.
    REMEASURE_ASKED = "remeasure_asked"
    NOT_CONFIRMED = "not_confirmed"  # a second value was within limits: nobody was alerted
    RAISED = "raised"
    RERAISED = "reraised"
    JOINED = "joined"
    EVIDENCE_WITHDRAWN = "evidence_withdrawn"
    ENDED = "ended"  # what it said is no longer so: measured again, seen again; never a red
    # By persons.
    TAKEN = "taken"
    RELEASED = "released"
    PAUSED = "paused"
    RESUMED = "resumed"
    NOTED = "noted"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    UNDONE = "undone"
    ASSIGNED = "assigned"
    WITHDRAWN = "withdrawn"
    # By time.
    UNASSIGNED = "unassigned"  # its owner is gone, or did not finish in time (A6)
    ESCALATED = "escalated"
    PAUSE_ENDED = "pause_ended"


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reading as an alert keeps it: a copy, so that the alert explains itself for ever.

    Values are in ``unit``; a failed attempt has none. ``is_raise`` marks the readings that
    raised the alert or raised it again. One that was taken back since, or is another's, stays
    with ``is_withdrawn``: somebody may have acted on it.
    """

    observation_id: UUID
    code: str
    effective_at: datetime
    systolic: Decimal | None = None
    diastolic: Decimal | None = None
    value: Decimal | None = None
    unit: str | None = None
    level: Level | None = None
    flags: tuple[str, ...] = ()
    is_raise: bool = False
    is_withdrawn: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the sentence says beside readings and limits; each rule uses those that it needs.

    ``is_unconfirmed``: quality or the missing second value leaves a doubt that is to be said.
    """

    is_unconfirmed: bool = False
    is_without_remeasurement: bool = False
    usual_low: Decimal | None = None
    usual_high: Decimal | None = None
    count: int | None = None
    of: int | None = None
    unit: str | None = None
    measure: Measure | None = None
    limit: Decimal | None = None
    difference: Decimal | None = None
    days: int | None = None
    question: str | None = None
    answer: str | None = None
    protocol: str | None = None
    protocol_version: int | None = None
    since: datetime | None = None
    cause: str | None = None


NO_FACTS: Final = Facts()


class Before(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an alert stood before a person's action: what an undo brings back."""

    state: State
    priority: Level
    raised_at: datetime | None = None
    confirm_by: datetime | None = None
    due_at: datetime | None = None
    owner: str | None = None
    paused_until: datetime | None = None
    pause_reason: str | None = None
    escalations: int = 0
    outcome: str | None = None
    resolved_at: datetime | None = None
    state_by: str | None = None
    state_at: datetime | None = None


class Undoable(msgspec.Struct, frozen=True, kw_only=True):
    """The last action on an alert, while nothing else has happened to it since."""

    by: str
    at: datetime
    before: Before


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert, as far as rules, deadlines and persons' actions see it.

    ``rule`` names it: at most one alert of a patient and rule is unresolved. ``raised_at`` is
    since when it waits (None: it was never raised), ``due_at`` when its present state passes to
    the next by itself: nobody took it, or who took it did not finish. ``confirm_by`` is the
    deadline of a second value; it stands beside any state. ``state_by`` and ``state_at`` say who
    brought it into its present state or hands, and when: what the second of two nurses is told.
    They, ``undo`` and ``version`` are kept by `Case.change`.
    """

    id: UUID
    rule: str
    rule_version: int
    priority: Level
    state: State
    readings: tuple[Evidence, ...] = ()
    raised_at: datetime | None = None
    confirm_by: datetime | None = None
    due_at: datetime | None = None
    owner: str | None = None
    paused_until: datetime | None = None
    pause_reason: str | None = None
    escalations: int = 0
    outcome: str | None = None
    resolved_at: datetime | None = None
    plan_id: UUID | None = None
    plan_version: int | None = None
    limits: Mapping[Measure, Limits] = field(default_factory=dict[Measure, Limits])
    facts: Facts = NO_FACTS
    state_by: str | None = None
    state_at: datetime | None = None
    undo: Undoable | None = None
    version: int = 1

    @property
    def is_open(self) -> bool:
        """Tell whether a person still has to deal with it, or may soon have to."""
        return self.state is not State.RESOLVED

    @property
    def standing(self) -> tuple[Evidence, ...]:
        """Return the readings that have not been taken back."""
        return tuple(reading for reading in self.readings if not reading.is_withdrawn)

    def since_raise(self) -> int:
        """Return how many readings have joined since the alert was last raised."""
        standing = self.standing
        raises = [index for index, reading in enumerate(standing) if reading.is_raise]
        return len(standing) - 1 - raises[-1] if raises else len(standing)

    def reference(self) -> tuple[Evidence, ...]:
        """Return what was known when the alert was last raised.

        "Worse" is measured against these and not against the last reading: else a value could
        creep down for ever in steps too small to be noticed.
        """
        standing = self.standing
        return standing[: len(standing) - self.since_raise()] or standing
