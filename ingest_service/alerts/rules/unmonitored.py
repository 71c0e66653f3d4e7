"""Rule ``unmonitored``, version 2: readings would not reach us, so nobody sees the patient (A9).

A dead gateway is a technician's ticket *and* a patient who is not monitored: the clinical list
says since when, with a clock of its own. It is yellow when a whole window has passed unseen, or
after the plan's time of silence, whichever comes first; red after the plan's time of red silence.
Where a person has ended it and then knew how the patient is, both count from then.
One outage that stands for many raises none (A20): the list of whom to phone does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ingest_service.alerts.alert import Facts
from ingest_service.alerts.case import Case, Chain
from ingest_service.alerts.episodes import BY_ITSELF
from ingest_service.alerts.finding import Finding
from ingest_service.alerts.rules.expected import (
    activities,
    first_missed_after,
    heard_of,
    silent_since,
)
from ingest_service.messages import kinds
from ingest_service.messages.kinds import Subject
from ingest_service.plans.limits import Family, Level
from ingest_service.plans.plan import Activity, Plan, Silence

RULE: Final = "unmonitored"
VERSION: Final = 2
_DEFAULT: Final = Silence()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    at: datetime
    level: Level
    chain: Chain
    family: Family


def next_at(case: Case, after: datetime) -> datetime | None:
    """Return when being unseen next becomes more urgent; what has become so is overdue."""
    if _found(case, after) is not None:
        return after
    return min((step.at for step in _steps(case, after) if step.at > after), default=None)


def judge(case: Case, *, at: datetime) -> Iterable[Finding]:
    """Return the finding that being unseen is by this instant; the first time tell the patient."""
    plan, found = case.plan, _found(case, at)
    if plan is None or found is None:
        return
    since = found.chain.broken_since
    if RULE not in case.alerts and since is not None:
        subject = Subject(patient_id=case.patient_id, care_unit_id=case.care_unit_id)
        case.messages.append(kinds.chain_broken(subject, since, language=plan.language))
    yield Finding(
        rule=RULE,
        version=VERSION,
        level=found.level,
        evidence=(),
        facts=Facts(since=since, unit=found.family, cause=found.chain.cause),
    )


def _found(case: Case, at: datetime) -> _Step | None:
    passed = [step for step in _steps(case, at) if step.at <= at]
    if not passed or (case.plan and case.plan.is_paused(at)):
        return None
    worst = max(passed, key=lambda step: (step.level.rank, -step.at.timestamp()))
    known = case.alerts.get(RULE)
    return worst if known is None or known.priority.rank < worst.level.rank else None


def _steps(case: Case, at: datetime) -> Iterator[_Step]:
    plan = case.plan
    if plan is None:
        return
    settings = next((one for one in plan.rules if isinstance(one, Silence)), _DEFAULT)
    for activity in activities(plan):
        chain = case.chain_of(activity.family)
        if not chain.is_whole and not chain.is_outage and chain.broken_since is not None:
            # What came since all the same was seen.
            since = max(chain.broken_since, silent_since(case, plan, activity, at))
            heard = heard_of(case, RULE)
            if heard is not None and heard > since:
                steps = _again(heard, settings)
            else:
                steps = _levels(plan, activity, max(since, _ended_at(case) or since), settings)
            for step_at, level in steps:
                yield _Step(at=step_at, level=level, chain=chain, family=activity.family)


def _ended_at(case: Case) -> datetime | None:
    """Return when a person last ended it: it does not come back before more has gone unseen."""
    ended = case.ended.get(RULE)
    return None if ended is None or ended.outcome in BY_ITSELF else ended.resolved_at


def _again(heard: datetime, settings: Silence) -> Iterator[tuple[datetime, Level]]:
    """Yield when it is said anew after a person has heard of the patient: not at once."""
    yield heard + timedelta(hours=settings.yellow_after_h), Level.YELLOW
    if settings.red_after_h is not None:
        yield heard + timedelta(hours=settings.red_after_h), Level.RED


def _levels(
    plan: Plan, activity: Activity, since: datetime, settings: Silence
) -> Iterator[tuple[datetime, Level]]:
    missed = first_missed_after(plan, activity, since)
    silent = since + timedelta(hours=settings.yellow_after_h)
    yield min(silent, missed or silent), Level.YELLOW
    if settings.red_after_h is not None:
        red = since + timedelta(hours=settings.red_after_h)
        yield max(red, missed or red), Level.RED
