"""Rule ``silence``, version 2: nothing measured for so long, by the plan's risk (A9).

A frail patient with COPD who stops measuring after two falling values is the classic picture
before an admission. So silence grows: from the reminder of a missed window to yellow and to red by
time; sooner to red where an alert stands open or the last values were beyond or near a limit. Only
while the chain is whole: else nobody knows, and rule ``unmonitored`` says so.

Time runs from the last valid reading, or from when a person ended the silence and then knew how
the patient is: else it would come back at once, however often it is dealt with. But silence is not
judged before a whole window has been missed since: of a plan that measures on Tuesdays nothing is
silent on Wednesday.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final

from ingest_service.alerts import worse
from ingest_service.alerts.alert import Facts
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import Finding
from ingest_service.alerts.outcomes import OUTCOMES
from ingest_service.alerts.rules.expected import activities, first_missed_after, silent_since
from ingest_service.plans.limits import Family, Level, Limits
from ingest_service.plans.plan import Activity, Plan, Silence

RULE: Final = "silence"
VERSION: Final = 2
_GOING: Final = 3  # readings, each worse than the one before
_OF_VALUES: Final = ("limit.", "sustained.", "baseline.", "change.", "symptom.", "reconnect")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """Silence of one family becomes this at that time."""

    at: datetime
    level: Level
    since: datetime
    family: Family


def next_at(case: Case, after: datetime) -> datetime | None:
    """Return when silence next becomes more urgent; what has become so already is overdue."""
    if _found(case, after) is not None:
        return after
    return min((step.at for step in _steps(case, after) if step.at > after), default=None)


def judge(case: Case, *, at: datetime) -> Iterable[Finding]:
    """Return the finding that silence is by this instant; the most silent family speaks."""
    if (found := _found(case, at)) is not None:
        yield Finding(
            rule=RULE,
            version=VERSION,
            level=found.level,
            evidence=(),
            facts=Facts(
                since=found.since,
                unit=found.family,
                cause="trend" if is_worrying(case) else None,
            ),
        )


def _found(case: Case, at: datetime) -> _Step | None:
    passed = [step for step in _steps(case, at) if step.at <= at and _is_seen(case, step.family)]
    if not passed or (case.plan and case.plan.is_paused(at)):
        return None
    worst = max(passed, key=lambda step: (step.level.rank, -step.since.timestamp()))
    known = case.alerts.get(RULE)
    # Time alone is no news until silence has grown.
    return worst if known is None or known.priority.rank < worst.level.rank else None


def is_worrying(case: Case) -> bool:
    """Tell whether an alert about values stands open, or the last values went the wrong way."""
    if any(alert.rule.startswith(_OF_VALUES) for alert in case.alerts.values()):
        return True
    plan = case.plan
    return plan is not None and any(
        _went_out(case, family, plan) for family in case.history.readings
    )


def _steps(case: Case, at: datetime) -> Iterator[_Step]:
    plan = case.plan
    settings = _settings(plan) if plan else None
    if plan is None or settings is None:
        return
    for activity in activities(plan):
        yield from _steps_of(case, plan, activity, settings, at)


def _steps_of(
    case: Case, plan: Plan, activity: Activity, settings: Silence, at: datetime
) -> Iterator[_Step]:
    since = silent_since(case, plan, activity, at)
    counted = max([since, *_heard_of(case)])
    earliest = first_missed_after(plan, activity, counted)
    if earliest is None:
        return
    early, late = settings.yellow_after_h, settings.red_after_h
    levels = [(early, Level.YELLOW)]
    if settings.red_on_trend and is_worrying(case):
        levels = [(min(early, settings.trend_after_h or early), Level.RED)]
    if late is not None:
        levels.append((late, Level.RED))
    for hours, level in levels:
        yield _Step(
            at=max(counted + timedelta(hours=hours), earliest),
            level=level,
            since=since,
            family=activity.family,
        )


def _heard_of(case: Case) -> Iterator[datetime]:
    """Yield when a person last knew how the patient is: they ended the silence as a true one.

    Who was not reached, or whose silence was somebody's error, was not heard of.
    """
    ended = case.ended.get(RULE)
    if ended is not None and ended.resolved_at is not None:
        outcome = OUTCOMES.get(ended.outcome or "")
        if outcome is not None and outcome.is_true is True:
            yield ended.resolved_at


def _is_seen(case: Case, family: Family) -> bool:
    chain = case.chain_of(family)
    return chain.is_whole and not chain.is_outage


def _went_out(case: Case, family: Family, plan: Plan) -> bool:
    """Tell whether the last value was beyond a limit, or the last ones went towards one.

    Three values in a row fall by chance in one of six: it is a trend where they fell by what the
    plan calls worse, and one more such step would be beyond the limit.
    """
    last = case.history.readings[family][-_GOING:]
    for measure, limits in plan.limits.items():
        values = [one.values[measure] for one in last if measure in one.values]
        if values and limits.level(values[-1]) is not None:
            return True
        if len(values) == _GOING and _is_outward(values, limits, worse.step_of(measure, limits)):
            return True
    return False


def _is_outward(values: list[Decimal], limits: Limits, step: Decimal) -> bool:
    fallen, newest = values[0] - values[-1], values[-1]
    falls = all(after < before for before, after in pairwise(values)) and fallen >= step
    rises = all(after > before for before, after in pairwise(values)) and -fallen >= step
    is_near_low = limits.is_low(newest - step, Level.YELLOW) or limits.is_low(
        newest - step, Level.RED
    )
    is_near_high = limits.is_high(newest + step, Level.YELLOW) or limits.is_high(
        newest + step, Level.RED
    )
    return (falls and is_near_low) or (rises and is_near_high)


def _settings(plan: Plan) -> Silence | None:
    return next((one for one in plan.rules if isinstance(one, Silence)), None)
