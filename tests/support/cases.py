"""Patients as rules see them: a plan, a reading, an alert, in a line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4

from ingest_service.alerts import engine
from ingest_service.alerts.alert import Alert, Event, State
from ingest_service.alerts.case import Case
from ingest_service.alerts.history import Answer, Attempt, History, Reading
from ingest_service.messages.message import Kind, Message
from ingest_service.plans.hours import Hours, ResponseTimes, round_the_clock
from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import (
    Activity,
    Approval,
    Confirm,
    Plan,
    RuleSettings,
    Status,
    Usual,
    YellowReading,
)
from ingest_service.plans.windows import Condition

NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PATIENT: Final = UUID(int=1)
UNIT: Final = UUID(int=2)
NURSE: Final = "SE2321000016-1003"

# Nobody is late within the days that most tests look at.
HOURS: Final[Hours] = round_the_clock(
    "Europe/Stockholm",
    respond_within_min=ResponseTimes(red=10_000, yellow=10_000, blue=10_000),
    finish_within_min=10_000,
)

_UNITS: Final = {
    Family.BLOOD_PRESSURE: "mm[Hg]",
    Family.PULSE: "/min",
    Family.SPO2: "%",
    Family.BODY_WEIGHT: "kg",
}
_CODES: Final = {
    Family.BLOOD_PRESSURE: "85354-9",
    Family.PULSE: "8867-4",
    Family.SPO2: "59408-5",
    Family.BODY_WEIGHT: "29463-7",
}
_MEASURES: Final = {
    Family.PULSE: Measure.PULSE,
    Family.SPO2: Measure.SPO2,
    Family.BODY_WEIGHT: Measure.BODY_WEIGHT,
}


def limits(**given: str) -> Limits:
    """Return limits of numbers as text, for example ``red_low="88"``."""
    return Limits(**{name: Decimal(value) for name, value in given.items()})


def plan(
    own: Mapping[Measure, Limits],
    *,
    within_min: int = 0,
    yellow: YellowReading = YellowReading.ALERTS,
    rules: Sequence[RuleSettings] = (),
    activities: Sequence[Activity] = (),
    limits_when: Mapping[Condition, Mapping[Measure, Limits]] | None = None,
    usual: Sequence[Usual] = (),
) -> Plan:
    """Return a plan in force; by itself it confirms nothing: each red is raised at once."""
    confirm = Confirm(within_min=within_min, yellow=yellow)
    return Plan(
        id=UUID(int=3),
        version=1,
        patient_id=PATIENT,
        care_unit_id=UNIT,
        programme="test",
        status=Status.ACTIVE,
        since=NOW - timedelta(days=400),
        approval=Approval(by=NURSE, role="physician", at=NOW - timedelta(days=400)),
        limits=own,
        limits_when=limits_when or {},
        confirm=dict.fromkeys(Family, confirm),
        rules=tuple(rules),
        activities=tuple(activities),
        usual=tuple(usual),
    )


def case(one: Plan | None, *known: Reading | Attempt | Answer) -> Case:
    """Return a patient with that plan, and what is known of them."""
    history = History()
    for each in known:
        history.add(each)
    return Case(
        patient_id=PATIENT,
        care_unit_id=UNIT,
        plan=one,
        hours=HOURS,
        history=history,
        judged_through=NOW - timedelta(days=400),
    )


def reading(
    family: Family,
    values: Mapping[Measure, Decimal],
    at: datetime,
    flags: Sequence[str] = (),
    identity: UUID | None = None,
) -> Reading:
    """Return a reading that came when it was measured."""
    return Reading(
        observation_id=identity or uuid4(),
        code=_CODES[family],
        family=family,
        values=values,
        unit=_UNITS[family],
        effective_at=at,
        received_at=at,
        flags=tuple(flags),
    )


def pressure(
    systolic: str, diastolic: str, at: datetime = NOW, *flags: str, identity: UUID | None = None
) -> Reading:
    """Return a blood pressure."""
    values = {Measure.SYSTOLIC: Decimal(systolic), Measure.DIASTOLIC: Decimal(diastolic)}
    return reading(Family.BLOOD_PRESSURE, values, at, flags, identity)


def single(
    family: Family, value: str, at: datetime = NOW, *flags: str, identity: UUID | None = None
) -> Reading:
    """Return a reading of one value."""
    return reading(family, {_MEASURES[family]: Decimal(value)}, at, flags, identity)


def saturation(
    value: str, at: datetime = NOW, *flags: str, identity: UUID | None = None
) -> Reading:
    """Return a saturation."""
    return single(Family.SPO2, value, at, *flags, identity=identity)


def weight(value: str, at: datetime = NOW, *flags: str) -> Reading:
    """Return a weight."""
    return single(Family.BODY_WEIGHT, value, at, *flags)


def attempt(at: datetime, code: str = "85354-9", identity: UUID | None = None) -> Attempt:
    """Return a failed attempt."""
    return Attempt(observation_id=identity or uuid4(), code=code, effective_at=at, received_at=at)


def answer(at: datetime, **values: int) -> Answer:
    """Return answers by question."""
    return Answer(
        response_id=uuid4(),
        answered_at=at,
        received_at=at,
        values={name: Decimal(value) for name, value in values.items()},
    )


def take(one: Case, *readings: Reading) -> Case:
    """Judge readings, each when it was measured."""
    for each in readings:
        engine.take_reading(one, each, now=each.effective_at)
    return one


def events(one: Case, rule: str | None = None) -> list[Event]:
    """Return what happened, in order, to one rule's alerts or to all."""
    return [change.event for change in one.changes if rule is None or change.alert.rule == rule]


def requests(one: Case) -> list[Message]:
    """Return what the patient is asked to measure again."""
    return [each for each in one.messages if each.kind is Kind.REMEASURE_REQUEST]


def taken(one: Case, rule: str) -> Alert:
    """Let a nurse take the open alert of a rule."""
    alert = replace(one.alerts[rule], state=State.TAKEN, owner=NURSE)
    one.alerts[rule] = alert
    return alert


def resolved(one: Case, rule: str, at: datetime, outcome: str = "advice_given") -> Alert:
    """Let a nurse end the open alert of a rule."""
    alert = replace(one.alerts.pop(rule), state=State.RESOLVED, outcome=outcome, resolved_at=at)
    one.ended[rule] = alert
    return alert
