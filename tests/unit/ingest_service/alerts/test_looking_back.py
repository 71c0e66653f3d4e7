"""Rules that look at more than one reading: sustained, baseline, average, symptom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from ingest_service.alerts import engine
from ingest_service.alerts.alert import Event
from ingest_service.alerts.rules.average import Issued
from ingest_service.plans.limits import Level, Measure
from ingest_service.plans.plan import (
    AverageAbove,
    Baseline,
    ChangeOverDays,
    Side,
    Sustained,
    Symptom,
    Usual,
)
from tests.support.cases import (
    NOW,
    answer,
    case,
    events,
    limits,
    plan,
    pressure,
    resolved,
    saturation,
    take,
    weight,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LOW = Sustained(id="low", measure=Measure.SPO2, side=Side.LOW, count=3, of=5)
SPO2 = {Measure.SPO2: limits(red_low="85", yellow_low="90")}


def low_days(*values: str, flags: tuple[str, ...] = ()) -> list[str]:
    patient = case(plan({}, rules=[LOW_AT_90]))
    take(patient, *(saturation(v, NOW + n * DAY, *flags) for n, v in enumerate(values)))
    return list(patient.alerts)


LOW_AT_90 = Sustained(
    id="low", measure=Measure.SPO2, side=Side.LOW, count=3, of=5, limit=Decimal(90)
)


@pytest.mark.parametrize(
    ("values", "is_alerted"),
    [
        (("89", "89", "89"), True),
        (("89", "91", "89", "92", "89"), True),  # three of the last five days
        (("89", "91", "89", "92", "91", "89"), False),
        (("89", "89", "90"), False),
    ],
)
def test_beyond_on_three_of_the_last_five_days(
    values: tuple[str, ...], *, is_alerted: bool
) -> None:
    assert low_days(*values) == (["sustained.low"] if is_alerted else [])


@pytest.mark.parametrize(
    ("flag", "counts"),
    [("body_movement", False), ("irregular_pulse", True), ("low_perfusion", True)],
)
def test_a02_a_doubtful_value_does_not_count_and_an_irregular_pulse_does(
    flag: str, *, counts: bool
) -> None:
    assert bool(low_days("89", "89", "89", flags=(flag,))) is counts


def test_doubtful_days_before_a_good_one_do_not_count() -> None:
    patient = case(plan({}, rules=[LOW_AT_90]))

    take(
        patient,
        saturation("89", NOW, "body_movement"),
        saturation("89", NOW + DAY, "body_movement"),
        saturation("89", NOW + 2 * DAY),
    )

    assert patient.alerts == {}


def test_a_day_is_beyond_by_its_mean_and_not_by_one_value() -> None:
    patient = case(plan({}, rules=[LOW_AT_90]))

    for day in range(3):  # 94 and 89: a mean of 91.5
        at = NOW + day * DAY
        take(patient, saturation("94", at), saturation("89", at + HOUR))

    assert patient.alerts == {}


def test_without_a_limit_of_its_own_the_plans_yellow_one_is_meant() -> None:
    patient = case(plan(SPO2, rules=[LOW]))

    take(patient, *(saturation("89", NOW + n * DAY) for n in range(3)))

    found = patient.alerts["sustained.low"].facts
    assert (found.count, found.of, found.unit, found.limit) == (3, 5, "days", Decimal(90))


def test_a_day_that_comes_late_completes_the_row() -> None:
    patient = case(plan({}, rules=[LOW_AT_90]))
    take(patient, saturation("89"), saturation("89", NOW + 2 * DAY))

    engine.take_reading(patient, saturation("89", NOW + DAY), now=NOW + 2 * DAY + HOUR)

    assert "sustained.low" in patient.alerts


def test_what_a_person_has_dealt_with_is_not_counted_again() -> None:
    patient = case(plan({}, rules=[LOW_AT_90]))
    take(patient, *(saturation("89", NOW + n * DAY) for n in range(3)))
    resolved(patient, "sustained.low", NOW + 2 * DAY + HOUR)

    take(patient, *(saturation("89", NOW + n * DAY) for n in (3, 4)))
    assert patient.alerts == {}
    take(patient, saturation("89", NOW + 5 * DAY))

    assert "sustained.low" in patient.alerts


# Twelve mornings of 91-93: the median is 92. Two below 90 in a row are further than 2 away.
OWN = Baseline(id="own", measure=Measure.SPO2, side=Side.LOW, distance=Decimal(2), fewest=10)
MORNING = NOW.replace(hour=7)


@pytest.mark.parametrize(
    ("known", "values", "is_alerted"),
    [
        (12, ("89.9", "89.9"), True),
        (12, ("90", "89.9"), False),
        (12, ("89.9",), False),
        (9, ("89.9", "89.9"), False),  # too little to know what is usual
    ],
)
def test_the_usual_is_the_median_of_the_patients_own_mornings(
    known: int, values: tuple[str, ...], *, is_alerted: bool
) -> None:
    own = ["91", "92", "93"] * 4
    past = [saturation(own[n], MORNING - (n + 1) * DAY) for n in range(known)]
    nights = [saturation("84", MORNING - (n + 1) * DAY - 6 * HOUR) for n in range(20)]
    patient = case(plan({}, rules=[OWN]), *past, *nights)

    take(patient, *(saturation(v, MORNING + n * MINUTE) for n, v in enumerate(values)))

    assert ("baseline.own" in patient.alerts) is is_alerted


def test_the_sentence_can_say_what_is_usual() -> None:
    usual = [Usual(measure=Measure.SPO2, low=Decimal(90), high=Decimal(93))]
    patient = case(plan({}, rules=[OWN], usual=usual))

    take(patient, saturation("87"), saturation("86", NOW + 8 * MINUTE))

    facts = patient.alerts["baseline.own"].facts
    assert (facts.usual_low, facts.usual_high, facts.difference) == (90, 93, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """An average as a protocol issues it."""

    systolic: Decimal | None
    diastolic: Decimal | None
    is_enough: bool = True
    protocol_id: str = "esh-7-days"
    protocol_version: int = 1


def issued(systolic: str, diastolic: str, days: int = 0, *, is_enough: bool = True) -> Issued:
    mean = Mean(systolic=Decimal(systolic), diastolic=Decimal(diastolic), is_enough=is_enough)
    return Issued(observation_id=uuid4(), effective_at=NOW + days * DAY, average=mean)


# NICE NG136, 1.2: home average 135/85 and above is stage 1, 150/95 and above stage 2. A value at
# a limit is within it, so each number is the one below, to a tenth.
STAGES = AverageAbove(
    id="home",
    limits={
        Measure.SYSTOLIC: limits(yellow_high="134.9", red_high="149.9"),
        Measure.DIASTOLIC: limits(yellow_high="84.9", red_high="94.9"),
    },
)


@pytest.mark.parametrize(
    ("systolic", "diastolic", "level"),
    [
        ("134.9", "84.9", None),
        ("135", "80", Level.YELLOW),
        ("130", "85", Level.YELLOW),
        ("149.9", "94.9", Level.YELLOW),
        ("150", "80", Level.RED),
        ("130", "95", Level.RED),
    ],
)
def test_a_home_average_is_staged_as_nice_does(
    systolic: str, diastolic: str, level: Level | None
) -> None:
    patient = case(plan({}, rules=[STAGES]))

    engine.take_average(patient, issued(systolic, diastolic), now=NOW)

    alert = patient.alerts.get("average.home")
    assert (alert.priority if alert else None) is level
    if alert:
        assert (alert.facts.protocol, alert.facts.protocol_version) == ("esh-7-days", 1)


def test_an_average_of_too_little_alerts_nobody() -> None:
    patient = case(plan({}, rules=[STAGES]))

    engine.take_average(patient, issued("160", "100", is_enough=False), now=NOW)

    assert patient.alerts == {}


@pytest.mark.parametrize(("systolic", "is_news"), [("141", False), ("150", True), ("149", True)])
def test_an_average_that_was_dealt_with_is_news_if_it_is_a_step_worse(
    systolic: str, *, is_news: bool
) -> None:
    patient = case(plan({}, rules=[STAGES]))
    engine.take_average(patient, issued("139", "82"), now=NOW)
    resolved(patient, "average.home", NOW + HOUR)

    engine.take_average(patient, issued(systolic, "82", days=1), now=NOW + DAY)

    assert ("average.home" in patient.alerts) is is_news


BREATH = Symptom(id="breath", question="breathlessness", at_least=Decimal(4))
RISEN = Symptom(id="risen", question="breathlessness", rise=Decimal(2))
BOTH = Symptom(
    id="both", question="breathlessness", rise=Decimal(2), beyond=Measure.SPO2, level=Level.RED
)


@pytest.mark.parametrize(
    ("rule", "answers", "is_alerted"),
    [
        (BREATH, (4,), True),
        (BREATH, (3,), False),
        (RISEN, (2, 4), True),
        (RISEN, (2, 3, 4), False),
        (RISEN, (4,), False),  # nothing to compare with
    ],
)
def test_an_answer_alerts_by_what_it_is_or_by_how_it_rose(
    rule: Symptom, answers: tuple[int, ...], *, is_alerted: bool
) -> None:
    patient = case(plan({}, rules=[rule]))

    for number, value in enumerate(answers):
        at = NOW + number * DAY
        engine.take_answer(patient, answer(at, breathlessness=value), now=at)

    assert bool(patient.alerts) is is_alerted


@pytest.mark.parametrize("is_answer_last", [True, False])
def test_a_yellow_value_with_a_risen_symptom_is_more_than_either(*, is_answer_last: bool) -> None:
    """The review's own morning: 89 % at 07:34, breathlessness 4 of 5, up 2, at 07:36."""
    patient = case(plan(SPO2, rules=[BOTH]), answer(NOW - DAY, breathlessness=2))
    value, risen = saturation("89", NOW), answer(NOW + 2 * MINUTE, breathlessness=4)

    inputs = [value, risen] if is_answer_last else [risen, value]
    for one in inputs:
        engine.take_batch(patient, [one], now=NOW + 2 * MINUTE)

    alert = patient.alerts["symptom.both"]
    assert alert.priority is Level.RED
    assert {one.code for one in alert.readings} == {"59408-5", "breathlessness"}


