"""What alerts made of one patient's deteriorations: found when, or missed why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from benchmarks.cohort.courses import RED, family_of
from benchmarks.cohort.measuring import Produced
from benchmarks.cohort.plain import Limits, level, once_a_day
from benchmarks.cohort.records import Alert, Cause, Monitored, Request, Truth

#: Flags that lower a value's certainty. An irregular pulse does not (A2).
DOUBTFUL: Final = frozenset({"body_movement", "cuff_too_loose", "low_perfusion"})


class Miss(StrEnum):
    """Why no alert of a deterioration reached a person; the first that holds, in this order."""

    NOT_MEASURED = "not_measured"  # no reading and no attempt from the crossing to the end
    LATE = "late"  # all of them came after the end
    WITHIN_LIMITS = "within_limits"  # measured, and none beyond limits
    QUARANTINE = "quarantine"  # beyond limits, and all of those in the quarantine
    FLAG = "flag"  # beyond limits, and all of those doubtful
    NOT_ANSWERED = "not_answered"  # asked to measure again, and no answer
    NOT_RAISED = "not_raised"  # beyond limits in plain sight, and nothing came of it


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """When one way of judging reached a person about a deterioration; ``red_at`` as red."""

    at: datetime | None = None
    red_at: datetime | None = None
    miss: Miss | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One deterioration, and what the rules and the plain limit made of it.

    ``plain_red_at`` is the plain limit's first red from the crossing of red on: what came before
    was chance, not the deterioration. ``by_chance`` tells whether the rules, and the plain limit,
    had an alert of the same families in as long a time just before, in which nothing was wrong;
    it is absent where the patient had no such time.
    """

    truth: Truth
    rules: Finding
    plain: Finding
    plain_red_at: datetime | None = None
    by_chance: tuple[bool, bool] | None = None


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Of one rule, what reached a person: in all, as red, and outside of any deterioration."""

    alerts: int
    reds: int
    false: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One patient: counts of what reached a person, and each deterioration."""

    patient_id: UUID
    programme: str
    days: float
    readings: int
    alerts: int
    reds: int
    false: int
    plain: int
    plain_reds: int
    plain_false: int
    plain_daily: int
    requests: int
    answered: int
    rules: Mapping[str, Tally]
    found: tuple[Found, ...]


def outcome(
    monitored: Monitored,
    truths: Sequence[Truth],
    produced: Sequence[Produced],
    limits: Limits,
    *,
    rules: Sequence[Alert],
    plain: Sequence[Alert],
    requests: Sequence[Request],
) -> Outcome:
    """Compare one patient's alerts with what is true of the patient.

    Args:
        monitored: The patient and their days.
        truths: Their deteriorations.
        produced: What they measured, the quarantined and the requested included.
        limits: Their limits.
        rules: The alerts to be judged; only those that reach a person count.
        plain: The plain limit's alerts on what was measured unasked.
        requests: Requests to measure again.
    """
    reaching = sorted((one for one in rules if one.reaches_person), key=lambda one: one.raised_at)
    # The plain limit asks and reminds nobody, and sees nothing of what came of that.
    unasked = [one for one in produced if one.made.why in {Cause.SCHEDULED, Cause.UNWELL}]
    found = tuple(
        Found(
            truth=truth,
            rules=_finding(truth, reaching)
            or Finding(miss=_miss(truth, produced, limits, requests)),
            plain=_finding(truth, plain) or Finding(miss=_miss(truth, unasked, limits, ())),
            plain_red_at=_first_red(truth, plain),
            by_chance=_by_chance(monitored, truth, truths, reaching, plain),
        )
        for truth in truths
    )
    return Outcome(
        patient_id=monitored.patient_id,
        programme=monitored.programme,
        days=(monitored.until - monitored.since) / timedelta(days=1),
        readings=len(produced),
        alerts=len(reaching),
        reds=_reds(reaching),
        false=_false(truths, reaching),
        plain=len(plain),
        plain_reds=_reds(plain),
        plain_false=_false(truths, plain),
        plain_daily=len(once_a_day(plain)),
        requests=len(requests),
        answered=sum(one.measured_at is not None for one in requests),
        rules={name: _tally(truths, of) for name, of in _by_rule(reaching).items()},
        found=found,
    )


