"""What a rule finds, and the alert that it raises or joins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.alerts.limits import Level, Limits, Measure

# A reading is late when it was measured longer ago than this; only a late one can be history.
LATE_AFTER: Final = timedelta(minutes=30)

#: The flag of a reading whose gateway did not know the time.
TIME_UNKNOWN: Final = "time_unknown"

# An alert may stay open for weeks. What raised it is kept; of the rest the oldest goes first.
_MOST_READINGS: Final = 100


class State(StrEnum):
    """What has been done about an open alert."""

    NEW = "new"
    TAKEN = "taken"
    RESOLVED = "resolved"


class Event(StrEnum):
    """What a finding, or a reading that was taken back, does to the alert."""

    RAISED = "raised"
    RERAISED = "reraised"
    JOINED = "joined"
    EVIDENCE_WITHDRAWN = "evidence_withdrawn"
    WITHDRAWN = "withdrawn"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An open alert, as far as rules see it."""

    rule: str
    priority: Level
    state: State
    readings: tuple[Evidence, ...]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule found: the alert as it becomes, why, and the reading that did it.

    ``previous`` is the reading that raised the alert before, for a re-raise.
    """

    event: Event
    rule_version: int
    alert: Alert
    reading: Evidence
    previous: Evidence | None = None
    limits: Mapping[Measure, Limits] = field(default_factory=dict[Measure, Limits])


def is_late(effective_at: datetime, now: datetime) -> bool:
    """Tell whether a reading comes so long after it was measured that it may be history."""
    return now - effective_at > LATE_AFTER


def may_be_history(effective_at: datetime, flags: Collection[str], now: datetime) -> bool:
    """Tell whether a later reading may settle this one: it is late, and its time is known.

    A gateway without a clock may have dated a reading of this minute to last week.
    """
    return is_late(effective_at, now) and TIME_UNKNOWN not in flags


def grown(
    alert: Alert | None, rule: str, evidence: Evidence, *, is_raise: bool
) -> tuple[Event, Alert]:
    """Return the alert with one more reading, and what that is: raised, re-raised or joined.

    Priority never falls and nothing closes an alert but a person. A reading that is in it
    already (its time was corrected) takes its own place instead of a second one.
    """
    evidence = msgspec.structs.replace(evidence, is_raise=is_raise or alert is None)
    level = evidence.level or Level.RED
    if alert is None:
        raised = Alert(rule=rule, priority=level, state=State.NEW, readings=(evidence,))
        return Event.RAISED, raised
    known = [reading.observation_id for reading in alert.readings]
    readings = list(alert.readings)
    if evidence.observation_id in known:
        place = known.index(evidence.observation_id)
        was_raise = readings[place].is_raise
        readings[place] = msgspec.structs.replace(evidence, is_raise=is_raise or was_raise)
    else:
        readings.append(evidence)
    joined = Alert(
        rule=rule,
        priority=max(level, alert.priority, key=lambda one: one.rank),
        state=State.NEW if is_raise else alert.state,
        readings=_bounded(readings),
    )
    return (Event.RERAISED if is_raise else Event.JOINED), joined


def _bounded(readings: list[Evidence]) -> tuple[Evidence, ...]:
    while len(readings) > _MOST_READINGS:
        plain = (i for i, reading in enumerate(readings[:-1]) if not reading.is_raise)
        del readings[next(plain, 0)]
    return tuple(readings)