def test_a_symptom_without_the_value_that_it_asks_for_says_nothing() -> None:
    patient = case(
        plan(SPO2, rules=[BOTH]), answer(NOW - DAY, breathlessness=2), saturation("95", NOW)
    )

    engine.take_answer(patient, answer(NOW, breathlessness=5), now=NOW)

    assert patient.alerts == {}


def test_a_worse_answer_raises_again() -> None:
    patient = case(plan({}, rules=[BREATH]))

    for number, value in enumerate((4, 4, 5)):
        at = NOW + number * HOUR
        engine.take_answer(patient, answer(at, breathlessness=value), now=at)

    assert events(patient) == [Event.RAISED, Event.JOINED, Event.RERAISED]


def test_a_weight_that_was_dealt_with_is_measured_from_there() -> None:
    rule = ChangeOverDays(id="fluid", measure=Measure.BODY_WEIGHT, days=3, rise=Decimal(2))
    patient = take(case(plan({}, rules=[rule])), weight("80"), weight("82.5", NOW + DAY))
    resolved(patient, "change.fluid", NOW + DAY + HOUR)

    take(patient, weight("82.6", NOW + 2 * DAY))
    assert patient.alerts == {}
    take(patient, weight("84.6", NOW + 3 * DAY))

    assert "change.fluid" in patient.alerts


def test_a_pressure_without_a_rule_of_its_own_is_left_alone() -> None:
    assert take(case(plan({}, rules=[OWN, LOW, BREATH])), pressure("200", "120")).changes == []
