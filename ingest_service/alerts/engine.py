"""One patient's alerts: apply inputs one after the other, and let time pass.

Pure: the `Case` that is given changes, and says in ``changes``, ``messages`` and ``cancellations``
what became of it; whoever drives it stores that. What goes wrong is raised, and the caller says
that a person must look (`could_not_judge`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Final
from uuid import UUID

from ingest_service.alerts import (
    certainty,
    conditions,
    deadlines,
    latch,
    levels,
    naming,
    presence,
    withdrawal,
)
from ingest_service.alerts.alert import Evidence
from ingest_service.alerts.case import Case
from ingest_service.alerts.deadlines import advance, next_due
from ingest_service.alerts.finding import Finding, may_be_history
from ingest_service.alerts.history import Answer, Attempt, Reading
from ingest_service.alerts.rules import (
    attempts,
    average,
    baseline,
    change,
    limit,
    reconnect,
    sustained,
    symptom,
    unjudged,
)
from ingest_service.alerts.rules.average import Issued
from ingest_service.plans.limits import FAMILY_OF_CODE, Family

__all__ = [
    "Input",
    "advance",
    "could_not_judge",
    "could_not_pass",
    "judge_again",
    "next_due",
    "take_answer",
    "take_attempt",
    "take_average",
    "take_back",
    "take_batch",
    "take_reading",
]

Input = Reading | Attempt | Answer

# How many of the newest readings are judged again when one of them is taken back.
_MOST_AGAIN: Final = 200
_NEXT: Final = timedelta(microseconds=1)


def take_reading(case: Case, reading: Reading, *, now: datetime) -> None:
    """Judge one valid reading: what it means by the plan in force, and for what waits for it."""
    deadlines.pass_alerts(case, now)
    case.history.add(reading)
    _judge_reading(case, reading, now)


def take_attempt(case: Case, attempt: Attempt, *, now: datetime) -> None:
    """Judge one failed attempt to measure."""
    deadlines.pass_alerts(case, now)
    case.history.add(attempt)
    _judge_attempt(case, attempt, now)


def take_answer(case: Case, answer: Answer, *, now: datetime) -> None:
    """Judge what a patient answered."""
    deadlines.pass_alerts(case, now)
    case.history.add(answer)
    _judge_answer(case, answer, now)


def take_average(case: Case, issued: Issued, *, now: datetime) -> None:
    """Judge a protocol's average that was issued, or issued anew."""
    deadlines.pass_alerts(case, now)
    _join_all(case, average.judge(case, issued, now=now), now)


def take_batch(
    case: Case,
    inputs: Collection[Input],
    *,
    now: datetime,
    most_late: int = reconnect.MOST_LATE,
) -> None:
    """Judge what came at once, in the order in which it was measured.

    Each is judged knowing the others, so that what was measured twice in one sitting confirms
    itself. More than ``most_late`` late readings are one alert (A5).
    """
    deadlines.pass_alerts(case, now)
    for one in inputs:
        case.history.add(one)
    ordered = sorted(inputs, key=_measured)
    late = [
        one
        for one in ordered
        if isinstance(one, Reading) and may_be_history(one.effective_at, one.flags, now)
    ]
    if len(reconnect.times(late)) > most_late:
        _judge_late(case, late, now)
        gone = {one.observation_id for one in late}
        ordered = [one for one in ordered if _id_of(one) not in gone]
    for one in ordered:
        _judge(case, one, now)


def take_back(
    case: Case, observations: Collection[UUID], *, by: str, why: str, now: datetime
) -> None:
    """Take back what was measured or answered, and judge anew what is left (A8).

    What it hid or disproved is judged as if it came now: readings that were history because of it,
    a red that it did not confirm, attempts that it stood between.

    Args:
        case: The patient, knowing what was measured around it and since.
        observations: What is no longer the patient's, or no longer says what it said.
        by: Who decided that.
        why: What they say.
        now: When.
    """
    deadlines.pass_alerts(case, now)
    alerts = [*case.alerts.values(), *case.ended.values()]
    gone = case.history.remove(observations)
    families = {FAMILY_OF_CODE[one.code] for one in gone if one.code in FAMILY_OF_CODE}
    for alert in alerts:
        families |= {
            FAMILY_OF_CODE[one.code]
            for one in alert.readings
            if one.observation_id in observations and one.code in FAMILY_OF_CODE
        }
        withdrawal.withdraw(case, alert, observations, by=by, why=why, now=now)
    judge_again(case, families, now=now)
    for one in gone:
        if isinstance(one, Reading):
            _judge_attempts_around(case, one, now)


