"""One patient's alerts: apply inputs one after the other, and let time pass.

Pure: the `Case` that is given changes, and says in ``changes`` and ``messages`` what became of it.
Whoever drives it stores that. Whatever goes wrong is raised: the caller says then that a person
must look (`could_not_judge`).
"""

from __future__ import annotations

from datetime import datetime

from ingest_service.alerts import deadlines, latch
from ingest_service.alerts.alert import Evidence
from ingest_service.alerts.case import Case
from ingest_service.alerts.deadlines import advance, next_due
from ingest_service.alerts.history import Reading
from ingest_service.alerts.rules import limit, unjudged

__all__ = ["advance", "could_not_judge", "next_due", "take_reading"]


def take_reading(case: Case, reading: Reading, *, now: datetime) -> None:
    """Judge one valid reading: what it means by the plan in force, and for what waits for it."""
    deadlines.pass_alerts(case, now)
    case.history.add(reading)
    _judge(case, reading, now)


def could_not_judge(case: Case, evidence: Evidence, *, now: datetime) -> None:
    """Say of something that it is stored and that a person must look at it."""
    latch.join(case, unjudged.found(evidence), now=now)


def _judge(case: Case, reading: Reading, now: datetime) -> None:
    findings = list(limit.judge(case, reading, now=now))
    latch.settle(case, reading, limit.not_red(case, reading, now=now), now=now)
    for finding in findings:
        latch.join(case, finding, now=now)
