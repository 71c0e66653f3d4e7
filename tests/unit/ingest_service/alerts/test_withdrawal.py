"""Evidence that is taken back (A8): a red alert is withdrawn only by a person."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from ingest_service.alerts import engine
from ingest_service.alerts.alert import Event, State
from ingest_service.alerts.case import Case
from ingest_service.plans.limits import Level, Measure
from tests.support.cases import (
    NOW,
    NURSE,
    attempt,
    case,
    events,
    limits,
    plan,
    pressure,
    resolved,
    saturation,
    take,
    taken,
)

MINUTE = timedelta(minutes=1)
FIRST, SECOND, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
VALUES = {Level.RED: "84", Level.YELLOW: "87"}
SPO2 = {Measure.SPO2: limits(red_low="85", yellow_low="88", immediate_low="75")}
RULE = "limit.spo2"


def alerted(priority: Level, *ids: UUID, within_min: int = 0) -> Case:
    """Return a patient whose alert rests on these, and that a nurse has taken."""
    patient = take(
        case(plan(SPO2, within_min=within_min)),
        *(
            saturation(VALUES[priority], NOW + number * MINUTE, identity=each)
            for number, each in enumerate(ids)
        ),
    )
    if patient.alerts[RULE].state is not State.AWAITING:
        taken(patient, RULE)
    patient.changes.clear()
    return patient


def back(patient: Case, *ids: UUID, at: timedelta = 10 * MINUTE) -> None:
    engine.take_back(patient, set(ids), by=NURSE, why="another person's", now=NOW + at)


def test_an_alert_that_does_not_rest_on_it_is_left_alone() -> None:
    patient = alerted(Level.RED, FIRST)

    back(patient, OTHER)

    assert patient.changes == []


@pytest.mark.parametrize("priority", [Level.RED, Level.YELLOW])
def test_with_something_left_it_stays_as_it_was_and_shows_what_went(priority: Level) -> None:
    patient = alerted(priority, FIRST, SECOND)

    back(patient, FIRST)

    [change] = patient.changes
    left = patient.alerts[RULE]
    assert (change.event, change.by, change.detail["why"]) == (
        Event.EVIDENCE_WITHDRAWN,
        NURSE,
        "another person's",
    )
    assert (left.state, left.priority) == (State.TAKEN, priority)
    assert [each.is_withdrawn for each in left.readings] == [True, False]
    assert [each.observation_id for each in left.standing] == [SECOND]


@pytest.mark.parametrize(
    ("priority", "event", "state"),
    [
        (Level.RED, Event.EVIDENCE_WITHDRAWN, State.TAKEN),
        (Level.YELLOW, Event.WITHDRAWN, State.RESOLVED),
    ],
)
def test_with_nothing_left_only_a_yellow_one_ends_by_itself(
    priority: Level, event: Event, state: State
) -> None:
    patient = alerted(priority, FIRST, SECOND)

    back(patient, FIRST, SECOND)

    assert [(one.event, one.alert.state) for one in patient.changes] == [(event, state)]


def test_taken_back_twice_is_taken_back_once() -> None:
    patient = alerted(Level.RED, FIRST)

    back(patient, FIRST)
    back(patient, FIRST)

    assert events(patient) == [Event.EVIDENCE_WITHDRAWN]


def test_worse_is_measured_against_what_still_stands() -> None:
    patient = alerted(Level.RED, FIRST, SECOND)

    back(patient, FIRST)

    assert [one.observation_id for one in patient.alerts[RULE].reference()] == [SECOND]


def test_the_first_true_red_after_a_false_one_is_news() -> None:
    patient = alerted(Level.RED, FIRST)
    back(patient, FIRST)

    take(patient, saturation("84", NOW + 20 * MINUTE))

    assert events(patient) == [Event.EVIDENCE_WITHDRAWN, Event.RERAISED]
    assert patient.alerts[RULE].state is State.NEW


def test_what_only_waited_for_a_second_value_ends_with_its_only_reading() -> None:
    patient = alerted(Level.RED, FIRST, within_min=15)

    back(patient, FIRST)
    engine.advance(patient, NOW + timedelta(hours=1))

    assert events(patient) == [Event.WITHDRAWN]
    assert patient.alerts == {}


def test_a_red_of_two_values_that_loses_one_is_unconfirmed() -> None:
    patient = alerted(Level.RED, FIRST, SECOND, within_min=15)
    assert not patient.alerts[RULE].facts.is_unconfirmed

    back(patient, SECOND)

    assert patient.alerts[RULE].facts.is_unconfirmed
    assert patient.alerts[RULE].priority is Level.RED


@pytest.mark.parametrize(
    ("after", "event", "state"),
    [
        (10 * MINUTE, Event.REMEASURE_ASKED, State.AWAITING),
        (timedelta(hours=2), Event.RAISED, State.NEW),  # too late for a second value
    ],
)
def test_a_red_is_judged_anew_when_what_disproved_it_is_taken_back(
    after: timedelta, event: Event, state: State
) -> None:
    patient = alerted(Level.RED, FIRST, within_min=15)
    take(patient, saturation("95", NOW + MINUTE, identity=SECOND))
    assert patient.ended[RULE].outcome == "not_confirmed"

    back(patient, SECOND, at=after)

    assert events(patient) == [Event.NOT_CONFIRMED, event]
    assert patient.alerts[RULE].state is state
    assert patient.alerts[RULE].id != patient.ended[RULE].id


def test_a_red_beside_a_yellow_alert_is_judged_anew_too() -> None:
    patient = alerted(Level.YELLOW, FIRST, within_min=15)
    within = saturation("95", NOW + 2 * MINUTE, identity=SECOND)
    take(patient, saturation("84", NOW + MINUTE), within)
    assert events(patient) == [Event.REMEASURE_ASKED, Event.NOT_CONFIRMED]

    back(patient, SECOND)
    engine.advance(patient, NOW + timedelta(hours=1))

    assert events(patient)[2:4] == [Event.REMEASURE_ASKED, Event.RERAISED]
    assert patient.alerts[RULE].priority is Level.RED


def test_a_late_one_that_was_history_alerts_when_the_later_one_is_taken_back() -> None:
    patient = case(plan(SPO2), saturation("95", NOW - timedelta(days=1), identity=SECOND))
    engine.take_reading(patient, saturation("82", NOW - timedelta(days=3)), now=NOW)
    assert patient.alerts == {}

    back(patient, SECOND)

    assert patient.alerts[RULE].priority is Level.RED
    assert "late" in patient.alerts[RULE].readings[0].flags


def test_what_a_person_has_ended_is_not_raised_again_by_the_same_reading() -> None:
    patient = alerted(Level.RED, FIRST)
    resolved(patient, RULE, NOW + MINUTE)
    take(patient, saturation("95", NOW + 2 * MINUTE, identity=SECOND))

    back(patient, SECOND)

    assert patient.alerts == {}


def test_attempts_count_together_when_the_reading_between_them_is_taken_back() -> None:
    between = pressure("120", "70", NOW + 5 * MINUTE, identity=SECOND)
    patient = case(plan({}), between)
    for minutes in (0, 3, 8):
        at = NOW + minutes * MINUTE
        engine.take_attempt(patient, attempt(at, identity=uuid4()), now=at)
    assert patient.alerts == {}

    back(patient, SECOND)

    assert patient.alerts["failed_attempts"].priority is Level.YELLOW


def test_a_red_is_news_by_its_level_where_the_red_before_was_taken_back() -> None:
    patient = take(
        case(plan(SPO2)), saturation("85"), saturation("84", NOW + MINUTE, identity=SECOND)
    )
    back(patient, SECOND)
    taken(patient, RULE)

    take(patient, saturation("84", NOW + 20 * MINUTE))  # less than a step below 85

    assert events(patient)[-1] is Event.RERAISED


def test_all_that_a_value_hid_is_judged_and_not_only_the_newest() -> None:
    known = saturation("95", NOW - timedelta(days=1), identity=SECOND)
    patient = case(plan(SPO2), known, saturation("87", NOW - timedelta(hours=20)))
    engine.take_reading(patient, saturation("82", NOW - timedelta(days=3)), now=NOW)
    assert patient.alerts == {}

    back(patient, SECOND)

    assert patient.alerts[RULE].priority is Level.RED
