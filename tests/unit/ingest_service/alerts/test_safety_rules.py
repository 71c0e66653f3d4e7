"""The rules of the clinical safety review that bind what is judged, each by its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from ingest_service.alerts import acting, engine
from ingest_service.alerts.actions import Resolve
from ingest_service.alerts.alert import Event, Evidence, State
from ingest_service.alerts.case import Case
from ingest_service.alerts.history import Reading
from ingest_service.alerts.refusals import RefusedError
from ingest_service.messages.message import Kind, Recipient
from ingest_service.plans.limits import Family, Level, Measure
from ingest_service.plans.plan import Activity, Baseline, ChangeOverDays, Side, Usual
from ingest_service.plans.windows import Condition, PartOfDay, Window
from tests.support.cases import (
    NOW,
    NURSE,
    attempt,
    case,
    events,
    limits,
    plan,
    pressure,
    requests,
    saturation,
    take,
    taken,
)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
# The review's own patient: red below 88, yellow below 90; immediate and hysteresis are examples.
COPD = {Measure.SPO2: limits(red_low="88", yellow_low="90", immediate_low="80", hysteresis="1")}
RULE = "limit.spo2"


def copd(within_min: int = 15) -> Case:
    return case(plan(COPD, within_min=within_min))


def test_a01_a_value_far_from_the_patients_own_alerts_and_is_marked() -> None:
    patient = take(copd(), saturation("78", NOW, "may_be_another"))

    alert = patient.alerts[RULE]
    assert (alert.priority, alert.state) == (Level.RED, State.NEW)
    assert "may_be_another" in alert.readings[0].flags
    assert alert.facts.is_unconfirmed


@pytest.mark.parametrize(
    "flag",
    [
        "irregular_pulse",
        "low_perfusion",
        "body_movement",
        "cuff_too_loose",
        "improper_position",
        "may_be_another",
        "questionable",
    ],
)
def test_a02_no_flag_mutes_red(flag: str) -> None:
    patient = take(copd(), saturation("86", NOW, flag), saturation("86", NOW + 5 * MINUTE, flag))

    alert = patient.alerts[RULE]
    assert (alert.priority, alert.state) == (Level.RED, State.NEW)
    assert alert.facts.is_unconfirmed is (flag != "irregular_pulse")


def test_a02_a_doubtful_value_disproves_nothing() -> None:
    patient = take(copd(), saturation("86"), saturation("95", NOW + 5 * MINUTE, "body_movement"))

    engine.advance(patient, NOW + HOUR)

    assert patient.alerts[RULE].priority is Level.RED


def test_a02_an_irregular_pulse_disproves_as_any_other() -> None:
    patient = take(copd(), saturation("86"), saturation("95", NOW + 5 * MINUTE, "irregular_pulse"))

    assert patient.alerts == {}


def test_a02_a_doubtful_immediate_red_is_red_now_and_marked() -> None:
    patient = take(copd(), saturation("79", NOW, "body_movement"))

    assert events(patient) == [Event.RAISED]
    assert patient.alerts[RULE].facts.is_unconfirmed


def test_a03_three_failed_attempts_are_a_sign_of_their_own() -> None:
    patient = copd()

    for minutes in (0, 4, 8):
        at = NOW + minutes * MINUTE
        engine.take_attempt(patient, attempt(at, "59408-5"), now=at)

    engine.advance(patient, NOW + 60 * MINUTE)

    alert = patient.alerts["failed_attempts"]
    assert (alert.priority, alert.state) == (Level.YELLOW, State.NEW)


def test_a04_a_red_asks_the_patient_to_measure_again_until_a_deadline() -> None:
    patient = take(copd(), saturation("86"))

    [request] = requests(patient)
    alert = patient.alerts[RULE]
    assert (request.kind, request.recipient) == (Kind.REMEASURE_REQUEST, Recipient.PATIENT)
    assert request.deadline == alert.confirm_by == NOW + 15 * MINUTE
    assert (alert.state, alert.raised_at) == (State.AWAITING, None)
    assert engine.next_due(patient) == NOW + 15 * MINUTE


def test_a04_no_remeasurement_becomes_red() -> None:
    patient = take(copd(), saturation("86"))

    engine.advance(patient, NOW + 14 * MINUTE)
    assert events(patient) == [Event.REMEASURE_ASKED]
    engine.advance(patient, NOW + 3 * HOUR)

    alert = patient.alerts[RULE]
    assert (alert.priority, alert.state) == (Level.RED, State.NEW)
    assert alert.raised_at == NOW + 15 * MINUTE  # its own time, however late the run
    assert alert.facts.is_without_remeasurement
    assert alert.confirm_by is None


@pytest.mark.parametrize(
    ("second", "expected", "level"),
    [
        ("87", [Event.REMEASURE_ASKED, Event.RAISED], Level.RED),
        ("89", [Event.REMEASURE_ASKED, Event.NOT_CONFIRMED, Event.RAISED], Level.YELLOW),
        ("90.5", [Event.REMEASURE_ASKED, Event.NOT_CONFIRMED, Event.RAISED], Level.YELLOW),
        ("91", [Event.REMEASURE_ASKED, Event.NOT_CONFIRMED], None),
    ],
)
def test_a04_the_second_value_decides(
    second: str, expected: list[Event], level: Level | None
) -> None:
    patient = take(copd(), saturation("86"), saturation(second, NOW + 5 * MINUTE))

    alert = patient.alerts.get(RULE)
    assert events(patient) == expected
    assert (alert.priority if alert else None) is level
    if alert:
        assert [str(one.value) for one in alert.readings] == ["86", second]
    else:
        assert patient.ended[RULE].outcome == "not_confirmed"


def test_a04_beyond_the_immediate_limit_nothing_is_waited_for() -> None:
    patient = take(copd(), saturation("79"))

    assert events(patient) == [Event.RAISED]
    assert requests(patient) == []


def test_a04_an_immediate_limit_alone_is_red() -> None:
    own = {Measure.SPO2: limits(immediate_low="80")}
    low, within = (take(case(plan(own)), saturation(value)) for value in ("79", "80"))

    assert low.alerts[RULE].priority is Level.RED
    assert within.alerts == {}


def test_a04_two_values_of_one_sitting_need_no_request() -> None:
    patient = copd()

    engine.take_batch(
        patient, [saturation("87", NOW + MINUTE), saturation("86", NOW)], now=NOW + 2 * MINUTE
    )

    assert events(patient) == [Event.RAISED]
    assert requests(patient) == []
    assert [str(one.value) for one in patient.alerts[RULE].readings] == ["86", "87"]


def test_a04_a_value_of_the_same_sitting_that_is_within_disproves_at_once() -> None:
    patient = copd()

    engine.take_batch(
        patient, [saturation("86", NOW), saturation("95", NOW + MINUTE)], now=NOW + 2 * MINUTE
    )

    assert events(patient) == [Event.NOT_CONFIRMED]
    assert (patient.alerts, requests(patient)) == ({}, [])


@pytest.mark.parametrize(
    "second",
    [
        saturation("86", NOW),  # another record of the same instant
        saturation("86", NOW + MINUTE, "suspected_double"),
        saturation("95", NOW - MINUTE),  # measured before
        pressure("120", "80", NOW + MINUTE),  # another family
        saturation("95", NOW + MINUTE, "may_be_another"),
    ],
)
def test_a04_what_is_no_second_value_neither_confirms_nor_disproves(second: Reading) -> None:
    patient = take(copd(), saturation("86", NOW))

    engine.take_reading(patient, second, now=NOW + 2 * MINUTE)

    assert patient.alerts[RULE].state is State.AWAITING


def test_a04_the_same_record_twice_is_no_second_value() -> None:
    first = saturation("86")
    patient = take(copd(), first, first)

    assert events(patient) == [Event.REMEASURE_ASKED]


def test_a04_waiting_ends_at_its_deadline_although_the_plan_has_ended() -> None:
    patient = take(copd(), saturation("86"))
    patient.plan = None

    engine.advance(patient, NOW + HOUR)

    assert patient.alerts[RULE].priority is Level.RED


def test_a04_a_value_that_comes_after_the_deadline_finds_a_red() -> None:
    patient = take(copd(), saturation("86"))  # and the job that lets time pass is down

    take(patient, saturation("95", NOW + 20 * MINUTE))

    assert events(patient) == [Event.REMEASURE_ASKED, Event.RAISED]
    assert patient.alerts[RULE].raised_at == NOW + 15 * MINUTE


def test_a05_the_newest_known_alerts_with_its_age() -> None:
    patient = copd()

    engine.take_reading(patient, saturation("82", NOW - 72 * HOUR), now=NOW)

    alert = patient.alerts[RULE]
    assert (alert.priority, alert.state) == (Level.RED, State.NEW)
    assert "late" in alert.readings[0].flags


def test_a05_a_later_value_within_limits_makes_it_history() -> None:
    patient = copd()

    engine.take_batch(
        patient, [saturation("82", NOW - 72 * HOUR), saturation("93", NOW - HOUR)], now=NOW
    )

    assert patient.alerts == {}


@pytest.mark.parametrize("flag", ["body_movement", "may_be_another", "time_unknown"])
def test_a05_what_proves_nothing_makes_no_history(flag: str) -> None:
    patient = case(plan(COPD), saturation("93", NOW - HOUR, flag))

    engine.take_reading(patient, saturation("82", NOW - 72 * HOUR), now=NOW)

    assert patient.alerts[RULE].priority is Level.RED


@pytest.mark.parametrize(
    ("values", "level", "shown"),
    [
        # The review's second day: 84 at 13:00, 89 at 19:00, and all of it comes at 20:00.
        (["92", "92", "92", "92", "84", "89"], Level.RED, ["84", "89"]),
        (["92", "92", "92", "92", "92", "82"], Level.RED, ["82"]),
        (["84", "92", "92", "92", "92", "92"], Level.BLUE, ["84", "92"]),
        (["92", "92", "92", "92", "92", "89"], Level.YELLOW, ["89"]),
    ],
)
def test_a05_many_at_a_reconnect_are_one_alert_with_worst_and_newest(
    values: Sequence[str], level: Level, shown: list[str]
) -> None:
    patient = copd()
    late = [saturation(value, NOW - (7 - n) * HOUR) for n, value in enumerate(values)]

    engine.take_batch(patient, late[::-1], now=NOW)

    [alert] = patient.alerts.values()
    assert (alert.rule, alert.priority, alert.facts.count) == ("reconnect", level, 6)
    assert [str(one.value) for one in alert.readings] == shown


def test_a05_a_reconnect_across_families_loses_no_red() -> None:
    both = COPD | {Measure.SYSTOLIC: limits(red_high="180")}
    patient = case(plan(both, within_min=15))
    late = [pressure("200", "90", NOW - (9 - n) * HOUR) for n in range(5)]

    engine.take_batch(
        patient, [*late, saturation("84", NOW - 3 * HOUR), saturation("92", NOW)], now=NOW
    )

    [alert] = patient.alerts.values()
    assert alert.priority is Level.RED
    assert [str(one.systolic or one.value) for one in alert.readings] == ["200", "84"]


def test_a05_nothing_beyond_limits_at_a_reconnect_alerts_nobody() -> None:
    patient = copd()

    engine.take_batch(patient, [saturation("92", NOW - n * HOUR) for n in range(1, 12)], now=NOW)

    assert patient.changes == []


def test_a07_a_taken_alert_is_raised_again_by_worse_with_both_values_and_who_had_it() -> None:
    patient = take(copd(), saturation("86"), saturation("86", NOW + MINUTE))
    taken(patient, RULE)

    take(patient, saturation("78", NOW + 10 * MINUTE))

    change = patient.changes[-1]
    alert = patient.alerts[RULE]
    assert (change.event, change.detail["owner"]) == (Event.RERAISED, NURSE)
    assert (alert.state, alert.owner) == (State.NEW, None)
    said = [change.detail[name] for name in ("previous", "reading")]
    assert [str(msgspec.json.decode(one, type=Evidence).value) for one in said] == ["86", "78"]


def test_a07_a_pause_is_broken_by_a_worse_value_and_by_nothing_less() -> None:
    patient = take(copd(), saturation("86"), saturation("86", NOW + MINUTE))
    patient.alerts[RULE] = replace(
        patient.alerts[RULE], state=State.PAUSED, owner=NURSE, paused_until=NOW + HOUR
    )

    take(patient, saturation("85", NOW + 10 * MINUTE))
    assert patient.alerts[RULE].state is State.PAUSED
    take(patient, saturation("84", NOW + 12 * MINUTE))

    alert = patient.alerts[RULE]
    assert (alert.state, alert.paused_until, alert.owner) == (State.NEW, None, None)


def test_a07_a_yellow_that_turns_red_is_confirmed_and_raised_anew() -> None:
    patient = take(copd(), saturation("89"))
    taken(patient, RULE)

    take(patient, saturation("86", NOW + MINUTE))
    assert patient.alerts[RULE].state is State.TAKEN
    assert patient.alerts[RULE].confirm_by == NOW + 16 * MINUTE
    engine.advance(patient, NOW + HOUR)

    alert = patient.alerts[RULE]
    assert (alert.priority, alert.state, alert.owner) == (Level.RED, State.NEW, None)
    [again] = [one for one in patient.changes if one.event is Event.RERAISED]
    assert again.detail["owner"] == NURSE


def test_a08_a_red_stays_until_a_person_withdraws_it() -> None:
    first, second = saturation("87"), saturation("86", NOW + MINUTE)
    patient = take(copd(), first, second)

    ids = {first.observation_id, second.observation_id}
    engine.take_back(patient, ids, by=NURSE, why="daughter", now=NOW + HOUR)

    alert = patient.alerts[RULE]
    assert (alert.priority, alert.state, alert.standing) == (Level.RED, State.NEW, ())


def test_a13_too_much_oxygen_alerts_as_too_little_does() -> None:
    target = {Measure.SPO2: limits(red_low="85", yellow_low="88", yellow_high="92", red_high="96")}
    low, high = (take(case(plan(target)), saturation(value)) for value in ("84", "97"))

    assert low.alerts[RULE].priority is high.alerts[RULE].priority is Level.RED


def windowed(*conditions: Condition) -> Case:
    windows = tuple(
        Window(name=condition, start="12:00", end="14:00", condition=condition)
        for condition in conditions
    )
    activity = Activity(family=Family.SPO2, windows=windows)
    own = {Condition.AFTER_EXERTION: {Measure.SPO2: limits(red_low="82", yellow_low="85")}}
    return case(plan(COPD, activities=[activity], limits_when=own))


@pytest.mark.parametrize(
    ("condition", "value", "level"),
    [
        (Condition.REST, "86", Level.RED),
        (Condition.AFTER_EXERTION, "86", None),
        (Condition.AFTER_EXERTION, "84", Level.YELLOW),
        (Condition.ASLEEP, "84", None),  # no limits of its own: only the immediate ones
        (Condition.ASLEEP, "79", Level.RED),
    ],
)
def test_a14_a_value_is_judged_by_the_condition_in_which_it_was_measured(
    condition: Condition, value: str, level: Level | None
) -> None:
    patient = take(windowed(condition), saturation(value))  # 13:00 in Stockholm

    alert = patient.alerts.get(RULE)
    assert (alert.priority if alert else None) is level


def test_a14_outside_every_window_the_limits_at_rest_hold() -> None:
    patient = take(windowed(Condition.ASLEEP), saturation("84", NOW + 5 * HOUR))

    assert patient.alerts[RULE].priority is Level.RED


def test_a14_where_a_window_at_rest_is_open_as_well_its_limits_hold() -> None:
    patient = take(windowed(Condition.AFTER_EXERTION, Condition.REST), saturation("86"))

    assert patient.alerts[RULE].priority is Level.RED


def test_a14_a_fall_between_two_saturations_is_no_rule() -> None:
    fall = ChangeOverDays(id="fall", measure=Measure.SPO2, days=1, fall=Decimal(4))
    patient = take(case(plan(COPD, rules=[fall])), saturation("98"), saturation("91", NOW + HOUR))

    assert patient.alerts == {}


def test_a14_the_usual_is_that_of_the_part_of_the_day() -> None:
    rule = Baseline(id="own", measure=Measure.SPO2, side=Side.LOW, distance=Decimal(2))
    usual = [
        Usual(measure=Measure.SPO2, low=Decimal(low), high=Decimal(high), part_of_day=part)
        for low, high, part in ((95, 97, PartOfDay.DAY), (91, 94, PartOfDay.NIGHT))
    ]
    by_day, by_night = (
        take(
            case(plan({}, rules=[rule], usual=usual)),
            saturation("91", at),
            saturation("92", at + MINUTE),
        )
        for at in (NOW, NOW + 12 * HOUR)
    )

    assert list(by_day.alerts) == ["baseline.own"]
    assert by_night.alerts == {}


@pytest.mark.parametrize("state", ["draft", "none"])
def test_a19_without_a_plan_in_force_nothing_is_judged(state: str) -> None:
    draft = msgspec.structs.replace(plan(COPD), approval=None)
    patient = case(draft if state == "draft" else None)

    take(patient, saturation("70"))
    for minutes in (1, 2, 3):
        engine.take_attempt(patient, attempt(NOW + minutes * MINUTE), now=NOW + 5 * MINUTE)

    assert patient.changes == []


def test_a04_what_waits_for_a_second_value_cannot_be_ended_meanwhile() -> None:
    patient = take(copd(), saturation("89"))
    take(patient, saturation("86", NOW + 5 * MINUTE))
    alert = patient.alerts[RULE]
    assert (alert.priority, alert.confirm_by) == (Level.YELLOW, NOW + 20 * MINUTE)

    with pytest.raises(RefusedError, match="waits for a second one"):
        acting.act(
            patient,
            alert.id,
            Resolve(outcome="not_reached", note="x"),
            by="SE1",
            now=NOW + 6 * MINUTE,
        )
    engine.advance(patient, NOW + 60 * MINUTE)

    assert patient.alerts[RULE].priority is Level.RED


def test_a01_a_red_that_comes_late_beside_one_that_was_dealt_with_is_news() -> None:
    patient = take(copd(), saturation("79"))
    first = patient.alerts[RULE]
    acting.act(
        patient, first.id, Resolve(outcome="measuring_error", note="x"), by="SE1", now=NOW + MINUTE
    )

    late = saturation("82", NOW - 4 * MINUTE)
    engine.take_reading(patient, late, now=NOW + 5 * MINUTE)

    assert patient.alerts[RULE].priority is Level.RED
    assert late.observation_id in {one.observation_id for one in patient.alerts[RULE].readings}


def test_a04_a_corrected_time_is_no_second_value() -> None:
    one = saturation("86")
    patient = take(copd(), one)
    moved = replace(one, effective_at=NOW - 2 * MINUTE)

    engine.take_reading(patient, moved, now=NOW + MINUTE)

    assert patient.alerts[RULE].state is State.AWAITING


def test_a03_three_attempts_that_are_left_of_four_still_wait() -> None:
    patient = copd()
    tries = [attempt(NOW + minutes * MINUTE, "59408-5") for minutes in range(4)]
    for one in tries:
        engine.take_attempt(patient, one, now=one.effective_at)
    gone = {tries[0].observation_id}
    engine.take_back(patient, gone, by="SE1", why="fel person", now=NOW + 5 * MINUTE)

    engine.advance(patient, NOW + 60 * MINUTE)

    alert = patient.alerts["failed_attempts"]
    assert (alert.priority, alert.state, len(alert.standing)) == (Level.YELLOW, State.NEW, 3)
