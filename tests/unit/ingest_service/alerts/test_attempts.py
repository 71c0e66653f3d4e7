"""Rule ``failed_attempts``: A3 of the clinical safety review, three within 30 minutes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from ingest_service.alerts import engine
from ingest_service.alerts.alert import Event
from ingest_service.alerts.history import Attempt, Reading
from ingest_service.plans.limits import Level
from ingest_service.plans.plan import FailedAttempts, Symptom
from tests.support.cases import NOW, answer, attempt, case, events, plan, pressure, saturation

MINUTE = timedelta(minutes=1)
RULE = "failed_attempts"
BREATHLESS = Symptom(id="breath", question="breathlessness", at_least=Decimal(4))


def failed(minutes_ago: int, code: str = "85354-9") -> Attempt:
    return attempt(NOW - minutes_ago * MINUTE, code)


def valid(minutes_ago: int) -> Reading:
    return pressure("120", "70", NOW - minutes_ago * MINUTE)


@pytest.mark.parametrize(
    ("others", "is_found"),
    [
        ([], False),
        ([failed(10)], False),
        ([failed(20), failed(10)], True),
        ([failed(30), failed(10)], True),
        ([failed(31), failed(10)], False),
        ([failed(20), valid(15), failed(10)], False),
        ([valid(25), failed(20), failed(10)], True),
        ([failed(20, "59408-5"), failed(10)], False),
    ],
)
def test_three_in_a_row_within_the_window(
    others: list[Attempt | Reading], *, is_found: bool
) -> None:
    patient = case(plan({}), *others)

    engine.take_attempt(patient, failed(0), now=NOW)

    assert (RULE in patient.alerts) is is_found
    if is_found:
        assert patient.alerts[RULE].priority is Level.YELLOW
        assert len(patient.alerts[RULE].readings) == 3


def test_one_that_arrives_last_and_was_made_between_counts_too() -> None:
    patient = case(plan({}), failed(20), failed(5))

    engine.take_attempt(patient, failed(10), now=NOW)

    assert RULE in patient.alerts


@pytest.mark.parametrize("is_followed", [True, False])
def test_late_ones_are_history_once_a_valid_reading_came_after(*, is_followed: bool) -> None:
    patient = case(plan({}), failed(600), failed(590), *([valid(60)] if is_followed else []))

    engine.take_attempt(patient, failed(580), now=NOW)

    assert (RULE in patient.alerts) is not is_followed


def test_three_more_raise_it_again() -> None:
    patient = case(plan({}), failed(28), failed(24))

    for minutes in (20, 4, 3, 2):
        engine.take_attempt(patient, failed(minutes), now=NOW - minutes * MINUTE)

    # After the first three a valid reading is waited for, until 15 minutes later nobody has one.
    assert events(patient) == [
        *(Event.REMEASURE_ASKED, Event.RAISED),
        *(Event.JOINED, Event.JOINED, Event.RERAISED),
    ]


def test_a03_nobody_is_called_to_a_patient_who_then_succeeds() -> None:
    patient = case(plan({}), failed(20), failed(10))
    engine.take_attempt(patient, failed(0), now=NOW)
    assert patient.alerts[RULE].raised_at is None

    soon = NOW + 14 * MINUTE
    engine.take_reading(patient, pressure("120", "70", soon), now=soon)
    engine.advance(patient, NOW + 60 * MINUTE)

    assert events(patient) == [Event.REMEASURE_ASKED, Event.ENDED]
    assert patient.ended[RULE].outcome == "measured"


@pytest.mark.parametrize(
    "other",
    [
        pressure("120", "70", NOW + 5 * MINUTE, "body_movement"),  # who moved has not measured
        saturation("93", NOW + 5 * MINUTE),  # another device
        None,
    ],
)
def test_a03_without_a_valid_reading_it_is_yellow_a_quarter_of_an_hour_later(
    other: Reading | None,
) -> None:
    patient = case(plan({}), failed(20), failed(10))
    engine.take_attempt(patient, failed(0), now=NOW)
    if other is not None:
        engine.take_reading(patient, other, now=other.effective_at)

    engine.advance(patient, NOW + 60 * MINUTE)

    alert = patient.alerts[RULE]
    assert (alert.priority, alert.raised_at) == (Level.YELLOW, NOW + 15 * MINUTE)
    assert not alert.facts.is_without_remeasurement  # there is no value to doubt


def test_three_that_are_followed_by_a_valid_one_in_the_same_message_alert_nobody() -> None:
    patient = case(plan({}))

    engine.take_batch(patient, [failed(9), failed(6), failed(3), valid(1)], now=NOW)

    assert patient.changes == []


def test_a_pulse_that_failed_with_its_pressure_is_no_attempt_of_its_own() -> None:
    patient = case(plan({}), *(failed(ago, "8867-4") for ago in (20, 10)))

    engine.take_attempt(patient, failed(0, "8867-4"), now=NOW)

    assert patient.alerts == {}


def test_a_plan_may_ask_for_fewer() -> None:
    patient = case(plan({}, rules=[FailedAttempts(count=2)]), failed(10))

    engine.take_attempt(patient, failed(0), now=NOW)

    assert RULE in patient.alerts


@pytest.mark.parametrize("is_answer_first", [True, False])
def test_with_a_bad_symptom_they_are_red_in_either_order(*, is_answer_first: bool) -> None:
    bad = answer(NOW - 30 * MINUTE, breathlessness=4)
    known = [failed(20), failed(10), *([bad] if is_answer_first else [])]
    patient = case(plan({}, rules=[BREATHLESS]), *known)

    engine.take_attempt(patient, failed(0), now=NOW)
    if not is_answer_first:
        engine.take_answer(patient, bad, now=NOW)

    alert = patient.alerts[RULE]
    assert (alert.priority, alert.facts.question, alert.facts.answer) == (
        Level.RED,
        "breathlessness",
        "4",
    )
