from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from benchmarks.cohort.measuring import Produced
from benchmarks.cohort.outcomes import Finding, Miss, Outcome, Tally, outcome
from benchmarks.cohort.plain import exact
from benchmarks.cohort.records import Alert, Cause, Made, Monitored, Reading, Request, Truth

_PATIENT = UUID(int=1)
_DAY = datetime(2026, 10, 1, tzinfo=UTC)
_MONITORED = Monitored(
    patient_id=_PATIENT,
    programme="copd",
    since=_DAY,
    until=_DAY + timedelta(days=4),
    is_irregular=False,
    is_shared=False,
    answers_request="0",
    adherence="1",
)
_LIMITS = exact({"spo2": {"red_low": 88.0, "yellow_low": 90.0}})
# Begins at 10:00 on the first day, crosses yellow at 16:00 and red at 20:00; ends a day later.
_TRUTH = Truth(
    id=UUID(int=2),
    patient_id=_PATIENT,
    programme="copd",
    kind="copd_exacerbation",
    severity="red",
    measures=("spo2",),
    onset=_DAY + timedelta(hours=10),
    crossed_at=_DAY + timedelta(hours=16),
    crossed_red_at=_DAY + timedelta(hours=20),
    ends_at=_DAY + timedelta(hours=34),
)


def _alert(
    hour: float,
    level: str = "yellow",
    *,
    families: tuple[str, ...] = ("spo2",),
    is_told: bool = True,
) -> Alert:
    return Alert(
        patient_id=_PATIENT,
        rule="x",
        level=level,
        raised_at=_DAY + timedelta(hours=hour),
        reaches_person=is_told,
        families=families,
    )


def _made(
    hour: float,
    spo2: str | None,
    *,
    flags: tuple[str, ...] = (),
    delay_h: float = 0,
    is_quarantined: bool = False,
) -> Produced:
    at = _DAY + timedelta(hours=hour)
    reading = Reading(
        id=UUID(int=round(hour * 10)),
        patient_id=_PATIENT,
        family="spo2",
        effective_at=at,
        received_at=at + timedelta(hours=delay_h),
        values={} if spo2 is None else {"spo2": spo2},
        flags=flags,
        is_failed=spo2 is None,
    )
    made = Made(reading_id=reading.id, patient_id=_PATIENT)
    return Produced(reading=reading, made=made, is_quarantined=is_quarantined)


def _outcome(
    *,
    rules: tuple[Alert, ...] = (),
    plain: tuple[Alert, ...] = (),
    produced: tuple[Produced, ...] = (),
    requests: tuple[Request, ...] = (),
    monitored: Monitored = _MONITORED,
    truths: tuple[Truth, ...] = (_TRUTH,),
) -> Outcome:
    return outcome(
        monitored,
        truths,
        produced,
        _LIMITS,
        rules=rules,
        plain=plain,
        requests=requests,
    )


def test_the_first_alert_from_onset_on_finds_a_deterioration() -> None:
    rules = (_alert(9), _alert(15), _alert(18, "red"), _alert(21, "red"))

    (found,) = _outcome(rules=rules).found

    assert found.rules == Finding(at=_DAY + timedelta(hours=15), red_at=_DAY + timedelta(hours=18))


def test_what_reaches_nobody_or_rests_on_something_else_finds_nothing() -> None:
    rules = (_alert(18, is_told=False), _alert(18, families=("body_weight",)))

    result = _outcome(rules=rules)

    assert result.found[0].rules == Finding(miss=Miss.NOT_MEASURED)
    # The weight's alert reached somebody all the same.
    assert (result.alerts, result.false) == (1, 1)


def test_an_alert_without_readings_is_about_whatever_goes_on() -> None:
    (found,) = _outcome(rules=(_alert(30, "red", families=()),)).found

    assert found.rules.red_at == _DAY + timedelta(hours=30)


