"""Rule ``failed_attempts``, version 3: somebody tries to measure and cannot (A3).

Three errors of a cuff in a hypotensive patient, or an oximeter that finds no signal in a cold
grey finger, are a sign of their own: yellow, and red with a bad symptom. Who goes on trying often
succeeds: for a quarter of an hour the alert waits for a valid reading, with a bad symptom it does
not. It holds for every plan; one may change the numbers.

Source:
    The clinical safety review, A3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from ingest_service.alerts import certainty, quoting
from ingest_service.alerts.alert import Facts
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import Finding, may_be_history
from ingest_service.alerts.history import Answer, Attempt, Reading
from ingest_service.alerts.rules import symptom
from ingest_service.plans.limits import FAMILY_OF_CODE, Family, Level
from ingest_service.plans.plan import FailedAttempts, Plan

RULE: Final = "failed_attempts"
VERSION: Final = 3
_DEFAULT: Final = FailedAttempts()
_MOST: Final = 200


def judge(case: Case, attempt: Attempt, *, now: datetime) -> Iterable[Finding]:
    """Return what a failed attempt means: with those around it, or beside an open alert.

    A late one is history if a valid reading came after it. A pulse stands beside the pressure or
    saturation that failed with it.
    """
    plan = case.plan_at(now)
    family = FAMILY_OF_CODE.get(attempt.code)
    if plan is None or family in {None, Family.PULSE} or _is_history(case, attempt, now=now):
        return ()
    settings = settings_of(plan)
    if RULE in case.alerts:
        failed: Sequence[Attempt] = (attempt,)
    else:
        failed = _unbroken(case, attempt, settings)
    if not failed:
        return ()
    bad = symptom.bad_answer(case, plan, attempt.effective_at)
    if bad is None and RULE not in case.alerts and _succeeded(case, failed[-1]):
        return ()
    level = settings.level if bad is None else Level.RED
    evidence = tuple(quoting.of_attempt(one, settings.level, now=now) for one in failed)
    if bad is not None:
        evidence = (quoting.of_answer(*bad, level), *evidence)
    return (
        Finding(
            rule=RULE,
            version=VERSION,
            level=level,
            evidence=evidence,
            facts=_facts(settings, bad),
            confirm_within=timedelta(minutes=settings.wait_min) if bad is None else None,
            again_after=settings.count,
        ),
    )


def judge_answer(case: Case, answer: Answer, *, now: datetime) -> Iterable[Finding]:
    """Return red where an open alert of failed attempts now comes with a bad symptom."""
    plan, alert = case.plan_at(now), case.alerts.get(RULE)
    if plan is None or alert is None or not alert.standing:
        return ()
    bad = symptom.bad_answer(case, plan, max(one.effective_at for one in alert.standing))
    if bad is None or bad[0] is not answer:
        return ()
    return (
        Finding(
            rule=RULE,
            version=VERSION,
            level=Level.RED,
            evidence=(quoting.of_answer(*bad, Level.RED),),
            facts=_facts(settings_of(plan), bad),
        ),
    )


def settings_of(plan: Plan) -> FailedAttempts:
    """Return the plan's numbers, or the default: no plan does without."""
    return next((one for one in plan.rules if isinstance(one, FailedAttempts)), _DEFAULT)


def _facts(settings: FailedAttempts, bad: tuple[Answer, str] | None) -> Facts:
    if bad is None:
        return Facts(count=settings.count)
    answer, question = bad
    return Facts(count=settings.count, question=question, answer=str(answer.values[question]))


def _succeeded(case: Case, last: Attempt) -> bool:
    """Tell whether a valid reading came after the last one that failed."""
    later = case.history.after(FAMILY_OF_CODE[last.code], last.effective_at)
    return any(settles(last.code, one) for one in islice(later, _MOST))


def settles(code: str, reading: Reading) -> bool:
    """Tell whether a reading is what attempts to measure that were after."""
    return reading.code == code and certainty.is_trusted(reading.flags)


def _is_history(case: Case, attempt: Attempt, *, now: datetime) -> bool:
    if not may_be_history(attempt.effective_at, attempt.flags, now):
        return False
    later = case.history.after(FAMILY_OF_CODE[attempt.code], attempt.effective_at)
    return any(one.code == attempt.code for one in islice(later, _MOST))


def _unbroken(case: Case, attempt: Attempt, settings: FailedAttempts) -> Sequence[Attempt]:
    """Return enough failed attempts around this one with no valid one between, or none."""
    window, count = timedelta(minutes=settings.within_min), max(settings.count, 1)
    since, until = attempt.effective_at - window, attempt.effective_at + window
    failed = [one for one in case.history.attempts_of(since, until) if one.code == attempt.code]
    valid = [
        one.effective_at
        for one in case.history.of(FAMILY_OF_CODE[attempt.code], since, until)
        if one.code == attempt.code
    ]
    place = next(
        (i for i, one in enumerate(failed) if one.observation_id == attempt.observation_id), None
    )
    if place is None:
        return ()
    for start in range(max(0, place - count + 1), min(place, len(failed) - count) + 1):
        some = failed[start : start + count]
        first, last = some[0].effective_at, some[-1].effective_at
        if last - first <= window and not any(first < at < last for at in valid):
            return some
    return ()
