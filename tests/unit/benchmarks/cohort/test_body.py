from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from statistics import mean, stdev

import msgspec
import pytest

from benchmarks.cohort.body import Body, in_steps, rhythm
from benchmarks.cohort.patients import Patient, patient
from tests.support.cohorts import shipped

_PATIENTS = 300


def _well(programmes: set[str]) -> list[tuple[Patient, Body]]:
    """Return patients without deteriorations, in sinus rhythm."""
    drawn = (patient(shipped(), number) for number in range(_PATIENTS))
    return [
        (replace(one, deteriorations=()), Body(shipped(), replace(one, deteriorations=())))
        for one in drawn
        if one.programme in programmes and not one.is_irregular
    ]


def _mornings(who: Patient, body: Body, measure: str, *, hour: float = 7.75) -> list[float]:
    return [
        float(body.shown(measure, who.since + timedelta(days=day, hours=hour)))
        for day in range(1, 29)
    ]


@pytest.mark.parametrize(
    ("measure", "sd", "spread"), [("systolic", 8.6, 3.1), ("diastolic", 5.8, 2.0)]
)
def test_morning_pressures_vary_as_in_ohasama(measure: str, sd: float, spread: float) -> None:
    # Kato and others, Am J Hypertens 2010;23:980: the standard deviation of single home readings
    # over four weeks of mornings was 8.6 (SD 3.1) and 5.8 (SD 2.0) mmHg.
    sds = [stdev(_mornings(who, body, measure)) for who, body in _well({"hypertension_titration"})]

    assert mean(sds) == pytest.approx(sd, abs=0.6)
    assert stdev(sds) == pytest.approx(spread, abs=0.6)


def test_evening_pressure_is_lower_than_morning_pressure_as_in_j_home() -> None:
    # J-HOME, Blood Press Monit 2009;14:160: 6.1 mmHg systolic.
    differences = [
        mean(_mornings(who, body, "systolic")) - mean(_mornings(who, body, "systolic", hour=20))
        for who, body in _well({"hypertension_titration"})
    ]

    assert mean(differences) == pytest.approx(6.1, abs=0.6)


def test_the_first_day_is_higher() -> None:
    # 2.8 mmHg: phc.ox.ac.uk/publications/1277921.
    at = timedelta(hours=7.5)
    rises = [
        body.value("systolic", who.since + at) - body.value("systolic", who.since + day + at)
        for who, body in _well({"hypertension_titration", "hypertension_diagnosis"})
        for day in (timedelta(days=number) for number in range(1, 10))
    ]

    assert mean(rises) == pytest.approx(2.8, abs=1.2)


def test_saturation_at_rest_ranges_within_a_day_and_falls_at_night_as_measured_in_copd() -> None:
    # JMIR mHealth uHealth 2019;7:e12866 (A14): range 10.8 (SD 4.4) % within a day, mean 92.1 by
    # day at rest and 89.9 at night.
    ranges: list[float] = []
    days: list[float] = []
    nights: list[float] = []
    for who, body in _well({"copd"}):
        for day in range(2):
            shown = _every_five_minutes(body, who.since + timedelta(days=day, hours=8), hours=14)
            ranges.append(max(shown) - min(shown))
            days.append(mean(shown))
            nights.append(
                mean(_every_five_minutes(body, who.since + timedelta(days=day, hours=1), hours=4))
            )

    assert mean(ranges) == pytest.approx(10.8, abs=1.0)
    assert stdev(ranges) == pytest.approx(4.4, abs=1.0)
    assert mean(days) == pytest.approx(92.1, abs=0.5)
    assert mean(nights) == pytest.approx(89.9, abs=0.5)


def _every_five_minutes(body: Body, since: datetime, *, hours: int) -> list[float]:
    return [
        float(body.shown("spo2", since + timedelta(minutes=5 * place)))
        for place in range(12 * hours)
    ]


@pytest.mark.parametrize("minutes", [0, 15], ids=["at the half-hour", "between"])
def test_half_hours_vary_as_much_at_their_ends_as_between(minutes: int) -> None:
    given = shipped()
    alone = msgspec.structs.replace(
        given.variation["systolic"], day_sd=0.0, slot_sd=4.0, first_day=0.0, rhythm=()
    )
    parameters = msgspec.structs.replace(given, variation={**given.variation, "systolic": alone})
    who, _ = _well({"hypertension_titration"})[0]
    body = Body(parameters, who)

    values = [
        body.value("systolic", who.since + timedelta(hours=hour, minutes=minutes))
        for hour in range(1500)
    ]

    assert stdev(values) == pytest.approx(4 * who.spread["systolic"], rel=0.06)


def test_what_is_asked_first_changes_nothing() -> None:
    who = patient(shipped(), 3)
    times = [who.since + timedelta(hours=5 * place) for place in range(40)]
    measure = next(iter(who.usual))

    forward = [Body(shipped(), who).shown(measure, at) for at in times]
    body = Body(shipped(), who)
    backward = [body.shown(measure, at) for at in reversed(times)]

    assert forward == list(reversed(backward))


def test_a_second_reading_sees_nearly_the_same_body() -> None:
    who, body = _well({"hypertension_titration"})[0]
    at = who.since + timedelta(days=3, hours=8)
    soon = at + timedelta(minutes=2)

    assert body.value("systolic", soon) == pytest.approx(body.value("systolic", at), abs=2)
    assert body.shown("systolic", at) != body.value("systolic", at)


def test_rhythm_goes_straight_between_its_points_and_round_midnight() -> None:
    variation = shipped().variation["systolic"]

    # Points: 2 h -13, 5.5 h -7, 7 h 0, 10 h 0, 20 h -6.1; from 20 h to 26 h by -6.9.
    assert rhythm(variation, 8) == 0
    assert rhythm(variation, 15) == pytest.approx(-3.05)
    assert rhythm(variation, 23) == pytest.approx(-6.1 - 6.9 / 2)
    assert rhythm(variation, 1) == pytest.approx(-6.1 - 6.9 * 5 / 6)


def test_devices_show_possible_values_in_their_steps() -> None:
    variation = shipped().variation

    assert str(in_steps(variation["spo2"], 103.4)) == "100"
    assert str(in_steps(variation["spo2"], 87.6)) == "88"
    assert str(in_steps(variation["body_weight"], 81.26)) == "81.3"
    assert str(in_steps(variation["body_weight"], 80)) == "80.0"
