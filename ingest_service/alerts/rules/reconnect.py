"""Rule ``reconnect``, version 1: many readings that come late at once, as one alert (A5).

After days without network a gateway sends all that it has. What of it would alert is one alert,
with the worst value and the newest; how urgent it is, the rules say of each reading. Where a
red has passed since (a later value is within limits), it informs.

Source:
    The clinical safety review, A5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from ingest_service.alerts import certainty, conditions, levels, quoting, worse
from ingest_service.alerts.alert import Evidence, Facts
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import Finding
from ingest_service.alerts.history import Reading
from ingest_service.plans.limits import Level, Limits, Measure, PlanLimits

RULE: Final = "reconnect"
VERSION: Final = 1

#: How many late readings at once are one alert; a pressure and the pulse with it are one.
MOST_LATE: Final = 5


def judge(
    case: Case, late: Sequence[Reading], findings: Sequence[Finding], *, now: datetime
) -> Iterator[Finding]:
    """Return what late readings mean together.

    Args:
        case: The patient, who knows these readings already.
        late: The late readings, oldest first.
        findings: What the rules found by them, one by one.
        now: When they are judged.
    """
    plan = case.plan_at(now)
    if plan is None or not late:
        return
    held = [(one, conditions.limits_of(plan, one, now=now)) for one in late]
    judged = [(one, levels.level_of(one.values, limits), limits) for one, limits in held]
    worst = max(judged, key=lambda each: _badness(*each, now), default=None)
    if worst is None or not (findings or worst[1] is Level.RED):
        return
    level = max((one.level for one in findings), key=lambda one: one.rank, default=Level.BLUE)
    own: dict[Measure, Limits] = {}
    evidence: dict[object, Evidence] = {}
    for one in findings:
        own.update(one.limits)
        for each in one.evidence[-1:]:
            evidence[one.rule] = max(
                evidence.get(one.rule, each), each, key=lambda e: worse.distance(e, one.limits)
            )
    for reading, its_level, limits in (worst, judged[-1]):
        own.update({each: limits[each] for each in reading.values if each in limits})
        evidence[reading.observation_id] = quoting.of_reading(reading, its_level, now=now)
    yield Finding(
        rule=RULE,
        version=VERSION,
        level=level,
        evidence=_once(evidence),
        limits=own,
        facts=Facts(
            count=len(times(late)),
            since=late[0].effective_at,
            is_unconfirmed=certainty.is_uncertain(worst[0].flags),
        ),
    )


def times(late: Sequence[Reading]) -> set[datetime]:
    """Return when these were measured: what was measured at one time is one reading."""
    return {one.effective_at for one in late}


def _badness(
    reading: Reading, level: Level | None, limits: PlanLimits, now: datetime
) -> tuple[object, ...]:
    rank = level.rank if level else 0
    return rank, worse.distance(quoting.of_reading(reading, level, now=now), limits)


def _once(found: Mapping[object, Evidence]) -> tuple[Evidence, ...]:
    by_id = {one.observation_id: one for one in found.values()}
    return tuple(sorted(by_id.values(), key=lambda one: (one.effective_at, one.observation_id)))
