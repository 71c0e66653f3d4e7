from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest

from benchmarks.cohort.measuring import Home, Produced
from benchmarks.cohort.patients import patient
from benchmarks.cohort.records import Artifact, Cause
from tests.support.cohorts import shipped, shipped_case

_CASES = range(80)


def _produced() -> Iterator[Produced]:
    for number in _CASES:
        yield from shipped_case(number).produced


def test_a_request_is_answered_the_same_whenever_it_is_asked() -> None:
    who = patient(shipped(), 5)
    times = [who.since + timedelta(hours=7 * place) for place in range(60)]
    family = next(iter(shipped().programmes[who.programme].activities)).family

    forward = [Home(shipped(), who).again(family, at) for at in times]
    home = Home(shipped(), who)
    backward = [home.again(family, at) for at in reversed(times)]

    assert forward == list(reversed(backward))


def test_a_sitting_is_the_same_whenever_it_is_held() -> None:
    who = patient(shipped(), 5)
    family = next(iter(shipped().programmes[who.programme].activities)).family
    at = who.since + timedelta(days=2, hours=8)

    home = Home(shipped(), who)
    first = list(home.sit(family, at, readings=2, why=Cause.REQUESTED))
    list(home.sit(family, at + timedelta(hours=1), readings=2, why=Cause.REQUESTED))

    assert list(home.sit(family, at, readings=2, why=Cause.REQUESTED)) == first


def test_some_answer_a_request_after_minutes_and_some_never() -> None:
    answered: dict[int, list[float]] = {}
    for number in _CASES:
        who = patient(shipped(), number)
        home = Home(shipped(), who)
        # In the late morning, when nobody sleeps.
        asked = [who.since + timedelta(days=day, hours=11) for day in range(1, 13)]
        answers = [(at, home.again("spo2", at)) for at in asked]
        answered[number] = [
            (then - at) / timedelta(minutes=1) for at, then in answers if then is not None
        ]
        assert all(minutes >= 1 for minutes in answered[number])

    shares = [len(one) / 12 for one in answered.values()]
    minutes = sorted(one for each in answered.values() for one in each)

    assert sum(shares) / len(shares) == pytest.approx(0.68, abs=0.08)
    assert any(share < 0.2 for share in shares)
    assert minutes[len(minutes) // 2] == pytest.approx(7, abs=1)


def test_readings_have_ids_of_their_own() -> None:
    ids = [one.reading.id for one in _produced()]

    assert len(ids) == len(set(ids))


def test_a_failed_attempt_has_no_value_and_a_reading_has_one() -> None:
    for one in _produced():
        assert bool(one.reading.values) is not one.reading.is_failed


def test_atrial_fibrillation_is_flagged_at_nearly_every_pressure() -> None:
    flagged: Counter[bool] = Counter()
    for number in _CASES:
        case = shipped_case(number)
        for one in case.produced:
            is_own = one.made.artifact is not Artifact.OTHER_PERSON
            if one.reading.family == "blood_pressure" and one.reading.values and is_own:
                has_flag = "irregular_pulse" in one.reading.flags
                assert case.patient.is_irregular or not has_flag
                flagged[has_flag] += case.patient.is_irregular

    assert flagged[True] / flagged.total() > 0.9


def test_artifacts_show_in_flags_but_another_person_does_not() -> None:
    flag = {
        Artifact.MOVEMENT: "body_movement",
        Artifact.LOOSE_CUFF: "cuff_too_loose",
        Artifact.COLD_FINGER: "low_perfusion",
    }
    seen: Counter[Artifact] = Counter()
    for one in _produced():
        artifact = one.made.artifact
        if artifact is None:
            continue
        seen[artifact] += 1
        if artifact in flag:
            assert flag[artifact] in one.reading.flags
        elif artifact is Artifact.OTHER_PERSON:
            assert one.reading.flags == ()

    assert all(seen[artifact] for artifact in Artifact)


def test_only_a_cuff_with_user_slots_sends_anything_to_the_quarantine() -> None:
    for number in _CASES:
        case = shipped_case(number)
        strangers = [one for one in case.produced if one.made.artifact is Artifact.OTHER_PERSON]

        assert all(one.is_quarantined is case.patient.has_user_slots for one in strangers)
        assert case.patient.has_user_slots or not any(one.is_quarantined for one in case.produced)


def test_a_gateway_that_was_away_delivers_at_the_end_all_at_once() -> None:
    late = 0
    for number in _CASES:
        case = shipped_case(number)
        for one in case.produced:
            at, received = one.reading.effective_at, one.reading.received_at
            outage = next((o for o in case.patient.outages if o.since <= at < o.until), None)
            if outage is None:
                assert timedelta() < received - at < timedelta(minutes=1)
            else:
                late += 1
                assert timedelta() < received - outage.until < timedelta(minutes=2)
                # An oximeter keeps nothing: what it showed while the gateway was off is lost.
                assert not outage.is_off or one.reading.family != "spo2"

    assert late > 100


def test_patients_keep_about_as_many_windows_as_published() -> None:
    # 71.4 % of what was asked: PMC4923587 (with days away and those who fell silent, fewer).
    kept = asked = 0
    for number in _CASES:
        case = shipped_case(number)
        if case.patient.programme != "copd":
            continue
        days = (case.patient.until - case.patient.since) / timedelta(days=1)
        asked += 2 * round(days)
        sittings = {
            (one.reading.effective_at.date(), one.reading.effective_at.hour < 12)
            for one in case.produced
            if one.made.why is Cause.SCHEDULED
        }
        kept += len(sittings)

    assert kept / asked == pytest.approx(0.68, abs=0.06)
