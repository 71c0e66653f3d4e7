"""Rule ``failed_attempts``, version 1: somebody tries to measure and cannot (A3).

Three errors of a cuff in a hypotensive patient, or an oximeter that finds no signal in a cold
grey finger, are a sign of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ingest_service.alerts.finding import Alert, Evidence, Finding, grown, is_late, may_be_history
from ingest_service.plans.limits import Level

RULE: Final = "failed_attempts"
VERSION: Final = 1
WINDOW: Final = timedelta(minutes=30)
_ENOUGH: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt to measure, failed or not; those with one code are of one kind."""

    observation_id: UUID
    code: str
    effective_at: datetime
    is_failed: bool
    flags: tuple[str, ...] = ()


def judge(
    attempt: Attempt, recent: Sequence[Attempt], open_alert: Alert | None, *, now: datetime
) -> Finding | None:
    """Return the yellow finding that a failed attempt makes or joins, or ``None``.

    Args:
        attempt: The failed attempt.
        recent: The patient's other attempts, from `WINDOW` before it on.
        open_alert: The unresolved alert of this rule, if there is one.
        now: When it is judged; a late one is history if a valid reading came after it.
    """
    others = [
        one
        for one in recent
        if one.code == attempt.code and one.observation_id != attempt.observation_id
    ]
    if may_be_history(attempt.effective_at, attempt.flags, now) and any(
        not one.is_failed and one.effective_at > attempt.effective_at for one in others
    ):
        return None
    if open_alert is None:
        return _first(attempt, others, now)
    # Three more since it was last raised raise it again.
    is_raise = open_alert.since_raise() >= _ENOUGH - 1
    evidence = _evidence(attempt, now)
    event, alert = grown(open_alert, RULE, evidence, is_raise=is_raise)
    previous = open_alert.readings[-1]
    return Finding(
        event=event, rule_version=VERSION, alert=alert, reading=evidence, previous=previous
    )


def _first(attempt: Attempt, others: Sequence[Attempt], now: datetime) -> Finding | None:
    failed = _unbroken(attempt, others)
    windows = (failed[start : start + _ENOUGH] for start in range(len(failed) - _ENOUGH + 1))
    if not any(
        attempt in window and window[-1].effective_at - window[0].effective_at <= WINDOW
        for window in windows
    ):
        return None
    last = _evidence(failed[-1], now)
    readings = tuple(_evidence(one, now) for one in failed[:-1])
    event, alert = grown(None, RULE, last, is_raise=True)
    return Finding(
        event=event,
        rule_version=VERSION,
        alert=replace(alert, readings=(*readings, *alert.readings)),
        reading=last,
    )


def _unbroken(attempt: Attempt, others: Sequence[Attempt]) -> list[Attempt]:
    """Return the failed attempts around this one with no valid one between, oldest first."""
    around = sorted([*others, attempt], key=lambda one: (one.effective_at, one.observation_id))
    run: list[Attempt] = []
    for one in around:
        if one.is_failed:
            run.append(one)
        elif attempt in run:
            break
        else:
            run = []
    return run


def _evidence(attempt: Attempt, now: datetime) -> Evidence:
    is_old = is_late(attempt.effective_at, now)
    return Evidence(
        observation_id=attempt.observation_id,
        code=attempt.code,
        effective_at=attempt.effective_at,
        level=Level.YELLOW,
        flags=(*attempt.flags, "late") if is_old else attempt.flags,
    )
