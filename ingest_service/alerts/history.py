"""What one patient measured and answered, as far back as the plan's rules look."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from ingest_service.plans.limits import Family, Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One valid observation: values in canonical units, and what the device said about it.

    ``flags`` are those of `ingest_service.admission.quality.flags_of`. ``received_at`` is when we
    came to know it.
    """

    observation_id: UUID
    code: str
    family: Family
    values: Mapping[Measure, Decimal]
    unit: str
    effective_at: datetime
    received_at: datetime
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt to measure that gave no value."""

    observation_id: UUID
    code: str
    effective_at: datetime
    received_at: datetime
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A patient's answers to a questionnaire at one time, by the question's link id."""

    response_id: UUID
    answered_at: datetime
    received_at: datetime
    values: Mapping[str, Decimal]


Timed = Reading | Attempt


@dataclass(slots=True)
class History:
    """Everything that is known, in the order in which it was measured."""

    readings: dict[Family, list[Reading]] = field(default_factory=dict[Family, list[Reading]])
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    answers: list[Answer] = field(default_factory=list[Answer])

    def add(self, one: Reading | Attempt | Answer) -> None:
        """Take one in at its place; one with the same id is replaced."""
        match one:
            case Reading():
                self.remove({one.observation_id})
                insort(self.readings.setdefault(one.family, []), one, key=_key)
            case Attempt():
                self.remove({one.observation_id})
                insort(self.attempts, one, key=_key)
            case Answer():
                self.answers = [a for a in self.answers if a.response_id != one.response_id]
                insort(self.answers, one, key=lambda each: each.answered_at)

    def remove(self, observations: Collection[UUID]) -> None:
        """Forget what was taken back."""
        for family, known in self.readings.items():
            if any(each.observation_id in observations for each in known):
                self.readings[family] = [
                    each for each in known if each.observation_id not in observations
                ]
        if any(each.observation_id in observations for each in self.attempts):
            self.attempts = [
                each for each in self.attempts if each.observation_id not in observations
            ]

    def of(self, family: Family, since: datetime, until: datetime) -> Sequence[Reading]:
        """Return the family's readings in that time, both ends inclusive, oldest first."""
        known = self.readings.get(family, [])
        first = bisect_left(known, since, key=lambda each: each.effective_at)
        last = bisect_right(known, until, key=lambda each: each.effective_at)
        return known[first:last]

    def newest(self, family: Family) -> Reading | None:
        """Return the family's newest reading."""
        known = self.readings.get(family)
        return known[-1] if known else None


def _key(one: Timed) -> tuple[datetime, UUID]:
    return one.effective_at, one.observation_id