def test_the_plain_red_that_ours_is_compared_with_lies_after_the_crossing_of_red() -> None:
    plain = (_alert(12, "red"), _alert(21, "yellow"), _alert(22, "red"), _alert(25, "red"))

    (found,) = _outcome(plain=plain).found

    assert found.plain.red_at == _DAY + timedelta(hours=12)
    assert found.plain_red_at == _DAY + timedelta(hours=22)


def test_alerts_are_counted_as_false_outside_deteriorations() -> None:
    plain = (_alert(2), _alert(12, "red"), _alert(50), _alert(51, "red"))

    result = _outcome(plain=plain, rules=(_alert(9.9), _alert(34.1, "red")))

    assert (result.plain, result.plain_reds, result.plain_false) == (4, 2, 3)
    # 2 h silences 12 h; 50 h is more than a day after 2 h and silences 51 h.
    assert result.plain_daily == 2
    assert (result.alerts, result.reds, result.false) == (2, 1, 2)
    assert result.rules == {"x": Tally(alerts=2, reds=1, false=2)}
    assert result.days == 4


_UNANSWERED = Request(patient_id=_PATIENT, family="spo2", asked_at=_DAY + timedelta(hours=17))


@pytest.mark.parametrize(
    ("miss", "produced"),
    [
        (Miss.NOT_MEASURED, (_made(15, "86"), _made(35, "86"))),
        (Miss.LATE, (_made(17, "86", delay_h=18),)),
        (Miss.WITHIN_LIMITS, (_made(17, "90"), _made(18, None))),
        (Miss.QUARANTINE, (_made(17, "91"), _made(18, "86", is_quarantined=True))),
        (Miss.FLAG, (_made(17, "86", flags=("low_perfusion",)), _made(18, "91"))),
        (Miss.NOT_RAISED, (_made(17, "86", flags=("irregular_pulse",)),)),
        (Miss.NOT_RAISED, (_made(17, "86", flags=("low_perfusion",)), _made(18, "89"))),
    ],
)
def test_a_miss_has_the_first_cause_that_holds(miss: Miss, produced: tuple[Produced, ...]) -> None:
    (found,) = _outcome(produced=produced).found

    assert found.rules == Finding(miss=miss)


def test_a_request_that_nobody_answered_is_a_cause_of_its_own() -> None:
    result = _outcome(produced=(_made(17, "86"),), requests=(_UNANSWERED,))

    assert result.found[0].rules == Finding(miss=Miss.NOT_ANSWERED)
    # The plain limit asks nobody anything.
    assert result.found[0].plain == Finding(miss=Miss.NOT_RAISED)
    assert (result.requests, result.answered) == (1, 0)


@pytest.mark.parametrize(
    ("hour", "by_chance"), [(-15, (False, True)), (9, (True, True)), (11, (False, True))]
)
def test_chance_is_an_alert_in_as_long_a_time_before(
    hour: float, by_chance: tuple[bool, bool]
) -> None:
    # Onset at 10 o'clock, 24 hours long: the time before begins at 10 the day before.
    early = msgspec.structs.replace(_MONITORED, since=_DAY - timedelta(days=2))

    result = _outcome(rules=(_alert(hour),), plain=(_alert(-13),), monitored=early)

    assert result.found[0].by_chance == by_chance


def test_chance_needs_a_time_in_which_the_patient_was_there_and_well() -> None:
    early = msgspec.structs.replace(_MONITORED, since=_DAY - timedelta(days=2))
    before = msgspec.structs.replace(
        _TRUTH, onset=_DAY - timedelta(hours=20), ends_at=_DAY - timedelta(hours=13)
    )

    assert _outcome().found[0].by_chance is None
    assert _outcome(monitored=early, truths=(before, _TRUTH)).found[1].by_chance is None


def test_the_plain_limit_sees_nothing_of_what_was_measured_on_request() -> None:
    asked = _made(17, "86")
    asked = replace(asked, made=msgspec.structs.replace(asked.made, why=Cause.REQUESTED))

    (found,) = _outcome(produced=(asked,)).found

    assert found.plain == Finding(miss=Miss.NOT_MEASURED)
    assert found.rules == Finding(miss=Miss.NOT_RAISED)