def _by_rule(alerts: Iterable[Alert]) -> Mapping[str, Sequence[Alert]]:
    by_rule: dict[str, list[Alert]] = {}
    for one in alerts:
        by_rule.setdefault(one.rule, []).append(one)
    return by_rule


def _tally(truths: Sequence[Truth], alerts: Sequence[Alert]) -> Tally:
    return Tally(alerts=len(alerts), reds=_reds(alerts), false=_false(truths, alerts))


def is_about(alert: Alert, truth: Truth) -> bool:
    """Tell whether an alert falls into a deterioration's time and rests on what it changes."""
    return truth.onset <= alert.raised_at <= truth.ends_at and (
        not alert.families or not _families(truth).isdisjoint(alert.families)
    )


def _finding(truth: Truth, alerts: Iterable[Alert]) -> Finding | None:
    about = [one for one in alerts if is_about(one, truth)]
    if not about:
        return None
    reds = (one.raised_at for one in about if one.level == RED)
    return Finding(at=min(one.raised_at for one in about), red_at=min(reds, default=None))


def _by_chance(
    monitored: Monitored,
    truth: Truth,
    truths: Sequence[Truth],
    rules: Sequence[Alert],
    plain: Sequence[Alert],
) -> tuple[bool, bool] | None:
    sham = msgspec.structs.replace(
        truth, onset=truth.onset - (truth.ends_at - truth.onset), ends_at=truth.onset
    )
    is_ill = any(one.onset < sham.ends_at and sham.onset < one.ends_at for one in truths)
    if is_ill or sham.onset < monitored.since:
        return None
    return any(is_about(one, sham) for one in rules), any(is_about(one, sham) for one in plain)


def _first_red(truth: Truth, plain: Iterable[Alert]) -> datetime | None:
    crossed = truth.crossed_red_at
    if crossed is None:
        return None
    reds = (
        one.raised_at
        for one in plain
        if one.level == RED and one.raised_at >= crossed and is_about(one, truth)
    )
    return min(reds, default=None)


def _miss(
    truth: Truth, produced: Iterable[Produced], limits: Limits, requests: Iterable[Request]
) -> Miss:
    families = _families(truth)
    made = [
        one
        for one in produced
        if one.reading.family in families
        and truth.crossed_at <= one.reading.effective_at <= truth.ends_at
    ]
    known = [one for one in made if one.reading.received_at <= truth.ends_at]
    beyond = [one for one in known if level(one.reading, limits) is not None]
    judged = [one for one in beyond if not one.is_quarantined]
    is_unanswered = any(
        one.measured_at is None and truth.onset <= one.asked_at <= truth.ends_at
        for one in requests
    )
    reasons = (
        (Miss.NOT_MEASURED, not made),
        (Miss.LATE, not known),
        (Miss.WITHIN_LIMITS, not beyond),
        (Miss.QUARANTINE, not judged),
        (Miss.FLAG, all(not DOUBTFUL.isdisjoint(one.reading.flags) for one in judged)),
        (Miss.NOT_ANSWERED, is_unanswered),
    )
    return next((miss for miss, holds in reasons if holds), Miss.NOT_RAISED)


def _families(truth: Truth) -> frozenset[str]:
    return frozenset(family_of(measure) for measure in truth.measures)


def _reds(alerts: Iterable[Alert]) -> int:
    return sum(one.level == RED for one in alerts)


def _false(truths: Sequence[Truth], alerts: Iterable[Alert]) -> int:
    return sum(not any(is_about(one, truth) for truth in truths) for one in alerts)
