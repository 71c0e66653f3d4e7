"""Rule ``limit``, version 2: a reading beyond the patient's own limits.

Two-sided and two-level, by the condition in which it was measured. Nothing possible is withheld
and nothing mutes red (A1, A2): movement, low perfusion or a doubtful person are flags on the
evidence and change no level. A red that is not beyond the immediate limit waits for a
second value (A4).

Source:
    The clinical safety review, A1, A2, A4, A5, A7, A13, A14. Measuring again before an alarm: NHS
    England, COVID Oximetry @home (92 % or less: check again at once; still so: emergency).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from ingest_service.alerts import certainty, conditions, episodes, levels, quoting, worse
from ingest_service.alerts.alert import Alert, Evidence, Facts, State
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import Finding, is_late, may_be_history
from ingest_service.alerts.history import Reading
from ingest_service.alerts.naming import limit_rule
from ingest_service.plans.limits import Level, Measure, PlanLimits
from ingest_service.plans.plan import Plan, YellowReading
from ingest_service.plans.windows import part_of_day

VERSION: Final = 2

# Of what came later, how much is looked through: a gateway that sends a thousand readings with one
# time must not hold up the others.
_MOST: Final = 200

# So close before a yellow reading, one beyond limits is told with it.
_NEAR: Final = timedelta(hours=1)


def judge(case: Case, reading: Reading, *, now: datetime) -> Iterable[Finding]:
    """Return what a reading means by its patient's limits; at most one finding."""
    plan = case.plan_at(now)
    if plan is None:
        return ()
    limits = conditions.limits_of(plan, reading, now=now)
    level = levels.level_of(reading.values, limits)
    alert = case.alerts.get(limit_rule(reading.family))
    if level is None:
        if _is_second_near(reading, alert, limits):
            return _yellow(case, plan, reading, limits, now)
        return ()
    if is_history(case, plan, reading, now=now):
        return ()
    if level is Level.RED:
        return (_red(case, plan, reading, limits, now),)
    return _yellow(case, plan, reading, limits, now)


def not_red(case: Case, reading: Reading, *, now: datetime) -> frozenset[Measure]:
    """Return what of a reading was held against limits and is not red.

    Nothing if one of its values is: then it settles no other.
    """
    plan = case.plan_at(now)
    if plan is None:
        return frozenset()
    limits = conditions.limits_of(plan, reading, now=now)
    if levels.level_of(reading.values, limits) is Level.RED:
        return frozenset()
    return frozenset(reading.values.keys() & limits.keys())


def is_history(case: Case, plan: Plan, reading: Reading, *, now: datetime) -> bool:
    """Tell whether a late reading is over: a later one is within limits, and to be trusted (A5).

    As the newest known of its kind it alerts, with its age.
    """
    if not may_be_history(reading.effective_at, reading.flags, now):
        return False
    return any(
        certainty.is_trusted(one.flags)
        and reading.values.keys() <= one.values.keys()
        and levels.level_of(one.values, conditions.limits_of(plan, one, now=now)) is None
        for one in islice(case.history.after(reading.family, reading.effective_at), _MOST)
    )


def _red(case: Case, plan: Plan, reading: Reading, limits: PlanLimits, now: datetime) -> Finding:
    evidence = [quoting.of_reading(reading, Level.RED, now=now)]
    is_doubtful = certainty.is_uncertain(reading.flags)
    within = _within(plan, reading, limits)
    second, is_alone = None, False
    if within is not None and is_late(reading.effective_at, now):
        # The time in which a second value could have come is over: it alerts now (A5).
        is_alone, within = True, None
    elif within is not None:
        second = _second(case, plan, reading, now)
    is_confirmed = second is not None and second[1] is Level.RED
    if second is not None and is_confirmed:
        evidence.append(quoting.of_reading(second[0], Level.RED, now=now))
        is_doubtful = certainty.is_uncertain(second[0].flags)
        within = None
    return Finding(
        rule=limit_rule(reading.family),
        version=VERSION,
        level=Level.RED,
        evidence=tuple(evidence),
        limits=_own(reading, limits),
        facts=_facts(plan, reading, is_unconfirmed=is_doubtful or is_alone),
        confirm_within=within,
        is_doubtful=is_doubtful,
        is_disproved=second is not None and not is_confirmed,
    )


def _facts(plan: Plan, reading: Reading, *, is_unconfirmed: bool) -> Facts:
    """Note what is usual for the patient at that time of day, as a clinician stated it."""
    part = part_of_day(plan.time_zone, reading.effective_at)
    stated = [
        each
        for each in plan.usual
        if len(reading.values) == 1
        and each.measure in reading.values
        and each.part_of_day in {None, part}
    ]
    usual = min(stated, key=lambda each: each.part_of_day is None, default=None)
    return Facts(
        is_unconfirmed=is_unconfirmed,
        usual_low=usual and usual.low,
        usual_high=usual and usual.high,
    )


