"""Rule ``silence``, version 3: nothing measured for so long, by the plan's risk (A9).

A frail patient with COPD who stops measuring after two falling values is the classic picture
before an admission. So silence grows: from the reminder of a missed window to yellow and to red by
time; sooner to red where an alert stands open or the last values were beyond or near a limit. Only
while the chain is whole: else nobody knows, and rule ``unmonitored`` says so.

Who measures anything is not silent. What is missing alone, of one family, is said later; but as
soon as ever where it was that family's values that were worrying.

Time runs from the last valid reading, or from when a person last knew how the patient is, by an
alert that they ended: else it would come back at once, however often it is dealt with. But silence
is not judged before a whole window has been missed since: of a plan that measures on Tuesdays
nothing is silent on Wednesday.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final

from ingest_service.alerts import worse
from ingest_service.alerts.alert import Alert, Facts
from ingest_service.alerts.case import Case, Chain
from ingest_service.alerts.finding import Finding
from ingest_service.alerts.rules.expected import (
    OF_VALUES,
    activities,
    first_missed_after,
    heard_of,
    last_of,
    silent_since,
)
from ingest_service.plans.limits import FAMILY_OF_CODE, Family, Level, Limits
from ingest_service.plans.plan import Plan, Silence

RULE: Final = "silence"
VERSION: Final = 3
# What a gateway kept while nothing could reach us comes first.
_CATCH_UP: Final = timedelta(minutes=30)
# But a gateway that comes and goes for minutes keeps nothing back for long: it puts nothing off.
_LONG_BREAK: Final = timedelta(hours=1)
_GOING: Final = 3  # readings, each worse than the one before


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """Silence of one family becomes this at that time."""

    at: datetime
    level: Level
    since: datetime
    family: Family
    rule: str
    is_trend: bool


def next_at(case: Case, after: datetime) -> datetime | None:
    """Return when silence next becomes more urgent; what has become so already is overdue."""
    if _found(case, after):
        return after
    return min((step.at for step in _steps(case, after) if step.at > after), default=None)


def judge(case: Case, *, at: datetime) -> Iterable[Finding]:
    """Return the findings that silence is by this instant: of the patient, and of a family."""
    for found in _found(case, at):
        yield Finding(
            rule=found.rule,
            version=VERSION,
            level=found.level,
            evidence=(),
            facts=Facts(
                since=found.since,
                unit=None if found.rule == RULE else found.family,
                cause="trend" if found.is_trend else None,
            ),
        )


def of_family(family: Family) -> str:
    """Return what the alert is called that says that one family alone is not measured."""
    return f"{RULE}.{family.value}"


def _found(case: Case, at: datetime) -> list[_Step]:
    """Return the worst that each kind of silence is, where that is news: it has grown."""
    if case.plan and case.plan.is_paused(at):
        return []
    worst: dict[str, _Step] = {}
    for step in _steps(case, at):
        if step.at <= at and _is_seen(case, step.family):
            before = worst.get(step.rule)
            if before is None or step.level.rank > before.level.rank:
                worst[step.rule] = step
    whole = worst.get(RULE)
    return [
        step
        for step in worst.values()
        if step.level.rank > _rank(case.alerts.get(step.rule))
        and (step is whole or step.level.rank > _rank(case.alerts.get(RULE)))
        and (step is whole or whole is None or step.level.rank > whole.level.rank)
    ]


def _rank(known: Alert | None) -> int:
    return known.priority.rank if known else -1


def is_worrying(case: Case, family: Family | None = None) -> bool:
    """Tell whether an alert about values stands open, or the last values went the wrong way.

    Args:
        case: The patient.
        family: The only one whose values count, or None: any.
    """
    for alert in case.alerts.values():
        if alert.rule.startswith(OF_VALUES) and (family is None or _is_about(alert, family)):
            return True
    plan = case.plan
    return plan is not None and any(
        _went_out(case, each, plan)
        for each in case.history.readings
        if family is None or each == family
    )


def _is_about(alert: Alert, family: Family) -> bool:
    found = {FAMILY_OF_CODE.get(one.code) for one in alert.standing}
    return family in found or found <= {None}


def _steps(case: Case, at: datetime) -> Iterator[_Step]:
    plan = case.plan
    settings = _settings(plan) if plan else None
    if plan is None or settings is None:
        return
    heard = heard_of(case, RULE)
    own = {one: silent_since(case, plan, one, at) for one in activities(plan)}
    known = [last_of(case, family) for family in case.history.readings]
    newest = max((*own.values(), *(last for last in known if last is not None)), default=at)
    for activity, since in own.items():
        caught_up = _caught_up(case.chain_of(activity.family)) or since
        for rule, began in ((RULE, newest), (of_family(activity.family), since)):
            counted = began if heard is None else max(began, heard)
            if (missed := first_missed_after(plan, activity, counted)) is None:
                continue
            for hours, level, is_trend in _levels(case, activity.family, settings, rule):
                yield _Step(
                    at=max(counted + timedelta(hours=hours), missed, caught_up),
                    level=level,
                    since=began,
                    family=activity.family,
                    rule=rule,
                    is_trend=is_trend,
                )


def _caught_up(chain: Chain) -> datetime | None:
    """Return until when what was kept at home comes, after a break that was long."""
    if chain.changed_at is None or chain.broken_since is None:
        return None
    is_long = chain.changed_at - chain.broken_since >= _LONG_BREAK
    return chain.changed_at + _CATCH_UP if is_long else None


def _levels(
    case: Case, family: Family, settings: Silence, rule: str
) -> Iterator[tuple[int, Level, bool]]:
    """Yield after how many hours silence is how urgent, and whether that is for a trend."""
    early, late = settings.yellow_after_h, settings.red_after_h
    is_alone = rule != RULE
    if settings.red_on_trend and is_worrying(case, family if is_alone else None):
        yield min(early, settings.trend_after_h or early), Level.RED, True
    if is_alone:
        yield settings.of_one_after_h or 2 * early, Level.YELLOW, False
        return
    yield early, Level.YELLOW, False
    if late is not None:
        yield late, Level.RED, False


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
