"""Rule ``change``, version 1: a rise or a fall of so much over so many days.

For weight, where fluid shows before breath does. Never for saturation: a change between two spot
readings is finer than the device and the patient (A14).

Source:
    European Society of Cardiology, heartfailurematters.org: tell physician or nurse of a weight
    that grows by more than 2 kg in 3 days. A change of just so much counts here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from ingest_service.alerts import certainty, episodes, home_time, quoting
from ingest_service.alerts.alert import Facts
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import Finding
from ingest_service.alerts.history import Reading
from ingest_service.plans.limits import Limits, Measure
from ingest_service.plans.plan import ChangeOverDays, Plan

VERSION: Final = 1
_MOST: Final = 400
_DAY: Final = timedelta(days=1)
_NEVER: Final = frozenset({Measure.SPO2})


def judge(case: Case, reading: Reading, *, now: datetime) -> Iterator[Finding]:
    """Return what the newest value means beside those of the days before it."""
    plan = case.plan_at(now)
    if plan is None or not _counts(reading):
        return
    for rule in plan.rules:
        if (
            isinstance(rule, ChangeOverDays)
            and rule.measure in reading.values
            and rule.measure not in _NEVER
        ):
            yield from _judge(case, plan, rule, reading, now)


def _judge(
    case: Case, plan: Plan, rule: ChangeOverDays, reading: Reading, now: datetime
) -> Iterator[Finding]:
    known = [one for one in _days(case, plan, rule, reading, now) if _counts(one)]
    if not known:
        return
    newest, earlier = known[-1], known[:-1]
    value = newest.values[rule.measure]
    for turn, least in ((1, rule.rise), (-1, rule.fall)):
        if least is None or not earlier:
            continue
        start = min(earlier, key=lambda one: turn * one.values[rule.measure])
        difference = value - start.values[rule.measure]
        if turn * difference >= least:
            yield _found(rule, (start, newest), difference, now)
            return


def _days(
    case: Case, plan: Plan, rule: ChangeOverDays, reading: Reading, now: datetime
) -> list[Reading]:
    """Return the readings of the last days, oldest first, from the one that was dealt with on."""
    newest = case.history.newest(reading.family) or reading
    at = newest.effective_at
    first_day = home_time.day_of(plan.time_zone, at) - rule.days * _DAY
    alert = episodes.dealt_with(case, _name(rule), now=now)
    since = at - (rule.days + 1) * _DAY
    if alert is not None:
        since = max(since, *(one.effective_at for one in alert.standing))
    return [
        one
        for one in case.history.of(reading.family, since, at)[-_MOST:]
        if rule.measure in one.values
        and home_time.day_of(plan.time_zone, one.effective_at) >= first_day
    ]


def _found(
    rule: ChangeOverDays,
    readings: tuple[Reading, Reading],
    difference: Decimal,
    now: datetime,
) -> Finding:
    start, newest = readings
    first = start.values[rule.measure]
    # What the value would have had to stay within: a step further out is worse.
    if difference > 0:
        limits = Limits(yellow_high=first + (rule.rise or Decimal(0)))
    else:
        limits = Limits(yellow_low=first - (rule.fall or Decimal(0)))
    return Finding(
        rule=_name(rule),
        version=VERSION,
        level=rule.level,
        evidence=(
            quoting.of_reading(start, None, now=now),
            quoting.of_reading(newest, rule.level, now=now),
        ),
        limits={rule.measure: limits},
        facts=Facts(measure=rule.measure, difference=difference, days=rule.days),
    )


def _name(rule: ChangeOverDays) -> str:
    return f"change.{rule.id}"


def _counts(reading: Reading) -> bool:
    """Tell whether a reading may be compared: somebody else on the scales is no change."""
    return not certainty.is_uncertain(reading.flags)
