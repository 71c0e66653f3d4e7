"""What a rule finds: that something is so, how urgent it is, and what it rests on.

A rule knows nothing of an alert's life; `latch` joins a finding to the patient's open alert.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from ingest_service.alerts.alert import NO_FACTS, Evidence, Facts
from ingest_service.plans.limits import Level, Limits, Measure

# A reading is late when it was measured longer ago than this; only a late one can be history.
LATE_AFTER: Final = timedelta(minutes=30)

#: The flag of a reading whose gateway did not know the time.
TIME_UNKNOWN: Final = "time_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule found by one input.

    Attributes:
        rule: The alert's name; ``version`` is the rule's.
        level: How urgent it is.
        evidence: What it rests on, oldest first; the last is what did it.
        limits: The limits in force that it was held against.
        facts: What the alert's sentence says beside readings and limits.
        confirm_within: A red with it waits so long for a second value (A4), what was never
            raised and is not red for a valid reading (A3); without, it waits for none.
        is_doubtful: Quality leaves a doubt, which lowers certainty and never the level (A2).
        is_disproved: A later value is known already that shows that it was not so.
        again_after: Raises an open alert again once so many more have joined it; without, only
            what is worse does.
    """

    rule: str
    version: int
    level: Level
    evidence: tuple[Evidence, ...]
    limits: Mapping[Measure, Limits] = field(default_factory=dict[Measure, Limits])
    facts: Facts = NO_FACTS
    confirm_within: timedelta | None = None
    is_doubtful: bool = False
    is_disproved: bool = False
    again_after: int | None = None


def is_late(effective_at: datetime, now: datetime) -> bool:
    """Tell whether a reading comes so long after it was measured that it may be history."""
    return now - effective_at > LATE_AFTER


def may_be_history(effective_at: datetime, flags: Collection[str], now: datetime) -> bool:
    """Tell whether a later reading may settle this one: it is late, and its time is known.

    A gateway without a clock may have dated a reading of this minute to last week.
    """
    return is_late(effective_at, now) and TIME_UNKNOWN not in flags