def judge_again(case: Case, families: Collection[Family], *, now: datetime) -> None:
    """Judge the newest readings of these families anew: what made them history may have moved."""
    for family in sorted(families):
        for reading in _uncovered(case, family, now):
            withdrawal.doubt_again(case, naming.limit_rule(family), reading.observation_id)
            _judge_reading(case, reading, now)


def could_not_judge(case: Case, evidence: Evidence, *, now: datetime) -> None:
    """Say of something that it is stored and that a person must look at it."""
    latch.join(case, unjudged.found(evidence), now=now)


def could_not_pass(case: Case, *, now: datetime) -> None:
    """Say of a patient that what time brings could not be judged, and that a person must look."""
    latch.join(case, unjudged.of_time(), now=now)


def _judge(case: Case, one: Input, now: datetime) -> None:
    match one:
        case Reading():
            _judge_reading(case, one, now)
        case Attempt():
            _judge_attempt(case, one, now)
        case Answer():
            _judge_answer(case, one, now)


def _judge_reading(case: Case, reading: Reading, now: datetime) -> None:
    findings = list(limit.judge(case, reading, now=now))
    latch.settle(case, reading, limit.not_red(case, reading, now=now), now=now)
    _join_all(case, findings, now)
    _join_all(case, _of_history(case, reading, now), now)
    presence.settle(case, reading, now=now)


def _judge_attempt(case: Case, attempt: Attempt, now: datetime) -> None:
    _join_all(case, attempts.judge(case, attempt, now=now), now)


def _judge_answer(case: Case, answer: Answer, now: datetime) -> None:
    _join_all(case, symptom.judge(case, answer, now=now), now)
    _join_all(case, attempts.judge_answer(case, answer, now=now), now)


def _of_history(case: Case, reading: Reading, now: datetime) -> Iterator[Finding]:
    """Yield what rules find that look at more than the reading."""
    for rule in (sustained, baseline, change, symptom):
        yield from rule.judge(case, reading, now=now)


def _judge_late(case: Case, late: Collection[Reading], now: datetime) -> None:
    found: list[Finding] = []
    for reading in late:
        found.extend(chain(limit.judge(case, reading, now=now), _of_history(case, reading, now)))
        latch.settle(case, reading, limit.not_red(case, reading, now=now), now=now)
    _join_all(case, reconnect.judge(case, list(late), found, now=now), now)
    for reading in late:
        presence.settle(case, reading, now=now)


def _join_all(case: Case, findings: Iterable[Finding], now: datetime) -> None:
    for finding in findings:
        latch.join(case, finding, now=now)


def _uncovered(case: Case, family: Family, now: datetime) -> list[Reading]:
    """Return, oldest first, the newest readings after the last one within limits; at least one."""
    plan, newest = case.plan_at(now), case.history.newest(family)
    if plan is None or newest is None:
        return []
    found: list[Reading] = []
    known = case.history.before(family, newest.effective_at + _NEXT)
    for reading in islice(known, _MOST_AGAIN):
        limits = conditions.limits_of(plan, reading, now=now)
        is_within = levels.level_of(reading.values, limits) is None
        if is_within and certainty.is_trusted(reading.flags):
            break
        found.append(reading)
    return found[::-1] or [newest]


def _judge_attempts_around(case: Case, reading: Reading, now: datetime) -> None:
    """Judge attempts that failed around a reading: without it they may be three in a row."""
    plan = case.plan_at(now)
    if plan is None:
        return
    window = timedelta(minutes=attempts.settings_of(plan).within_min)
    at = reading.effective_at
    for attempt in case.history.attempts_of(at - window, at + window)[-_MOST_AGAIN:]:
        _judge_attempt(case, attempt, now)


def _measured(one: Input) -> tuple[datetime, UUID]:
    return (one.answered_at if isinstance(one, Answer) else one.effective_at), _id_of(one)


def _id_of(one: Input) -> UUID:
    return one.response_id if isinstance(one, Answer) else one.observation_id
