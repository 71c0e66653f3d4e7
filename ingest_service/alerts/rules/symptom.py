"""Rule ``symptom``, version 1: what a patient answers, alone or together with a value.

A value that is only yellow, with breathlessness risen by two steps, is not the same value. An
answer counts when it is at or beyond what the plan states, or has risen so much since the one
before.

Source:
    The clinical safety review (CHANGES, a reading at 07:34 and an answer at 07:36 that nobody
    saw until 09:30).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from ingest_service.alerts import conditions, levels, quoting
from ingest_service.alerts.alert import Facts
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import Finding, is_late
from ingest_service.alerts.history import Answer, Reading
from ingest_service.plans.limits import Family, Measure
from ingest_service.plans.plan import Plan, Symptom

VERSION: Final = 1
_FAMILIES: Final = {
    Measure.SYSTOLIC: Family.BLOOD_PRESSURE,
    Measure.DIASTOLIC: Family.BLOOD_PRESSURE,
    Measure.PULSE: Family.PULSE,
    Measure.SPO2: Family.SPO2,
    Measure.BODY_WEIGHT: Family.BODY_WEIGHT,
}
_MOST: Final = 50


def judge(case: Case, one: Answer | Reading, *, now: datetime) -> Iterator[Finding]:
    """Return what an answer means, or a value beside the answers around it."""
    plan = case.plan_at(now)
    for rule in plan.rules if plan is not None else ():
        if plan is None or not isinstance(rule, Symptom):
            continue
        if isinstance(one, Answer):
            yield from _of_answer(case, plan, rule, one, now)
        elif rule.beyond in one.values:
            yield from _of_reading(case, plan, rule, one, now)


def bad_answer(case: Case, plan: Plan, at: datetime) -> tuple[Answer, str] | None:
    """Return the newest answer around a time that is bad by itself, and to which question."""
    for rule in plan.rules:
        if not isinstance(rule, Symptom):
            continue
        within = timedelta(hours=rule.within_h)
        for answer in reversed(case.history.answers_of(at - within, at + within)[-_MOST:]):
            if _is_bad(case, rule, answer):
                return answer, rule.question
    return None


def _of_answer(
    case: Case, plan: Plan, rule: Symptom, answer: Answer, now: datetime
) -> Iterable[Finding]:
    if not _is_bad(case, rule, answer) or _is_history(case, rule, answer, now):
        return ()
    if rule.beyond is None:
        return (_found(rule, answer, None, now),)
    reading = _beyond(case, plan, rule.beyond, answer, rule, now=now)
    return () if reading is None else (_found(rule, answer, reading, now),)


def _of_reading(
    case: Case, plan: Plan, rule: Symptom, reading: Reading, now: datetime
) -> Iterable[Finding]:
    if not _is_beyond(plan, reading, now):
        return ()
    within = timedelta(hours=rule.within_h)
    at = reading.effective_at
    for answer in reversed(case.history.answers_of(at - within, at + within)[-_MOST:]):
        if _is_bad(case, rule, answer) and not _is_history(case, rule, answer, now):
            return (_found(rule, answer, reading, now),)
    return ()


def _beyond(
    case: Case, plan: Plan, measure: Measure, answer: Answer, rule: Symptom, *, now: datetime
) -> Reading | None:
    """Return the reading nearest before the end of the time around an answer that is beyond."""
    within = timedelta(hours=rule.within_h)
    around = case.history.of(
        _FAMILIES[measure], answer.answered_at - within, answer.answered_at + within
    )
    return next(
        (
            one
            for one in reversed(around[-_MOST:])
            if measure in one.values and _is_beyond(plan, one, now)
        ),
        None,
    )


def _is_beyond(plan: Plan, reading: Reading, now: datetime) -> bool:
    return (
        levels.level_of(reading.values, conditions.limits_of(plan, reading, now=now)) is not None
    )


def _is_bad(case: Case, rule: Symptom, answer: Answer) -> bool:
    value = answer.values.get(rule.question)
    if value is None:
        return False
    if rule.at_least is not None and value >= rule.at_least:
        return True
    if rule.rise is None:
        return False
    before = case.history.answer_before(rule.question, answer)
    return before is not None and value - before.values[rule.question] >= rule.rise


def _is_history(case: Case, rule: Symptom, answer: Answer, now: datetime) -> bool:
    """Tell whether a late answer is over: a later one to the question is not bad."""
    if not is_late(answer.answered_at, now):
        return False
    later = case.history.answers_of(answer.answered_at, now)[-_MOST:]
    return any(
        one.answered_at > answer.answered_at
        and rule.question in one.values
        and not _is_bad(case, rule, one)
        for one in later
    )


def _found(rule: Symptom, answer: Answer, reading: Reading | None, now: datetime) -> Finding:
    evidence = [quoting.of_answer(answer, rule.question, rule.level)]
    if reading is not None:
        evidence.append(quoting.of_reading(reading, rule.level, now=now))
        evidence.sort(key=lambda one: one.effective_at)
    return Finding(
        rule=f"symptom.{rule.id}",
        version=VERSION,
        level=rule.level,
        evidence=tuple(evidence),
        facts=Facts(
            question=rule.question,
            answer=str(answer.values[rule.question]),
            measure=rule.beyond,
            limit=rule.at_least,
            difference=rule.rise,
        ),
    )
