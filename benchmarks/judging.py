"""Judging one reading: a full plan for COPD over a month of history, beside a bare comparison."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from statistics import median
from typing import Final
from uuid import UUID

from ingest_service.alerts import engine
from ingest_service.alerts.case import Case
from ingest_service.alerts.history import Answer, History, Reading
from ingest_service.alerts.levels import level_of
from ingest_service.plans.hours import ResponseTimes, round_the_clock
from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import (
    Activity,
    Approval,
    Baseline,
    FailedAttempts,
    Missed,
    Plan,
    Side,
    Silence,
    Status,
    Sustained,
    Symptom,
)
from ingest_service.plans.windows import Condition, Window

_AT: Final = datetime(2026, 3, 1, 7, tzinfo=UTC)
_DAYS: Final = 30
_READINGS: Final = 300
_HOURS_OF_DAY: Final = (0, 4, 12)  # after the first of the day
_PULSE: Final = (65, 85)
#: Lowest and highest saturation, in percent, of readings that are judged.
_RANGES: Final = {"within": (91, 95), "mixed": (84, 95), "beyond": (84, 89)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Median CPU for one reading, in microseconds, and of a bare look at its limits."""

    name: str
    cpu_us: float
    worst_us: float
    floor_us: float

    @property
    def ratio(self) -> float:
        """How many bare looks one judgement costs."""
        return self.cpu_us / self.floor_us


def run() -> Sequence[Judged]:
    """Measure each kind of readings."""
    return [_judged(name, low, high) for name, (low, high) in _RANGES.items()]


def tell(results: Sequence[Judged]) -> Sequence[str]:
    """Return lines for a person."""
    return [
        f"judging, {one.name}: {one.cpu_us:.0f} us a reading (p99 {one.worst_us:.0f}), "
        f"{one.ratio:.0f} x a bare look at the limits"
        for one in results
    ]


def _judged(name: str, low: int, high: int) -> Judged:
    source = random.Random(5)  # noqa: S311 the same readings each time
    case = _case(source)
    readings = [
        one
        for number in range(_READINGS)
        for one in _pair(source, low, high, _AT + timedelta(hours=8 * number))
    ]
    limits = _plan().limits
    costs: list[float] = []
    for reading in readings:
        judge = partial(engine.take_reading, case, reading, now=reading.effective_at)
        costs.append(_cost_us(judge))
        # Somebody has taken what was raised: else reds escalate without end.
        case.alerts.update(
            (alert.rule, replace(alert, due_at=None)) for alert in case.alerts.values()
        )
        case.changes.clear()
        case.messages.clear()
        case.cancellations.clear()
    floor = median(_cost_us(partial(level_of, reading.values, limits)) for reading in readings)
    costs.sort()
    return Judged(
        name=name,
        cpu_us=median(costs),
        worst_us=costs[len(costs) * 99 // 100],
        floor_us=floor,
    )


def _cost_us(do: Callable[[], object]) -> float:
    began = time.thread_time_ns()
    do()
    return (time.thread_time_ns() - began) / 1000


def _case(source: random.Random) -> Case:
    history = History()
    for day in range(_DAYS, 0, -1):
        at = _AT - timedelta(days=day)
        for hours in _HOURS_OF_DAY:
            for one in _pair(source, 91, 95, at + timedelta(hours=hours)):
                history.add(one)
        history.add(
            Answer(
                response_id=_id(source),
                answered_at=at,
                received_at=at,
                values={"breathlessness": Decimal(1)},
            )
        )
    return Case(
        patient_id=UUID(int=1),
        care_unit_id=UUID(int=2),
        plan=_plan(),
        hours=round_the_clock(
            "Europe/Stockholm",
            respond_within_min=ResponseTimes(red=30, yellow=240, blue=1440),
            finish_within_min=60,
        ),
        history=history,
        judged_through=_AT,
    )


def _plan() -> Plan:
    saturation = Measure.SPO2
    windows = (
        Window(name="morning", start="06:00", end="10:00"),
        Window(name="noon", start="11:00", end="14:00"),
        Window(name="walk", start="18:00", end="22:00", condition=Condition.AFTER_EXERTION),
    )
    return Plan(
        id=UUID(int=3),
        version=1,
        patient_id=UUID(int=1),
        care_unit_id=UUID(int=2),
        programme="copd",
        status=Status.ACTIVE,
        since=_AT - timedelta(days=400),
        approval=Approval(by="SE0000000000-BN", role="physician", at=_AT),
        activities=(Activity(family=Family.SPO2, windows=windows),),
        limits={
            saturation: _limits(
                red_low=88, yellow_low=90, yellow_high=97, immediate_low=80, hysteresis=1
            ),
            Measure.PULSE: _limits(red_low=40, yellow_low=50, yellow_high=110, red_high=130),
        },
        limits_when={Condition.AFTER_EXERTION: {saturation: _limits(red_low=84, yellow_low=86)}},
        rules=(
            Sustained(id="low", measure=saturation, side=Side.LOW, count=3, of=5),
            Baseline(id="own", measure=saturation, side=Side.LOW, distance=Decimal(3)),
            Baseline(id="fast", measure=Measure.PULSE, side=Side.HIGH, distance=Decimal(15)),
            Symptom(id="risen", question="breathlessness", rise=Decimal(2), beyond=saturation),
            Symptom(id="bad", question="breathlessness", at_least=Decimal(4)),
            FailedAttempts(),
            Missed(),
            Silence(),
        ),
    )


def _limits(**given: int) -> Limits:
    return Limits(**{name: Decimal(value) for name, value in given.items()})


def _pair(source: random.Random, low: int, high: int, at: datetime) -> Sequence[Reading]:
    """Return what an oximeter gives in one go: a saturation and a pulse."""
    return [
        Reading(
            observation_id=_id(source),
            code=code,
            family=family,
            values={measure: Decimal(value)},
            unit=unit,
            effective_at=at,
            received_at=at,
        )
        for code, family, measure, value, unit in (
            ("59408-5", Family.SPO2, Measure.SPO2, source.randint(low, high), "%"),
            ("8867-4", Family.PULSE, Measure.PULSE, source.randint(*_PULSE), "/min"),
        )
    ]


def _id(source: random.Random) -> UUID:
    return UUID(int=source.getrandbits(128))
