"""Rule ``limit``: levels, worsening and late readings, as tables.

Sources: the scenarios of the clinical safety review (A1, A2, A5, A7, A13) and, for the limits,
the figures named beside them.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.alerts import engine, levels
from ingest_service.alerts.alert import Event, State
from ingest_service.alerts.history import Reading
from ingest_service.plans.limits import Level, Measure
from tests.support.cases import (
    NOW,
    case,
    events,
    limits,
    plan,
    pressure,
    saturation,
    take,
    taken,
)

MINUTE = timedelta(minutes=1)
# Red above 180/110 is the ESC's urgent evaluation; yellow above 160/100 an example.
PRESSURE = {
    Measure.SYSTOLIC: limits(red_low="90", yellow_low="100", yellow_high="160", red_high="180"),
    Measure.DIASTOLIC: limits(yellow_high="100", red_high="110"),
}
# A13: a patient who retains carbon dioxide on oxygen, target 88-92.
SPO2 = {
    Measure.SPO2: limits(red_low="85", yellow_low="88", yellow_high="92", red_high="96"),
}


def level(reading: Reading) -> Level | None:
    patient = take(case(plan(PRESSURE | SPO2)), reading)
    alert = next(iter(patient.alerts.values()), None)
    return alert.readings[-1].level if alert else None


@pytest.mark.parametrize(
    ("systolic", "diastolic", "expected"),
    [
        ("128", "82", None),
        ("160", "100", None),  # at a limit is within it
        ("160.1", "82", Level.YELLOW),
        ("128", "101", Level.YELLOW),
        ("180", "110", Level.YELLOW),
        ("181", "82", Level.RED),
        ("128", "111", Level.RED),
        ("192", "118", Level.RED),  # the example
        ("99", "60", Level.YELLOW),
        ("90", "60", Level.YELLOW),
        ("89", "60", Level.RED),
    ],
)
def test_a_pressure_is_as_urgent_as_its_worse_value(
    systolic: str, diastolic: str, expected: Level | None
) -> None:
    assert level(pressure(systolic, diastolic)) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("84", Level.RED),
        ("87", Level.YELLOW),
        ("88", None),
        ("92", None),
        ("93", Level.YELLOW),
        ("97", Level.RED),
    ],
)
def test_a13_saturation_has_two_sides(value: str, expected: Level | None) -> None:
    assert level(saturation(value)) is expected


def test_a_measure_without_limits_is_not_judged() -> None:
    assert take(case(plan(SPO2)), pressure("250", "150")).alerts == {}


@pytest.mark.parametrize(
    ("first", "then", "event"),
    [
        ("84", "84", Event.JOINED),
        ("84", "83", Event.JOINED),  # the step for SpO2 is 2
        ("84", "82", Event.RERAISED),
        ("84", "78", Event.RERAISED),  # A7's own example
        ("84", "86", Event.JOINED),  # less bad, still beyond
        ("87", "84", Event.RERAISED),  # yellow to red
        ("84", "97", Event.RERAISED),  # beyond the other side
    ],
)
def test_a07_a_taken_saturation_alert_is_raised_again_only_by_worse(
    first: str, then: str, event: Event
) -> None:
    patient = take(case(plan(SPO2)), saturation(first))
    taken(patient, "limit.spo2")

    take(patient, saturation(then, NOW + 5 * MINUTE))

    assert events(patient) == [Event.RAISED, event]
    state = patient.alerts["limit.spo2"].state
    assert state is (State.NEW if event is Event.RERAISED else State.TAKEN)


@pytest.mark.parametrize(
    ("then", "event"),
    [
        (("199", "112"), Event.JOINED),  # steps: systolic 10, diastolic 5
        (("200", "112"), Event.RERAISED),
        (("185", "117"), Event.RERAISED),
        (("185", "116"), Event.JOINED),
    ],
)
def test_a07_a_taken_pressure_alert_is_raised_again_by_either_value(
    then: tuple[str, str], event: Event
) -> None:
    patient = take(case(plan(PRESSURE)), pressure("190", "112"))
    taken(patient, "limit.blood_pressure")

    take(patient, pressure(*then, NOW + 5 * MINUTE))

    assert events(patient)[-1] is event


def test_a07_a_value_that_creeps_down_in_small_steps_is_noticed() -> None:
    patient = case(plan(SPO2))

    take(patient, *(saturation(v, NOW + n * MINUTE) for n, v in enumerate(["84", "83", "82"])))

    assert events(patient) == [Event.RAISED, Event.JOINED, Event.RERAISED]


def test_priority_is_latched() -> None:
    patient = take(case(plan(PRESSURE)), pressure("192", "118"))

    take(patient, pressure("165", "82", NOW + 5 * MINUTE))

    assert patient.alerts["limit.blood_pressure"].priority is Level.RED


@pytest.mark.parametrize(
    ("late", "others", "is_alerted"),
    [
        (timedelta(days=3), [], True),  # 72 hours without network, and all that is known
        (timedelta(days=3), [("94", timedelta(days=4))], True),
        (timedelta(days=3), [("90", timedelta(days=1))], False),  # later and within
        (timedelta(days=3), [("86", timedelta(days=1))], True),  # later and beyond
        (timedelta(minutes=29), [("90", timedelta(0))], True),  # not late
        (timedelta(minutes=31), [("90", timedelta(0))], False),
    ],
)
def test_a05_late_readings(
    late: timedelta, others: list[tuple[str, timedelta]], *, is_alerted: bool
) -> None:
    known = [saturation(value, NOW - ago) for value, ago in others]
    patient = case(plan(SPO2), *known)

    engine.take_reading(patient, saturation("82", NOW - late), now=NOW)

    assert ("limit.spo2" in patient.alerts) is is_alerted


def test_a_late_reading_of_unknown_time_is_never_history() -> None:
    patient = case(plan(SPO2), saturation("90", NOW - timedelta(days=1)))
    reading = saturation("82", NOW - timedelta(days=3), "time_unknown")

    engine.take_reading(patient, reading, now=NOW)

    assert patient.alerts["limit.spo2"].priority is Level.RED


def test_an_alert_keeps_what_raised_it_and_stays_bounded() -> None:
    first = pressure("192", "118")
    patient = take(case(plan(PRESSURE)), first)

    take(patient, *(pressure("185", "112", NOW + n * MINUTE) for n in range(1, 301)))

    readings = patient.alerts["limit.blood_pressure"].readings
    assert len(readings) == 100
    assert readings[0].observation_id == first.observation_id


@given(
    st.lists(
        st.tuples(st.integers(40, 300), st.integers(20, 200)).filter(lambda v: v[0] > v[1]),
        min_size=1,
        max_size=20,
    )
)
def test_any_sequence_shows_its_worst_level_and_never_less(values: list[tuple[int, int]]) -> None:
    patient = case(plan(PRESSURE))
    worst: Level | None = None
    for number, (systolic, diastolic) in enumerate(values):
        reading = pressure(str(systolic), str(diastolic), NOW + number * MINUTE)
        level = levels.level_of(reading.values, PRESSURE)
        if level and (worst is None or level.rank > worst.rank):
            worst = level

        take(patient, reading)

        alert = patient.alerts.get("limit.blood_pressure")
        assert (alert.priority if alert else None) is worst


def test_evidence_says_what_was_measured() -> None:
    patient = take(case(plan(PRESSURE)), pressure("192.0", "118"))

    alert = patient.alerts["limit.blood_pressure"]
    [evidence] = alert.readings
    assert (str(evidence.systolic), evidence.unit) == ("192.0", "mm[Hg]")
    assert evidence.diastolic == Decimal(118)
    assert set(alert.limits) == {Measure.SYSTOLIC, Measure.DIASTOLIC}
    assert (alert.plan_version, alert.rule_version) == (1, 2)