def _within(plan: Plan, reading: Reading, limits: PlanLimits) -> timedelta | None:
    """Return how long a second value is waited for, or None: not at all."""
    if levels.is_immediate(reading.values, limits):
        return None
    minutes = plan.confirm_of(reading.family).within_min
    return timedelta(minutes=minutes) if minutes > 0 else None


def _second(
    case: Case, plan: Plan, reading: Reading, now: datetime
) -> tuple[Reading, Level | None] | None:
    """Return the second value that is known already, and what it is: red, or it disproves."""
    for one in islice(case.history.after(reading.family, reading.effective_at), _MOST):
        if certainty.DOUBLE in one.flags:
            continue
        limits = conditions.limits_of(plan, one, now=now)
        level = levels.level_of(one.values, limits)
        if level is Level.RED or can_disprove(one, reading):
            return one, level
    return None


def can_disprove(second: Reading, first: Reading) -> bool:
    """Tell whether a second value that is not red shows that the first one was not so."""
    return certainty.is_trusted(second.flags) and first.values.keys() <= second.values.keys()


def _yellow(
    case: Case, plan: Plan, reading: Reading, limits: PlanLimits, now: datetime
) -> Iterator[Finding]:
    rule = limit_rule(reading.family)
    evidence = quoting.of_reading(reading, Level.YELLOW, now=now)
    alert = case.alerts.get(rule)
    before: tuple[Evidence, ...] = ()
    if alert is None or alert.state is State.AWAITING:
        before = _beyond_before(case, plan, reading, now)
        policy = plan.confirm_of(reading.family).yellow
        is_single = not before and not _is_beyond_after(case, plan, reading, now)
        if policy is not YellowReading.CONFIRMED and not _is_near(before, reading):
            before = ()
        if policy is YellowReading.SHOWN:
            return
        if policy is YellowReading.CONFIRMED and is_single:
            return
        if _is_dealt_with(case, plan, reading, evidence, limits, now=now):
            return
    yield Finding(
        rule=rule,
        version=VERSION,
        level=Level.YELLOW,
        evidence=(*before, evidence),
        limits=_own(reading, limits),
        facts=_facts(plan, reading, is_unconfirmed=certainty.is_uncertain(reading.flags)),
        is_doubtful=certainty.is_uncertain(reading.flags),
    )


def _is_near(before: tuple[Evidence, ...], reading: Reading) -> bool:
    return all(reading.effective_at - one.effective_at <= _NEAR for one in before)


def _is_dealt_with(
    case: Case,
    plan: Plan,
    reading: Reading,
    evidence: Evidence,
    limits: PlanLimits,
    *,
    now: datetime,
) -> bool:
    """Tell whether a yellow reading belongs to what a person has ended, and is no worse.

    It does unless something was back within limits since, or it is a step worse than at the last
    raise.
    """
    alert = episodes.dealt_with(case, limit_rule(reading.family), now=now)
    if alert is None or worse.is_worse((evidence,), alert.reference(), limits):
        return False
    last = max(one.effective_at for one in alert.standing)
    return not any(
        certainty.is_trusted(one.flags)
        and levels.is_back(one.values, conditions.limits_of(plan, one, now=now))
        for one in reversed(case.history.of(reading.family, last, reading.effective_at))
    )


def _beyond_before(
    case: Case, plan: Plan, reading: Reading, now: datetime
) -> tuple[Evidence, ...]:
    """Return the reading just before, if it too was beyond limits and is of this episode."""
    for one in islice(case.history.before(reading.family, reading.effective_at), _MOST):
        if reading.effective_at - one.effective_at > episodes.LONGEST:
            break
        if certainty.DOUBLE not in one.flags:
            level = _level(plan, one, now)
            return (quoting.of_reading(one, level, now=now),) if level else ()
    return ()


def _is_beyond_after(case: Case, plan: Plan, reading: Reading, now: datetime) -> bool:
    for one in islice(case.history.after(reading.family, reading.effective_at), _MOST):
        if certainty.DOUBLE not in one.flags:
            return _level(plan, one, now) is not None
    return False


def _level(plan: Plan, reading: Reading, now: datetime) -> Level | None:
    return levels.level_of(reading.values, conditions.limits_of(plan, reading, now=now))


def _is_second_near(reading: Reading, alert: Alert | None, limits: PlanLimits) -> bool:
    """Tell whether a second value is within limits, but not by the hysteresis: it is yellow."""
    if alert is None or alert.state is not State.AWAITING:
        return False
    is_second = all(one.effective_at < reading.effective_at for one in alert.standing)
    return is_second and not levels.is_back(reading.values, limits)


def _own(reading: Reading, limits: PlanLimits) -> PlanLimits:
    return {measure: limits[measure] for measure in reading.values if measure in limits}
