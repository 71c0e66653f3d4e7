"""Rule ``sustained``, version 1: beyond a limit on so many days, or so many of the last readings.

One value beyond a limit is often chance; several are not. A day is beyond when the mean of its
readings is. Readings with movement or a loose cuff count for neither side; an irregular pulse
counts (A2). What was measured before a person last ended the alert is dealt with.

Source:
    The clinical notes: an alert after three or more raised readings gave 552 alerts in 162
    patients, 62 % acted on (ACC); a physician told after five uncontrolled days (AHA TH125).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Final

from ingest_service.alerts import certainty, episodes, home_time, quoting
from ingest_service.alerts.alert import Facts
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import Finding
from ingest_service.alerts.history import Reading
from ingest_service.plans.limits import Limits, Measure
from ingest_service.plans.plan import Plan, Side, Sustained

VERSION: Final = 1

#: How far back readings and days are looked for.
HORIZON: Final = timedelta(days=45)
_MOST: Final = 400


def judge(case: Case, reading: Reading, *, now: datetime) -> Iterator[Finding]:
    """Return what a reading beyond a limit means together with those before it."""
    plan = case.plan_at(now)
    if plan is None or certainty.is_doubtful(reading.flags):
        return
    for rule in plan.rules:
        if not isinstance(rule, Sustained):
            continue
        bound = _bound(plan, rule, now)
        if bound is not None and is_beyond(plan, rule, reading, now=now):
            yield from _found(case, plan, rule, reading, bound, now=now)


def is_beyond(plan: Plan, rule: Sustained, reading: Reading, *, now: datetime) -> bool:
    """Tell whether a reading is beyond what a rule asks about: else it brings nothing."""
    value, bound = reading.values.get(rule.measure), _bound(plan, rule, now)
    return value is not None and bound is not None and _is_beyond(value, bound, rule.side)


def _found(
    case: Case, plan: Plan, rule: Sustained, reading: Reading, bound: Decimal, *, now: datetime
) -> Iterator[Finding]:
    name = f"sustained.{rule.id}"
    dealt_with_at = episodes.dealt_with_at(case, name, now=now)
    known = islice(_recent(case, reading, rule.measure, dealt_with_at), _MOST)
    beyond = (_days if rule.unit == "days" else _readings)(plan, rule, known, bound)
    if len(beyond) < rule.count:
        return
    own = Limits(yellow_low=bound) if rule.side is Side.LOW else Limits(yellow_high=bound)
    yield Finding(
        rule=name,
        version=VERSION,
        level=rule.level,
        evidence=tuple(
            quoting.of_reading(one, rule.level, now=now)
            for one in sorted(beyond, key=lambda each: each.effective_at)
        ),
        limits={rule.measure: own},
        facts=Facts(
            count=len(beyond), of=rule.of, unit=rule.unit, measure=rule.measure, limit=bound
        ),
    )


def _recent(
    case: Case, reading: Reading, measure: Measure, dealt_with_at: datetime | None
) -> Iterator[Reading]:
    """Yield what counts, newest first, from the newest known on."""
    newest = case.history.newest(reading.family) or reading
    end = newest.effective_at + timedelta(microseconds=1)
    for one in case.history.before(reading.family, end):
        if end - one.effective_at > HORIZON:
            return
        if dealt_with_at is not None and one.effective_at <= dealt_with_at:
            return
        if measure in one.values and not certainty.is_doubtful(one.flags):
            yield one


def _readings(
    plan: Plan, rule: Sustained, known: Iterable[Reading], bound: Decimal
) -> list[Reading]:
    del plan
    last = islice(known, rule.of)
    return [one for one in last if _is_beyond(one.values[rule.measure], bound, rule.side)]


def _days(plan: Plan, rule: Sustained, known: Iterable[Reading], bound: Decimal) -> list[Reading]:
    """Return of each of the last days whose mean is beyond the reading that is furthest out."""
    days: dict[date, list[Reading]] = {}
    for one in known:
        day = home_time.day_of(plan.time_zone, one.effective_at)
        if day not in days and len(days) == rule.of:
            break
        days.setdefault(day, []).append(one)
    furthest = min if rule.side is Side.LOW else max
    return [
        furthest(readings, key=lambda one: one.values[rule.measure])
        for readings in days.values()
        if _is_beyond(
            sum((one.values[rule.measure] for one in readings), Decimal(0)),
            bound * len(readings),
            rule.side,
        )
    ]


def _bound(plan: Plan, rule: Sustained, now: datetime) -> Decimal | None:
    if rule.limit is not None:
        return rule.limit
    limits = plan.limits_at(now).get(rule.measure)
    if limits is None:
        return None
    return limits.yellow_low if rule.side is Side.LOW else limits.yellow_high


def _is_beyond(value: Decimal, bound: Decimal, side: Side) -> bool:
    return value < bound if side is Side.LOW else value > bound
