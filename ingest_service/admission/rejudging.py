"""Judge one patient's whole timeline anew: the same engine, from what came in, in its order.

Pure: a `Timeline` goes in, alerts and what happened to them come out. Each event is applied as the
transaction applied it that stored it: with the plan, hours and alerts of that moment. What only
the outside world knew (a person's action, when a tick came, whether the chain was whole) is part
of the timeline; what rules and deadlines made of it is not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from ingest_service.admission import averages, cases, judging
from ingest_service.admission.issuance import Issuance, is_pressure
from ingest_service.admission.making import Made
from ingest_service.alerts import acting, deadlines, engine, life, lookback
from ingest_service.alerts.actions import Action
from ingest_service.alerts.alert import Alert
from ingest_service.alerts.case import Case, Chain, Change
from ingest_service.alerts.history import Answer, Attempt, History, Reading
from ingest_service.alerts.refusals import ActionError
from ingest_service.plans.hours import Hours
from ingest_service.plans.limits import FAMILY_OF_CODE, Family
from ingest_service.plans.plan import Plan
from ingest_service.store.patients import Patient

_T = TypeVar("_T")

_BACK: Final = timedelta(days=30)
_LONGEST: Final = timedelta(days=90)
_AHEAD: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A reading that got a better time: where it stood before."""

    observation_id: UUID
    code: str
    before: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What one transaction stored of the patient: new, at a better time, or taken back.

    ``judged`` are those of them that it judged.
    """

    at: datetime
    judged: tuple[Reading | Attempt, ...] = ()
    stored: tuple[Reading | Attempt, ...] = ()
    moved: tuple[Moved, ...] = ()
    gone: tuple[UUID, ...] = ()
    by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A patient answered."""

    at: datetime
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """From now on a family's readings reach us, or do not."""

    at: datetime
    family: Family
    chain: Chain


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """Time was judged, from ``judged_through`` on."""

    at: datetime
    judged_through: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """A person did something to an alert.

    ``is_in_bulk``: with all that one colleague owned, which lets no deadline pass before.
    """

    at: datetime
    alert_id: UUID
    action: Action
    by: str
    is_in_bulk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Somebody who owned alerts signed out, or was not there any more."""

    at: datetime
    owner: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """Somebody told that the patient has died; or, with ``is_revoked``, that it was a mistake."""

    at: datetime
    by: str
    is_revoked: bool = False


Happening = Came | Answered | Seen | Ticked | Acted | Left | Died

#: What comes first where two have one time.
_ORDER: Final = (Came, Answered, Seen, Ticked, Left, Acted, Died)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """All that a patient's alerts follow from.

    ``plans`` and ``hours`` hold from their times on; in any order are only the ``happenings``.
    """

    patient: Patient
    plans: Sequence[tuple[datetime, Plan | None]]
    hours: Sequence[tuple[datetime, Hours]]
    happenings: Sequence[Happening]


@dataclass(slots=True, kw_only=True)
class Rejudged:
    """What a timeline gives: each alert as it stands at the end, and each change in order.

    ``refused`` are persons' actions that were done, and cannot be by what was derived.
    """

    alerts: dict[UUID, Alert] = field(default_factory=dict[UUID, Alert])
    changes: list[Change] = field(default_factory=list[Change])
    refused: list[tuple[Acted, str]] = field(default_factory=list[tuple[Acted, str]])


def rejudge(timeline: Timeline) -> Rejudged:
    """Return the alerts that follow from a timeline."""
    person = _Person(timeline)
    for one in sorted(timeline.happenings, key=lambda each: (each.at, _ORDER.index(type(each)))):
        person.take(one)
    return person.found


class _Person:
    """One patient while the timeline is gone through."""

    def __init__(self, timeline: Timeline) -> None:
        self.found = Rejudged()
        self._timeline = timeline
        self._history = History()
        self._issuance = Issuance(timeline.patient)
        self._chains: dict[Family, Chain] = {}
        self._judged_through: datetime | None = None
        self._is_deceased = False

    def take(self, one: Happening) -> None:
        match one:
            case Came():
                self._came(one)
            case Answered():
                self._answered(one)
            case Seen():
                self._chains[one.family] = one.chain
            case Ticked():
                self._ticked(one)
            case Acted():
                self._acted(one)
            case Left():
                case_ = self._case(one.at)
                life.unassign(case_, one.owner, one.reason, now=one.at)
                self._keep(case_)
            case Died():
                self._died(one)

    def _came(self, came: Came) -> None:
        now = came.at
        gone = self._history.remove(came.gone)
        for one in came.stored:
            self._history.add(one)
        times = self._issuance.take(came.stored, came.gone)
        if came.moved:
            case = self._case(now)
            first = min(one.before for one in came.moved)
            case.history = self._known(first - _BACK, now)
            codes = {one.code for one in came.moved}
            families = {FAMILY_OF_CODE[code] for code in codes if code in FAMILY_OF_CODE}
            engine.judge_again(case, families, now=now)
            self._keep(case)
        times += [one.before for one in came.moved if is_pressure(one.code)]
        times += [one.effective_at for one in came.judged if is_pressure(one.code)]
        self._averages(self._issuance.reissue(times, now=now), now)
        if came.gone:
            case = self._case(now)
            first = min((one.effective_at for one in gone), default=now)
            case.history = self._known(first - _BACK, now)
            for one in gone:
                case.history.add(one)
            engine.take_back(case, came.gone, by=came.by, why=came.why, now=now)
            self._keep(case)
        if came.judged:
            case = self._case(now)
            first = min(one.effective_at for one in came.judged)
            case.history = self._known(min(first, now) - self._span(case), now)
            ordered = sorted(came.judged, key=lambda r: (r.effective_at, r.observation_id))
            judging.judge_one(case, ordered, now)
            self._keep(case)

    def _averages(self, amended: Sequence[Made], now: datetime) -> None:
        if amended:
            case = self._case(now)
            for made in amended:
                averages.take(case, made, now=now)
            self._keep(case)

    def _answered(self, one: Answered) -> None:
        case = self._case(one.at)
        at = one.answer.answered_at
        case.history = self._known(min(at, one.at) - self._span(case), one.at)
        engine.take_answer(case, one.answer, now=one.at)
        self._history.add(one.answer)
        self._keep(case)

    def _ticked(self, one: Ticked) -> None:
        self._judged_through = one.judged_through
        case = self._case(one.at)
        case.history = self._known(one.at - self._span(case), one.at)
        case.chains = dict(self._chains)
        engine.advance(case, one.at)
        if (plan := case.plan_at(one.at)) is not None:
            for made in self._issuance.issue(plan, now=one.at):
                averages.take(case, made, now=one.at)
        self._judged_through = case.judged_through
        self._keep(case)

    def _acted(self, one: Acted) -> None:
        case = self._case(one.at, wanted=one.alert_id)
        if not one.is_in_bulk:
            deadlines.pass_alerts(case, one.at)
        try:
            acting.act(case, one.alert_id, one.action, by=one.by, now=one.at)
        except ActionError as error:
            self.found.refused.append((one, str(error)))
            return
        self._keep(case)

    def _died(self, one: Died) -> None:
        self._is_deceased = not one.is_revoked
        if not one.is_revoked:
            case = self._case(one.at)
            acting.deceased(case, by=one.by, now=one.at)
            self._keep(case)

    def _case(self, now: datetime, *, wanted: UUID | None = None) -> Case:
        """Return the patient as a transaction at that time loaded them, without history."""
        hours = _at(self._timeline.hours, now)
        if hours is None:
            raise ValueError("the unit has no hours")
        case = Case(
            patient_id=self._timeline.patient.id,
            care_unit_id=self._timeline.patient.care_unit_id,
            plan=_at(self._timeline.plans, now),
            hours=hours,
            history=History(),
            judged_through=now if self._judged_through is None else self._judged_through,
            is_deceased=self._is_deceased,
        )
        cases.place(case, self.found.alerts.values(), now=now, wanted=wanted)
        return case

    def _keep(self, case: Case) -> None:
        for change in case.changes:
            self.found.alerts[change.alert.id] = change.alert
            self.found.changes.append(change)

    def _span(self, case: Case) -> timedelta:
        return max(lookback.furthest(case.plan), _LONGEST)

    def _known(self, since: datetime, now: datetime) -> History:
        """Return what was known of that time, as a history of its own."""
        known, until = self._history, now + _AHEAD
        return History(
            readings={each: list(known.of(each, since, until)) for each in known.readings},
            attempts=list(known.attempts_of(since, until)),
            answers=list(known.answers_of(since - _BACK, until)),
        )


def _at(held: Sequence[tuple[datetime, _T]], now: datetime) -> _T | None:
    """Return what holds at that time."""
    place = bisect_right(held, now, key=lambda each: each[0])
    return held[place - 1][1] if place else None
