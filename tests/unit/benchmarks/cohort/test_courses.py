from __future__ import annotations

from datetime import datetime, timedelta
from itertools import chain, pairwise

import pytest

from benchmarks.cohort import generating
from benchmarks.cohort.courses import Deterioration
from benchmarks.cohort.generating import Case
from benchmarks.cohort.patients import patient
from tests.support.cohorts import shipped, shipped_case

_MINUTE = timedelta(minutes=1)
_CASES = range(80)


def _deteriorations(kind: str | None = None) -> list[tuple[Case, Deterioration]]:
    found = [
        (shipped_case(number), one)
        for number in _CASES
        for one in shipped_case(number).patient.deteriorations
        if kind is None or one.kind == kind
    ]
    assert found
    return found


def _is_beyond(case: Case, one: Deterioration, level: str, at: datetime) -> bool:
    """Look at the body's own course, not at what placed the crossing."""
    limits = case.patient.limits
    for measure in one.measures:
        value = case.home.body.course(measure, at)
        own = limits.get(measure, {})
        if value < own.get(f"{level}_low", value) or value > own.get(f"{level}_high", value):
            return True
    return False


def test_a_course_crosses_its_limit_at_the_stated_minute() -> None:
    for case, one in _deteriorations():
        assert not _is_beyond(case, one, "yellow", one.crossed_at - _MINUTE), one
        assert _is_beyond(case, one, "yellow", one.crossed_at), one


def test_a_red_one_crosses_red_at_the_stated_minute_and_a_yellow_one_never() -> None:
    for case, one in _deteriorations():
        if one.crossed_red_at is not None:
            assert one.severity == "red"
            assert not _is_beyond(case, one, "red", one.crossed_red_at - _MINUTE), one
            assert _is_beyond(case, one, "red", one.crossed_red_at), one
        else:
            assert one.severity == "yellow"
            hours = int((one.ends_at - one.onset) / timedelta(hours=1))
            assert not any(
                _is_beyond(case, one, "red", one.onset + timedelta(hours=hour))
                for hour in range(hours)
            ), one


def test_before_onset_and_after_the_end_nothing_is_changed() -> None:
    for case, one in _deteriorations():
        for measure in one.measures:
            assert case.home.body.course(measure, one.onset) == case.patient.usual[measure]
            assert one.change(measure, one.ends_at) == 0


def test_order_is_onset_crossing_end() -> None:
    for _, one in _deteriorations():
        assert one.onset < one.crossed_at < one.ends_at
        assert one.crossed_red_at is None or one.crossed_at <= one.crossed_red_at < one.ends_at


def test_what_is_told_of_lies_before_the_end_with_room_to_be_found() -> None:
    for number in range(160):
        one = shipped_case(number) if number < len(_CASES) else generating.case(shipped(), number)
        for truth in one.truths:
            days = (one.patient.until - one.patient.since) / timedelta(days=1)

            assert one.patient.until - truth.crossed_at >= timedelta(days=min(14, days / 4))
            assert truth.ends_at <= one.patient.until
            assert truth.crossed_red_at is None or truth.crossed_red_at < one.patient.until
            assert (truth.severity == "red") is (truth.crossed_red_at is not None)


def test_about_as_many_are_red_as_the_parameters_say() -> None:
    # Half of the exacerbations, and a few more whose pulse goes beyond its red limit.
    reds = [
        one.severity == "red"
        for number in range(900)
        for one in patient(shipped(), number).deteriorations
        if one.kind == "copd_exacerbation"
    ]

    assert sum(reds) / len(reds) == pytest.approx(0.53, abs=0.12)


def test_a_patient_has_one_deterioration_at_a_time() -> None:
    quiet = timedelta(days=shipped().placing.quiet_days)
    for number in _CASES:
        in_order = shipped_case(number).patient.deteriorations
        for before, after in pairwise(in_order):
            assert after.onset >= before.ends_at + quiet


def test_in_heart_failure_weight_rises_by_two_to_three_kilograms_before_saturation_falls() -> None:
    # Guidelines' threshold: 2 kg over two to three days; ours rise in 60 to 84 hours.
    for case, one in _deteriorations("heart_failure"):
        usual, body = case.patient.usual, case.home.body
        weight = body.course("body_weight", one.onset + timedelta(hours=84))

        assert 1.9 < weight - usual["body_weight"] < 3.3
        assert body.course("spo2", one.crossed_at) == pytest.approx(usual["spo2"], abs=0.5)
        assert body.course("spo2", one.ramps[0].eases_at) < usual["spo2"] - 1


def test_an_exacerbation_falls_over_one_to_five_days_after_the_symptoms() -> None:
    for case, one in _deteriorations("copd_exacerbation"):
        fall = next(ramp for ramp in one.ramps if ramp.measure == "spo2")

        assert timedelta(days=1) <= fall.full_at - fall.begins_at <= timedelta(days=5)
        assert fall.begins_at - one.onset >= timedelta(hours=12)
        assert one.breathlessness.at(fall.begins_at) > 0
        assert case.home.body.course("spo2", fall.begins_at) == case.patient.usual["spo2"]


def test_who_falls_silent_measures_nothing_until_the_end() -> None:
    for case, one in _deteriorations("silent_exacerbation"):
        assert one.silent_from is not None
        assert one.onset <= one.silent_from <= one.crossed_at

        times = chain(
            (each.reading.effective_at for each in case.produced),
            (each.effective_at for each in case.answers),
        )

        assert not [at for at in times if one.silent_from <= at < one.ends_at]
        assert case.home.again("spo2", one.crossed_at + timedelta(hours=1)) is None
