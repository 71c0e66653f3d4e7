"""Rule ``baseline``, version 1: further from a patient's own usual than the plan allows.

The usual is what the plan states for the part of the day, else the median of the patient's own
readings in that part: saturation at rest in COPD varies by more over a day than its limits are
apart. Never by one reading alone where the plan says more (A14).

Source:
    The clinical safety review, A14 (mHealth 2019 e12866: night mean 89.9, by day at rest 92.1);
    Norway's home visits that establish a patient's normal first (Helsedirektoratet).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Final

from ingest_service.alerts import certainty, episodes, home_time, quoting
from ingest_service.alerts.alert import Facts
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import Finding
from ingest_service.alerts.history import Reading
from ingest_service.plans.limits import Limits
from ingest_service.plans.plan import Baseline, Plan, Side
from ingest_service.plans.windows import PartOfDay

VERSION: Final = 1
_MOST: Final = 400


@dataclass(frozen=True, slots=True)
class _Usual:
    low: Decimal
    high: Decimal


def judge(case: Case, reading: Reading, *, now: datetime) -> Iterator[Finding]:
    """Return what a reading means beside what is usual for this patient."""
    plan = case.plan_at(now)
    if plan is None or certainty.is_doubtful(reading.flags):
        return
    for rule in plan.rules:
        if isinstance(rule, Baseline) and rule.measure in reading.values:
            yield from _judge(case, plan, rule, reading, now)


def _judge(
    case: Case, plan: Plan, rule: Baseline, reading: Reading, now: datetime
) -> Iterator[Finding]:
    name = f"baseline.{rule.id}"
    run = _last(case, plan, rule, reading, episodes.dealt_with_at(case, name, now=now))
    if len(run) < rule.count:
        return
    usual: dict[PartOfDay | None, _Usual | None] = {}
    for one in run:
        part = _part(plan, rule, one)
        if part not in usual:
            usual[part] = _usual(case, plan, rule, part, before=run[-1])
        own = usual[part]
        if own is None or not _is_far(one.values[rule.measure], own, rule):
            return
    own = usual[_part(plan, rule, run[0])]
    if own is None:
        return
    bound = own.low - rule.distance if rule.side is Side.LOW else own.high + rule.distance
    limits = Limits(yellow_low=bound) if rule.side is Side.LOW else Limits(yellow_high=bound)
    edge = own.low if rule.side is Side.LOW else own.high
    yield Finding(
        rule=name,
        version=VERSION,
        level=rule.level,
        evidence=tuple(quoting.of_reading(one, rule.level, now=now) for one in reversed(run)),
        limits={rule.measure: limits},
        facts=Facts(
            usual_low=own.low,
            usual_high=own.high,
            count=rule.count,
            measure=rule.measure,
            difference=abs(run[0].values[rule.measure] - edge),
            days=rule.days,
        ),
    )


def _last(
    case: Case, plan: Plan, rule: Baseline, reading: Reading, dealt_with_at: datetime | None
) -> list[Reading]:
    """Return the last readings that count, newest first: as many as must be far out."""
    del plan
    newest = case.history.newest(reading.family) or reading
    found: list[Reading] = []
    for one in case.history.before(
        reading.family, newest.effective_at + timedelta(microseconds=1)
    ):
        is_done = dealt_with_at is not None and one.effective_at <= dealt_with_at
        if is_done or len(found) == max(rule.count, 1):
            break
        if rule.measure in one.values and not certainty.is_doubtful(one.flags):
            found.append(one)
    return found


def _usual(
    case: Case, plan: Plan, rule: Baseline, part: PartOfDay | None, *, before: Reading
) -> _Usual | None:
    stated = [one for one in plan.usual if one.measure is rule.measure]
    for wanted in (part, None):
        for one in stated:
            if one.part_of_day == wanted:
                return _Usual(one.low, one.high)
    since = before.effective_at - timedelta(days=rule.days)
    values = [
        one.values[rule.measure]
        for one in case.history.of(before.family, since, before.effective_at)[-_MOST:]
        if rule.measure in one.values
        and one.effective_at < before.effective_at
        and (part is None or home_time.part_of(plan.time_zone, one.effective_at) is part)
        and not certainty.is_doubtful(one.flags)
    ]
    if len(values) < max(rule.fewest, 1):
        return None
    middle = median(values)
    return _Usual(middle, middle)


def _part(plan: Plan, rule: Baseline, reading: Reading) -> PartOfDay | None:
    if not rule.is_by_part_of_day:
        return None
    return home_time.part_of(plan.time_zone, reading.effective_at)


def _is_far(value: Decimal, usual: _Usual, rule: Baseline) -> bool:
    if rule.side is Side.LOW:
        return value < usual.low - rule.distance
    return value > usual.high + rule.distance
