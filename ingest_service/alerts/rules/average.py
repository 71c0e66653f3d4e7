"""Rule ``average``, version 1: a protocol's average beyond limits of its own.

Home blood pressure is decided on by averages and not by single values. One that rests on too
little for a decision is shown, and alerts nobody.

Source:
    NICE NG136, 1.2 (home average 135/85 and above: stage 1; 150/95 and above: stage 2); ESH 2021.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol
from uuid import UUID

from ingest_service.alerts import episodes, levels, worse
from ingest_service.alerts.alert import Evidence, Facts
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import Finding
from ingest_service.plans.limits import Level, Measure
from ingest_service.plans.plan import AverageAbove

VERSION: Final = 1

#: LOINC 96607-7, blood pressure panel, mean.
CODE: Final = "96607-7"


class HomeAverage(Protocol):
    """What the rule needs of a protocol's average; in mm[Hg]."""

    @property
    def protocol_id(self) -> str:
        """Return by which protocol."""
        ...

    @property
    def protocol_version(self) -> int:
        """Return by which version of it."""
        ...

    @property
    def systolic(self) -> Decimal | None:
        """Return the mean, if there is one."""
        ...

    @property
    def diastolic(self) -> Decimal | None:
        """Return the mean, if there is one."""
        ...

    @property
    def is_enough(self) -> bool:
        """Tell whether the protocol calls it enough for a decision."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """An average as it was issued: its observation, and the end of its period."""

    observation_id: UUID
    effective_at: datetime
    average: HomeAverage


def judge(case: Case, issued: Issued, *, now: datetime) -> Iterator[Finding]:
    """Return what an average means; one that was dealt with is news only if it is a step worse."""
    plan = case.plan_at(now)
    if plan is None or not issued.average.is_enough:
        return
    values = _values(issued.average)
    for rule in plan.rules:
        if not isinstance(rule, AverageAbove):
            continue
        level = levels.level_of(values, rule.limits)
        if level is None:
            continue
        name = f"average.{rule.id}"
        evidence = Evidence(
            observation_id=issued.observation_id,
            code=CODE,
            effective_at=issued.effective_at,
            systolic=issued.average.systolic,
            diastolic=issued.average.diastolic,
            unit="mm[Hg]",
            level=level,
        )
        before = episodes.dealt_with(case, name, now=now)
        if (
            before is not None
            and level is not Level.RED
            and not worse.is_worse((evidence,), before.reference(), rule.limits)
        ):
            continue
        yield Finding(
            rule=name,
            version=VERSION,
            level=level,
            evidence=(evidence,),
            limits={measure: rule.limits[measure] for measure in values if measure in rule.limits},
            facts=Facts(
                protocol=issued.average.protocol_id,
                protocol_version=issued.average.protocol_version,
            ),
        )


def _values(average: HomeAverage) -> Mapping[Measure, Decimal]:
    given = {Measure.SYSTOLIC: average.systolic, Measure.DIASTOLIC: average.diastolic}
    return {measure: value for measure, value in given.items() if value is not None}
