"""What holds for any sequence of inputs, whatever they are and in whichever order they come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.alerts import deadlines, engine
from ingest_service.alerts.alert import Event, Evidence, Facts, State
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import Finding
from ingest_service.alerts.history import Reading
from ingest_service.messages.message import Cause, Kind
from ingest_service.plans.limits import Level, Measure
from ingest_service.plans.plan import (
    Baseline,
    ChangeOverDays,
    RuleSettings,
    Side,
    Sustained,
    Symptom,
    YellowReading,
)
from tests.support.cases import (
    NOW,
    answer,
    attempt,
    case,
    events,
    limits,
    plan,
    pressure,
    requests,
    resolved,
    saturation,
    take,
    weight,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RULE = "limit.spo2"
SPO2 = {Measure.SPO2: limits(red_low="88", yellow_low="90", immediate_low="80", hysteresis="1")}
ALL: Sequence[RuleSettings] = (
    Sustained(id="s", measure=Measure.SPO2, side=Side.LOW, count=3, of=5),
    Sustained(id="r", measure=Measure.SPO2, side=Side.LOW, count=3, of=5, unit="readings"),
    Baseline(id="b", measure=Measure.SPO2, side=Side.LOW, distance=Decimal(3)),
    ChangeOverDays(id="c", measure=Measure.BODY_WEIGHT, days=3, rise=Decimal(2)),
    Symptom(id="y", question="breath", rise=Decimal(2), beyond=Measure.SPO2),
)
FLAGS = (
    (),
    ("body_movement",),
    ("low_perfusion",),
    ("irregular_pulse",),
    ("may_be_another",),
    ("suspected_double",),
    ("time_unknown",),
)


@dataclass(frozen=True, slots=True)
class Step:
    """Time passes, then something comes or is taken back."""

    pause: timedelta
    what: str
    value: int = 0
    age: timedelta = timedelta(0)
    flags: tuple[str, ...] = ()


STEPS = st.lists(
    st.builds(
        Step,
        pause=st.integers(0, 90).map(lambda minutes: minutes * MINUTE),
        what=st.sampled_from(["reading"] * 6 + ["attempt", "answer", "back", "advance", "end"]),
        value=st.integers(70, 100),
        age=st.sampled_from([0, 0, 0, 5, 20, 40, 600, 5000]).map(lambda m: m * MINUTE),
        flags=st.sampled_from(FLAGS),
    ),
    max_size=25,
)


@dataclass(slots=True)
class Run:
    """A patient, and what came."""

    patient: Case
    now: datetime = NOW
    number: int = 0
    known: list[Reading] = field(default_factory=list[Reading])
    taken_back: set[UUID] = field(default_factory=set[UUID])

    def do(self, step: Step) -> None:
        self.now += step.pause
        self.number += 1
        at, patient = self.now - step.age, self.patient
        match step.what:
            case "reading":
                identity = UUID(int=len(self.known))
                reading = saturation(str(step.value), at, *step.flags, identity=identity)
                self.known.append(reading)
                engine.take_reading(patient, reading, now=self.now)
            case "attempt":
                failed = attempt(at, "59408-5", UUID(int=self.number + 1000))
                engine.take_attempt(patient, failed, now=self.now)
            case "answer":
                said = answer(at, breath=step.value % 6)
                said = replace(said, response_id=UUID(int=self.number + 2000))
                engine.take_answer(patient, said, now=self.now)
            case "back" if self.known:
                gone = self.known[step.value % len(self.known)].observation_id
                self.taken_back.add(gone)
                engine.take_back(patient, {gone}, by="x", why="y", now=self.now)
            case "end" if RULE in patient.alerts and patient.alerts[RULE].raised_at:
                resolved(patient, RULE, self.now)
            case _:
                engine.advance(patient, self.now)


def runs(steps: Iterable[Step], within_min: int = 15) -> Iterable[Run]:
    run = Run(case(plan(SPO2, within_min=within_min, rules=ALL)))
    for step in steps:
        run.do(step)
        yield run


@given(STEPS)
def test_no_priority_falls_and_no_rule_ends_a_red_that_was_raised(steps: list[Step]) -> None:
    seen: dict[UUID, tuple[Level, datetime | None]] = {}
    for run in runs(steps):
        for change in run.patient.changes:
            alert = change.alert
            before = seen.get(alert.id)
            if before is not None:
                assert alert.priority.rank >= before[0].rank
            if alert.priority is Level.RED and (before and before[1]):
                assert alert.state is not State.RESOLVED or alert.outcome == "advice_given"
            seen[alert.id] = alert.priority, alert.raised_at
        run.patient.changes.clear()


@given(STEPS, st.integers(1, 60))
def test_nothing_waits_past_its_deadline(steps: list[Step], within_min: int) -> None:
    for run in runs(steps, within_min):
        for alert in run.patient.alerts.values():
            assert alert.confirm_by is None or alert.confirm_by > run.now
            assert (alert.state is State.AWAITING) <= (alert.confirm_by is not None)


@given(STEPS)
def test_every_red_beyond_the_immediate_limit_is_an_open_red(steps: list[Step]) -> None:
    for step, run in zip(steps, runs(steps), strict=True):
        is_now = step.what == "reading" and step.value < 80 and step.age <= 30 * MINUTE
        if is_now:
            alert = run.patient.alerts[RULE]
            assert alert.priority is Level.RED
            assert alert.state is not State.AWAITING


@given(STEPS)
def test_each_rule_has_one_open_alert_and_each_id_belongs_to_one(steps: list[Step]) -> None:
    first: dict[UUID, str] = {}
    for run in runs(steps):
        for change in run.patient.changes:
            assert first.setdefault(change.alert.id, change.alert.rule) == change.alert.rule
        raises = [one.alert.id for one in run.patient.changes if one.event is Event.RAISED]
        assert len(raises) == len(set(raises))


@given(STEPS)
def test_the_same_inputs_give_the_same_alerts(steps: list[Step]) -> None:
    one, other = ([run.patient.changes for run in runs(steps)][-1:] for _ in range(2))

    assert one == other


@given(st.lists(st.integers(70, 100), min_size=1, max_size=8), st.randoms())
def test_in_whichever_order_they_arrive_they_are_as_urgent(values: list[int], random: Any) -> None:
    readings = [saturation(str(v), NOW + n * MINUTE) for n, v in enumerate(values)]
    shuffled = random.sample(readings, len(readings))
    end = NOW + 10 * MINUTE
    one, other = case(plan(SPO2)), case(plan(SPO2))

    for first, second in zip(readings, shuffled, strict=True):
        engine.take_reading(one, first, now=end)
        engine.take_reading(other, second, now=end)

    assert {a.rule: a.priority for a in one.alerts.values()} == {
        a.rule: a.priority for a in other.alerts.values()
    }


@given(st.lists(st.integers(70, 100), min_size=1, max_size=8), st.randoms())
def test_a_batch_is_judged_in_the_order_of_measuring(values: list[int], random: Any) -> None:
    readings = [saturation(str(v), NOW + n * MINUTE) for n, v in enumerate(values)]
    one = case(plan(SPO2, within_min=15, rules=ALL))
    other = case(plan(SPO2, within_min=15, rules=ALL))

    engine.take_batch(one, readings, now=NOW + 10 * MINUTE)
    engine.take_batch(other, random.sample(readings, len(readings)), now=NOW + 10 * MINUTE)

    assert [(c.event, c.alert) for c in one.changes] == [(c.event, c.alert) for c in other.changes]


HUGE = st.sampled_from(["0", "-1", "1E-28", "1E+10", "9.99E+6000", "-1E+900", "20450000000"])


@given(st.lists(st.tuples(HUGE, HUGE, st.integers(0, 2)), max_size=12))
def test_hostile_values_are_judged_as_any_other(values: list[tuple[str, str, int]]) -> None:
    both = SPO2 | {Measure.SYSTOLIC: limits(red_high="180", yellow_low="100")}
    patient = case(plan(both, within_min=15, rules=ALL))

    for systolic, other, minutes in values:
        at = NOW + minutes * MINUTE
        take(patient, pressure(systolic, other, at), saturation(other, at), weight(systolic, at))
    engine.advance(patient, NOW + DAY)

    assert all(alert.state is State.NEW for alert in patient.alerts.values())


def test_thousands_of_one_instant_are_judged_and_alert_once() -> None:
    patient = case(plan(SPO2, within_min=15, rules=ALL))

    engine.take_batch(patient, [saturation("86", NOW) for _ in range(1000)], now=NOW)

    alert = patient.alerts[RULE]
    assert (alert.state, len(alert.readings)) == (State.AWAITING, 100)


@pytest.mark.parametrize(
    ("policy", "values", "expected"),
    [
        (YellowReading.ALERTS, ["89"], [Event.RAISED]),
        (YellowReading.CONFIRMED, ["89"], []),
        (YellowReading.CONFIRMED, ["89", "89"], [Event.RAISED]),
        (YellowReading.CONFIRMED, ["89", "95", "89"], []),
        (YellowReading.SHOWN, ["89", "89", "89"], []),
        (YellowReading.SHOWN, ["86", "86", "89"], ["remeasure_asked", "raised", "joined"]),
        (YellowReading.SHOWN, ["86", "89"], ["remeasure_asked", "not_confirmed"]),
    ],
)
def test_what_a_single_yellow_does_the_plan_says(
    policy: YellowReading, values: list[str], expected: list[Event]
) -> None:
    patient = case(plan(SPO2, within_min=15, yellow=policy))

    take(patient, *(saturation(v, NOW + n * MINUTE) for n, v in enumerate(values)))

    assert events(patient) == expected


@pytest.mark.parametrize(
    ("values", "is_raised"),
    [
        (["89"], False),  # it goes on
        (["88"], False),
        (["95", "89"], True),  # it was over
        (["90.5", "89"], False),  # within, but not by the hysteresis
        (["87", "87"], True),  # red
    ],
)
def test_what_a_person_ended_is_not_raised_again_because_it_goes_on(
    values: list[str], *, is_raised: bool
) -> None:
    patient = take(case(plan(SPO2, within_min=15)), saturation("89"))
    resolved(patient, RULE, NOW + HOUR)

    take(patient, *(saturation(v, NOW + (n + 2) * HOUR) for n, v in enumerate(values)))
    engine.advance(patient, NOW + DAY)

    assert (RULE in patient.alerts) is is_raised


@pytest.mark.parametrize(
    ("outcome", "is_raised"),
    [("contacted_no_change", False), ("measuring_error", True), ("not_reached", True)],
)
def test_only_what_was_found_true_goes_on_unnamed(outcome: str, *, is_raised: bool) -> None:
    patient = take(case(plan(SPO2)), saturation("89"))
    resolved(patient, RULE, NOW + HOUR, outcome)

    take(patient, saturation("89", NOW + 2 * HOUR))

    assert (RULE in patient.alerts) is is_raised


def test_what_goes_on_is_named_again_if_it_is_a_step_worse() -> None:
    wide = {Measure.SPO2: limits(red_low="80", yellow_low="90")}
    patient = take(case(plan(wide)), saturation("89"))
    resolved(patient, RULE, NOW + HOUR)

    take(patient, saturation("88", NOW + 2 * HOUR))
    assert patient.alerts == {}
    take(patient, saturation("87", NOW + 3 * HOUR))

    assert patient.alerts[RULE].priority is Level.YELLOW


def test_what_goes_on_is_named_again_after_a_week() -> None:
    patient = take(case(plan(SPO2)), saturation("89"))
    resolved(patient, RULE, NOW + HOUR)

    take(patient, *(saturation("89", NOW + n * DAY) for n in range(1, 9)))

    assert patient.alerts[RULE].raised_at == NOW + 8 * DAY


def test_nothing_mutes_a_red_that_a_person_has_just_ended() -> None:
    patient = take(case(plan(SPO2)), saturation("86"))
    resolved(patient, RULE, NOW + MINUTE)

    take(patient, saturation("86", NOW + 2 * MINUTE))

    assert patient.alerts[RULE].priority is Level.RED


def test_what_could_not_be_judged_is_red_and_each_time_news() -> None:
    patient = case(None)

    for number in range(2):
        reading = saturation("95", NOW + number * MINUTE)
        evidence = Evidence(
            observation_id=reading.observation_id,
            code=reading.code,
            effective_at=reading.effective_at,
        )
        engine.could_not_judge(patient, evidence, now=NOW + number * MINUTE)
        patient.alerts["could_not_judge"] = replace(
            patient.alerts["could_not_judge"], state=State.TAKEN
        )

    assert events(patient) == [Event.RAISED, Event.RERAISED]
    assert patient.alerts["could_not_judge"].priority is Level.RED


class Hourly:
    """A rule over time that finds something at every full hour."""

    def next_at(self, case: Case, after: datetime) -> datetime | None:
        del case
        return after.replace(minute=0) + HOUR if after < NOW + 3 * HOUR else None

    def judge(self, case: Case, *, at: datetime) -> Iterable[Finding]:
        del case
        yield Finding(
            rule="missed", version=1, level=Level.BLUE, evidence=(), facts=Facts(since=at)
        )


class Stuck:
    """A rule that stays due."""

    def next_at(self, case: Case, after: datetime) -> datetime | None:
        del case, after
        return NOW

    def pass_at(self, case: Case, at: datetime) -> None:
        del case, at


def test_every_deadline_is_passed_at_its_own_time_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deadlines, "OF_PLANS", (deadlines.Judged(Hourly()), Stuck()))
    patient = take(case(plan(SPO2, within_min=75)), saturation("86"))
    patient.judged_through = NOW

    engine.advance(patient, NOW + 5 * HOUR)
    engine.advance(patient, NOW + 4 * HOUR)  # the clock went back

    passed = [c for c in patient.changes[1:] if c.event is not Event.ESCALATED]
    assert [(c.at - NOW, c.alert.rule) for c in passed] == [
        (1 * HOUR, "missed"),
        (75 * MINUTE, RULE),
        (2 * HOUR, "missed"),
        (3 * HOUR, "missed"),
    ]
    assert patient.judged_through == NOW + 5 * HOUR


def test_one_run_that_comes_late_does_what_many_in_time_do() -> None:
    late, often = (
        take(case(plan(SPO2, within_min=15)), saturation("86", identity=UUID(int=9)))
        for _ in range(2)
    )

    engine.advance(late, NOW + DAY)
    for minutes in range(0, 24 * 60, 7):
        engine.advance(often, NOW + minutes * MINUTE)

    assert late.changes == often.changes


def test_a_red_that_was_disproved_waits_for_nothing_any_more() -> None:
    patient = take(case(plan(SPO2, within_min=15)), saturation("89"))
    take(patient, saturation("86", NOW + MINUTE), saturation("95", NOW + 2 * MINUTE))

    at = NOW + 30 * MINUTE
    take(patient, saturation("86", at), saturation("85", at))  # two records of one instant

    assert patient.alerts[RULE].priority is Level.YELLOW
    assert patient.alerts[RULE].confirm_by == at + 15 * MINUTE


@pytest.mark.parametrize("second", ["86", "95"])
def test_what_was_asked_for_is_not_asked_for_any_more_when_it_has_come(second: str) -> None:
    patient = take(case(plan(SPO2, within_min=15)), saturation("86"))
    [request] = requests(patient)

    take(patient, saturation(second, NOW + MINUTE))

    [cancelled] = patient.cancellations
    assert requests(patient) == []
    assert (cancelled.alert_id, cancelled.cause) == (request.alert_id, Cause.VALUE_CAME)
    assert set(cancelled.kinds) == {Kind.REMEASURE_REQUEST}


@pytest.mark.parametrize(("value", "flags"), [("86", ("body_movement",)), ("89", ())])
def test_a_lesser_or_less_certain_value_makes_a_red_no_less_certain(
    value: str, flags: tuple[str, ...]
) -> None:
    patient = take(case(plan(SPO2, within_min=15)), saturation("86"))
    engine.advance(patient, NOW + 20 * MINUTE)
    without = patient.alerts[RULE].facts

    take(patient, saturation("86", NOW + 30 * MINUTE))
    confirmed = patient.alerts[RULE].facts
    take(patient, saturation(value, NOW + 31 * MINUTE, *flags))

    assert (without.is_without_remeasurement, confirmed.is_without_remeasurement) == (True, False)
    assert patient.alerts[RULE].facts == confirmed
    assert not confirmed.is_unconfirmed
