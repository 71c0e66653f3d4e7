"""What one patient measured and answered, as far back as the plan's rules look."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """Everything that is known, in the order in which it was measured.

    What is given at the start may be in any order; afterwards only `add` and `remove` change it.
    """

    readings: dict[Family, list[Reading]] = field(default_factory=dict[Family, list[Reading]])
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    answers: list[Answer] = field(default_factory=list[Answer])
    _by_id: dict[UUID, Timed] = field(default_factory=dict[UUID, Timed], init=False, repr=False)

    _responses: set[UUID] = field(default_factory=set[UUID], init=False, repr=False)

    def __post_init__(self) -> None:
        """Bring what was given in order."""
        for known in self.readings.values():
            known.sort(key=_key)
        self.attempts.sort(key=_key)
        self.answers.sort(key=_answered)
        self._responses = {one.response_id for one in self.answers}
        for timed in (*self.readings.values(), self.attempts):
            self._by_id.update((one.observation_id, one) for one in timed)

    def add(self, one: Reading | Attempt | Answer) -> None:
        """Take one in at its place; one with the same id is replaced."""
        if isinstance(one, Answer):
            self.remove((one.response_id,))
            self._responses.add(one.response_id)
            insort(self.answers, one, key=_answered)
            return
        self.remove((one.observation_id,))
        self._by_id[one.observation_id] = one
        known: list[Reading] | list[Attempt] = self._list_of(one)
        if known and _key(known[-1]) > _key(one):
            insort(known, one, key=_key)  # type: ignore[arg-type]
        else:
            known.append(one)  # type: ignore[arg-type]

    def extend(self, some: Iterable[Timed]) -> None:
        """Take many in, each at its place; what is known already stays as it is."""
        changed: set[Family] = set()
        for one in some:
            if one.observation_id in self._by_id:
                continue
            self._by_id[one.observation_id] = one
            if isinstance(one, Attempt):
                insort(self.attempts, one, key=_key)
            else:
                self.readings.setdefault(one.family, []).append(one)
                changed.add(one.family)
        for family in changed:  # mostly in order: little more than looking at each
            self.readings[family].sort(key=_key)

    def remove(self, observations: Iterable[UUID]) -> list[Timed]:
        """Forget what was taken back, and return what was measured of it."""
        observations = set(observations)
        if not self._responses.isdisjoint(observations):
            self._responses -= observations
            self.answers = [one for one in self.answers if one.response_id not in observations]
        gone = [one for each in observations if (one := self._by_id.pop(each, None)) is not None]
        for one in gone:
            known = self._list_of(one)
            del known[bisect_left(known, _key(one), key=_key)]
        return gone

    def of(self, family: Family, since: datetime, until: datetime) -> Sequence[Reading]:
        """Return the family's readings in that time, both ends inclusive, oldest first."""
        known = self.readings.get(family, [])
        first = bisect_left(known, since, key=_at)
        last = bisect_right(known, until, lo=first, key=_at)
        return known[first:last]

    def before(self, family: Family, at: datetime) -> Iterator[Reading]:
        """Yield the family's readings that are earlier than that, newest first."""
        known = self.readings.get(family, [])
        for index in range(bisect_left(known, at, key=_at) - 1, -1, -1):
            yield known[index]

    def after(self, family: Family, at: datetime) -> Iterator[Reading]:
        """Yield the family's readings that are later than that, oldest first."""
        known = self.readings.get(family, [])
        for index in range(bisect_right(known, at, key=_at), len(known)):
            yield known[index]

    def attempts_of(self, since: datetime, until: datetime) -> Sequence[Attempt]:
        """Return the failed attempts in that time, both ends inclusive, oldest first."""
        first = bisect_left(self.attempts, since, key=_at)
        last = bisect_right(self.attempts, until, lo=first, key=_at)
        return self.attempts[first:last]

    def answers_of(self, since: datetime, until: datetime) -> Sequence[Answer]:
        """Return the answers in that time, both ends inclusive, oldest first."""
        first = bisect_left(self.answers, since, key=_answered)
        last = bisect_right(self.answers, until, lo=first, key=_answered)
        return self.answers[first:last]

    def answer_before(self, question: str, answer: Answer) -> Answer | None:
        """Return the newest answer to a question before another answer."""
        for index in range(
            bisect_left(self.answers, answer.answered_at, key=_answered) - 1, -1, -1
        ):
            if question in self.answers[index].values:
                return self.answers[index]
        return None

    def newest(self, family: Family) -> Reading | None:
        """Return the family's newest reading."""
        known = self.readings.get(family)
        return known[-1] if known else None

    def _list_of(self, one: Timed) -> list[Reading] | list[Attempt]:
        if isinstance(one, Attempt):
            return self.attempts
        return self.readings.setdefault(one.family, [])


def _key(one: Timed) -> tuple[datetime, UUID]:
    return one.effective_at, one.observation_id


def _at(one: Timed) -> datetime:
    return one.effective_at


def _answered(one: Answer) -> datetime:
    return one.answered_at
