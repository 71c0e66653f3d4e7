from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

import msgspec
import pytest

from benchmarks.cohort.driving import Driven, drive
from benchmarks.cohort.generating import Case, case
from benchmarks.cohort.plain import exact, level
from benchmarks.cohort.plans import plan
from tests.support.cohorts import driven, shipped

_CASES = range(20)


def _all() -> Iterator[tuple[Case, Driven]]:
    for number in _CASES:
        yield driven(number)


def test_alerts_come_in_the_order_of_time_while_the_patient_is_monitored() -> None:
    for one, found in _all():
        raised = [alert.raised_at for alert in found.alerts]

        assert raised == sorted(raised)
        assert all(one.patient.since <= at < one.patient.until for at in raised)


def test_no_alert_rests_on_a_reading_before_the_server_had_it() -> None:
    for one, found in _all():
        received = {
            each.reading.id: each.reading.received_at for each in (*one.produced, *found.requested)
        }
        answers = {each.id for each in one.answers}
        for alert in found.alerts:
            for reading in alert.readings:
                assert reading in answers or received[reading] <= alert.raised_at


def test_everything_stored_is_judged_once_and_nothing_that_waits_in_the_quarantine() -> None:
    waiting = requested = 0
    for one, found in _all():
        stored = [each for each in one.produced if not each.is_quarantined]
        again = [
            each
            for each in found.requested
            if not each.is_quarantined and each.reading.received_at < one.patient.until
        ]

        assert found.inputs == len(stored) + len(one.answers) + len(again)
        waiting += len(one.produced) - len(stored)
        requested += len(again)

    assert waiting > 0
    assert requested > 0


def test_a_red_beyond_the_immediate_limit_is_known_to_a_person_at_once() -> None:
    # A4: beyond the floor of the plan nothing is waited for; A7: an open red is one alert.
    immediate = 0
    for one, found in _all():
        reds = [alert for alert in found.alerts if alert.level == "red"]
        for each in (*one.produced, *found.requested):
            reading = each.reading
            if each.is_quarantined or not _is_immediate(one, each.reading.values):
                continue
            if reading.received_at - reading.effective_at > timedelta(minutes=30):
                continue  # late: it may be history (A5)
            immediate += 1
            assert any(
                reading.family in alert.families and alert.raised_at <= reading.received_at
                for alert in reds
            ), reading

    assert immediate > 0


def _is_immediate(one: Case, values: Mapping[str, str]) -> bool:
    limits = one.patient.limits
    return any(
        float(text) < limits.get(measure, {}).get("immediate_low", float("-inf"))
        or float(text) > limits.get(measure, {}).get("immediate_high", float("inf"))
        for measure, text in values.items()
    )


def test_a_patient_who_is_asked_measures_again_or_the_red_comes_without() -> None:
    # A4: the time-out ends in red.
    asked = answered = 0
    for one, found in _all():
        again = {each.reading.effective_at: each for each in found.requested}
        for request in found.requests:
            asked += 1
            if request.measured_at is not None:
                answered += 1
                assert request.measured_at > request.asked_at
                continue
            timed_out = request.asked_at + timedelta(minutes=15)
            if timed_out >= one.patient.until:
                continue
            reds = [
                alert
                for alert in found.alerts
                if alert.level == "red"
                and request.family in alert.families
                and alert.raised_at <= timed_out
            ]
            settled = [
                each
                for each in (*one.produced, *again.values())
                if each.reading.family == request.family
                and request.asked_at < each.reading.received_at <= timed_out
            ]
            assert reds or settled, request

    assert 0 < answered < asked


def test_everything_beyond_red_limits_that_nothing_settles_reaches_a_person() -> None:
    # Of red readings of well-equipped patients in sittings of one reading: either a second value
    # within limits came in time, or a person was told.
    for one, found in _all():
        limits = exact(one.patient.limits)
        stored = [
            each.reading for each in (*one.produced, *found.requested) if not each.is_quarantined
        ]
        for reading in stored:
            if level(reading, limits) != "red":
                continue
            until = reading.received_at + timedelta(minutes=16)
            if until >= one.patient.until:
                continue
            told = any(
                alert.level == "red"
                and reading.family in alert.families
                and alert.raised_at <= until
                for alert in found.alerts
            )
            later = any(
                other.family == reading.family
                and other.effective_at > reading.effective_at
                and level(other, limits) != "red"
                for other in stored
            )
            assert told or later, reading


def test_a_patient_who_falls_silent_is_missed() -> None:
    # A9. The plan's silence is 36 hours for high risk.
    found = 0
    for number in range(120):
        one = case(shipped(), number)
        for truth in one.truths:
            if truth.silent_from is None or truth.ends_at - truth.silent_from < timedelta(days=4):
                continue
            result = drive(shipped(), one, plan(shipped(), one.patient))
            found += 1
            assert any(
                alert.rule in {"silence", "unmonitored"}
                and truth.silent_from <= alert.raised_at <= truth.ends_at
                for alert in result.alerts
            )
            break
        if found == 2:
            break

    assert found == 2


@pytest.mark.parametrize("number", [0, 3])
def test_driving_a_patient_again_gives_the_same(number: int) -> None:
    one, found = driven(number)
    parameters = msgspec.structs.replace(shipped(), days=28)

    again = drive(parameters, case(parameters, number), plan(parameters, one.patient))

    assert again == found
