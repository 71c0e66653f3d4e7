from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from ingest_service.alerts import latch, presence
from ingest_service.alerts.alert import Alert, State
from ingest_service.alerts.case import Case, Chain
from ingest_service.alerts.history import History, Reading
from ingest_service.alerts.rules import missed, silence, unmonitored
from ingest_service.messages.message import Kind, Recipient
from ingest_service.plans.hours import ResponseTimes, round_the_clock
from ingest_service.plans.limits import Family, Level, Limits, Measure
from ingest_service.plans.plan import Activity, Missed, Pause, Plan, Silence, Status
from ingest_service.plans.windows import Window

# Europe/Stockholm is UTC+1 until the last Sunday of March, then UTC+2 (tz database): the window
# from 6 to 10 ends at 9 o'clock UTC in winter and at 8 in summer.
MORNING = Window(name="morning", start="06:00", end="10:00")
EVENING = Window(name="evening", start="18:00", end="22:00")
HOURS = round_the_clock(
    "Europe/Stockholm",
    respond_within_min=ResponseTimes(red=30, yellow=240, blue=1440),
    finish_within_min=60,
)
BROKEN = Chain(is_whole=False, broken_since=datetime(2026, 3, 2, 5, tzinfo=UTC), cause="x")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def a_plan(**changes: object) -> Plan:
    plan = Plan(
        id=UUID(int=1),
        version=1,
        patient_id=UUID(int=2),
        care_unit_id=UUID(int=3),
        programme="copd",
        status=Status.ACTIVE,
        since=at(1, 0),
        activities=(Activity(family=Family.SPO2, windows=(MORNING, EVENING)),),
        limits={Measure.SPO2: Limits(yellow_low=Decimal(90), red_low=Decimal(88))},
        rules=(Missed(count=2, of=3), Silence(yellow_after_h=24, red_after_h=48)),
    )
    return msgspec.structs.replace(plan, **changes)


def a_case(plan: Plan | None = None, *measured: tuple[datetime, int]) -> Case:
    history = History()
    for number, (time, value) in enumerate(measured, 100):
        history.add(
            Reading(
                observation_id=UUID(int=number),
                code="59408-5",
                family=Family.SPO2,
                values={Measure.SPO2: Decimal(value)},
                unit="%",
                effective_at=time,
                received_at=time,
            )
        )
    return Case(
        patient_id=UUID(int=2),
        care_unit_id=UUID(int=3),
        plan=plan or a_plan(),
        hours=HOURS,
        history=history,
        judged_through=at(1, 0),
    )


def an_alert(rule: str, level: Level = Level.YELLOW) -> Alert:
    return Alert(
        id=UUID(int=9),
        rule=rule,
        rule_version=1,
        priority=level,
        state=State.NEW,
        raised_at=at(2, 9),
    )


def test_a_window_is_judged_a_quarter_of_an_hour_after_its_end() -> None:
    case = a_case()

    assert missed.next_at(case, at(2, 0)) == at(2, 9, 15)
    assert missed.next_at(case, at(2, 9, 15)) == at(2, 21, 15)


def test_a_window_follows_the_wall_clock_over_the_change_to_summer_time() -> None:
    case = a_case()

    assert missed.next_at(case, at(28, 0)) == at(28, 9, 15)
    assert missed.next_at(case, at(29, 0)) == at(29, 8, 15)


def test_one_missed_window_reminds_and_is_no_alert() -> None:
    case = a_case(None, (at(1, 6), 93), (at(1, 19), 93))

    assert list(missed.judge(case, at=at(2, 9, 15))) == []

    [message] = case.messages
    assert (message.kind, message.recipient) == (Kind.MEASURE_REMINDER, Recipient.PATIENT)
    assert message.deadline == at(2, 21, 15)


def test_two_of_three_missed_windows_inform() -> None:
    case = a_case(None, (at(1, 19), 93))

    [found] = missed.judge(case, at=at(2, 21, 15))

    assert (found.level, found.facts.count, found.facts.of) == (Level.BLUE, 2, 3)
    assert found.facts.since == at(2, 5)


@pytest.mark.parametrize("time", [at(2, 5), at(2, 9)])
def test_a_reading_anywhere_in_its_window_keeps_it(time: datetime) -> None:
    case = a_case(None, (at(1, 6), 93), (at(1, 19), 93), (time, 93))

    assert list(missed.judge(case, at=at(2, 9, 15))) == []
    assert case.messages == []


def test_a20_nobody_is_reminded_while_the_chain_is_broken() -> None:
    case = a_case()
    case.chains[Family.SPO2] = BROKEN

    assert list(missed.judge(case, at=at(2, 21, 15))) == []
    assert case.messages == []


def test_a20_an_outage_raises_nothing_for_a_patient() -> None:
    case = a_case()
    case.chains[Family.SPO2] = replace(BROKEN, is_outage=True)

    assert list(silence.judge(case, at=at(6, 0))) == []
    assert list(unmonitored.judge(case, at=at(6, 0))) == []
    assert case.messages == []


def test_a_pause_expects_nothing_and_silence_begins_anew_after_it() -> None:
    pause = Pause(since=at(2, 0), until=at(5, 12), reason="travels", by="SE2321000016-A1")
    case = a_case(a_plan(pauses=(pause,)), (at(1, 19), 93))

    assert list(missed.judge(case, at=at(4, 9, 15))) == []
    assert list(silence.judge(case, at=at(5, 9, 15))) == []
    # 24 h after the pause's end, and a window (18 to 22) was missed by then.
    assert silence.next_at(case, at(5, 12)) == at(6, 12)


def test_a09_silence_grows_from_yellow_to_red() -> None:
    case = a_case(None, (at(1, 19), 93))

    assert silence.next_at(case, at(1, 20)) == at(2, 19)
    [yellow] = silence.judge(case, at=at(2, 19))
    assert (yellow.level, yellow.facts.since) == (Level.YELLOW, at(1, 19))

    case.alerts["silence"] = an_alert("silence")
    assert list(silence.judge(case, at=at(2, 21))) == []
    [red] = silence.judge(case, at=at(3, 19))
    assert red.level is Level.RED


def test_silence_that_a_person_has_dealt_with_counts_anew_from_then() -> None:
    # Else it comes back in the minute after a nurse has rung the patient, each time.
    case = a_case(None, (at(1, 19), 93))
    case.ended["silence"] = replace(
        an_alert("silence"),
        state=State.RESOLVED,
        outcome="contacted_no_change",
        resolved_at=at(3, 9),
    )

    assert list(silence.judge(case, at=at(3, 19))) == []
    assert silence.next_at(case, at(3, 10)) == at(4, 9)
    [yellow] = silence.judge(case, at=at(4, 9))
    assert (yellow.level, yellow.facts.since) == (Level.YELLOW, at(1, 19))
    [red] = silence.judge(case, at=at(5, 9))
    assert red.level is Level.RED


@pytest.mark.parametrize(
    ("outcome", "due"),
    [("advice_given", at(3, 9)), ("expected_for_patient", at(2, 19))],  # who was spoken with
)
def test_silence_counts_from_a_contact_about_a_value_too(outcome: str, due: datetime) -> None:
    case = a_case(None, (at(1, 19), 93))
    case.ended["limit.spo2"] = replace(
        an_alert("limit.spo2", Level.RED),
        state=State.RESOLVED,
        outcome=outcome,
        resolved_at=at(2, 9),
    )

    assert silence.next_at(case, at(2, 10)) == due


def test_a09_what_is_closed_with_others_at_one_click_postpones_no_silence() -> None:
    case = a_case(None, (at(1, 19), 93))
    case.ended["missed"] = replace(
        an_alert("missed", Level.BLUE),
        state=State.RESOLVED,
        outcome="contacted_no_change",
        resolved_at=at(2, 12),
    )

    assert silence.next_at(case, at(2, 13)) == at(2, 19)


def test_a09_silence_of_a_patient_who_was_not_reached_goes_on() -> None:
    case = a_case(None, (at(1, 19), 93))
    case.ended["silence"] = replace(
        an_alert("silence"), state=State.RESOLVED, outcome="not_reached", resolved_at=at(3, 9)
    )

    [red] = silence.judge(case, at=at(3, 19))

    assert red.level is Level.RED


def test_a09_silence_after_falling_values_is_red_at_once() -> None:
    case = a_case(None, (at(1, 6), 93), (at(1, 12), 92), (at(1, 19), 91))

    [found] = silence.judge(case, at=at(2, 19))

    assert (found.level, found.facts.cause) == (Level.RED, "trend")


def test_a09_silence_beside_an_open_alert_is_red_at_once() -> None:
    case = a_case(None, (at(1, 19), 93))
    case.alerts["limit.spo2"] = an_alert("limit.spo2")

    [found] = silence.judge(case, at=at(2, 19))

    assert found.level is Level.RED


def test_silence_waits_until_a_whole_window_was_missed() -> None:
    # Tuesdays alone: the reading of Tuesday the 3rd is followed by the window of the 10th.
    tuesdays = Window(name="tuesday", start="06:00", end="10:00", weekdays=(2,))
    plan = a_plan(activities=(Activity(family=Family.SPO2, windows=(tuesdays,)),))
    case = a_case(plan, (at(3, 6), 93))

    assert silence.next_at(case, at(3, 6)) == at(10, 9, 15)
    assert list(silence.judge(case, at=at(9, 0))) == []


def test_a09_a_dead_gateway_is_a_patient_who_is_not_monitored() -> None:
    case = a_case(None, (at(1, 19), 93))
    case.chains[Family.SPO2] = BROKEN  # at 5 on the 2nd; that window had begun

    assert unmonitored.next_at(case, at(2, 5)) == at(2, 21, 15)
    [found] = unmonitored.judge(case, at=at(2, 21, 15))

    assert (found.level, found.facts.since) == (Level.YELLOW, BROKEN.broken_since)
    [message] = case.messages
    assert message.kind is Kind.CHAIN_BROKEN
    assert list(silence.judge(case, at=at(3, 19))) == []  # nobody knows whether she measured


def test_a09_being_unseen_grows_red_with_a_clock_of_its_own() -> None:
    case = a_case(None, (at(1, 19), 93))
    case.chains[Family.SPO2] = BROKEN
    case.alerts["unmonitored"] = an_alert("unmonitored")

    [found] = unmonitored.judge(case, at=at(4, 5))

    assert found.level is Level.RED
    assert case.messages == []  # the patient was told the first time


def test_a_patient_without_windows_is_never_missed() -> None:
    case = a_case(a_plan(activities=(Activity(family=Family.SPO2),)))

    assert missed.next_at(case, at(2, 0)) is None
    assert silence.next_at(case, at(2, 0)) is None
    assert unmonitored.next_at(case, at(2, 0) + timedelta(days=1)) is None


def test_what_is_noticed_late_is_overdue_and_not_forgotten() -> None:
    case = a_case(None, (at(1, 19), 93))
    case.chains[Family.SPO2] = BROKEN

    assert unmonitored.next_at(case, at(3, 0)) == at(3, 0)
    assert [found.level for found in unmonitored.judge(case, at=at(3, 0))] == [Level.YELLOW]
    case.alerts["unmonitored"] = an_alert("unmonitored")
    assert unmonitored.next_at(case, at(3, 0)) == at(4, 5)


def test_silence_that_cannot_be_told_from_a_broken_chain_is_not_due_for_ever() -> None:
    case = a_case(None, (at(1, 19), 93))
    case.chains[Family.SPO2] = BROKEN

    assert silence.next_at(case, at(3, 0)) == at(3, 19)
    assert silence.next_at(case, at(5, 0)) is None


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ((93, 92, 91), Level.RED),  # fallen by a step of 2, and a step above the limit of 90
        ((98, 97, 96), Level.YELLOW),  # nowhere near
        ((92, 93, 92), Level.YELLOW),  # up and down
        ((95, 94, 89), Level.RED),  # the last one beyond the limit
    ],
)
def test_a09_what_is_a_trend(values: tuple[int, ...], level: Level) -> None:
    times = (at(1, 6), at(1, 12), at(1, 19))
    case = a_case(None, *zip(times, values, strict=True))

    [found] = silence.judge(case, at=at(2, 19))

    assert found.level is level


def test_a09_a_worrying_patient_is_red_before_another_is_yellow() -> None:
    patient = Silence(yellow_after_h=48, red_after_h=96, trend_after_h=24)
    calm = a_case(a_plan(rules=(patient,)), (at(1, 19), 93))
    worrying = a_case(a_plan(rules=(patient,)), (at(1, 19), 89))

    assert silence.next_at(calm, at(1, 20)) == at(3, 19)
    assert silence.next_at(worrying, at(1, 20)) == at(2, 19)
    assert [found.level for found in silence.judge(worrying, at=at(2, 19))] == [Level.RED]


def a_scale(*weighed: datetime) -> Case:
    """Return a patient who weighs in the morning and measures saturation as well."""
    of_plan = a_plan()
    scale = Activity(family=Family.BODY_WEIGHT, windows=(MORNING,))
    case = a_case(msgspec.structs.replace(of_plan, activities=(*of_plan.activities, scale)))
    for number, time in enumerate(weighed, 500):
        case.history.add(
            Reading(
                observation_id=UUID(int=number),
                code="29463-7",
                family=Family.BODY_WEIGHT,
                values={Measure.BODY_WEIGHT: Decimal(80)},
                unit="kg",
                effective_at=time,
                received_at=time,
            )
        )
    return case


def test_who_measures_something_is_not_silent_and_what_is_missing_is_said_later() -> None:
    case = a_scale(at(2, 6), at(3, 6), at(4, 6))
    first = a_case(None, (at(1, 19), 93)).history.readings[Family.SPO2][0]
    case.history.add(first)

    # 48 h after the last saturation: twice what silence would take.
    [alone] = silence.judge(case, at=at(3, 19))
    assert (alone.rule, alone.level) == ("silence.spo2", Level.YELLOW)
    assert (alone.facts.since, alone.facts.unit) == (at(1, 19), Family.SPO2)

    [whole] = silence.judge(case, at=at(5, 9, 15))
    assert (whole.rule, whole.facts.since, whole.facts.unit) == ("silence", at(4, 6), None)


def test_a09_what_was_worrying_is_red_though_other_things_are_measured() -> None:
    case = a_scale(at(2, 6), at(3, 6))
    low = a_case(None, (at(1, 19), 87)).history.readings[Family.SPO2][0]
    case.history.add(low)

    [red] = silence.judge(case, at=at(2, 21))

    assert (red.rule, red.level, red.facts.cause) == ("silence.spo2", Level.RED, "trend")


def test_a_worrying_reading_makes_nobody_silent_before_it() -> None:
    # Time is judged later than the reading came: the reading itself is what worries.
    case = a_case(None, (at(1, 19), 93), (at(3, 6), 87))

    assert silence.next_at(case, at(2, 6)) == at(4, 6)
    assert list(silence.judge(case, at=at(2, 19))) == []


def test_what_a_gateway_kept_comes_before_anybody_is_called_silent() -> None:
    case = a_case(None, (at(1, 19), 93))
    case.chains[Family.SPO2] = Chain(changed_at=at(4, 12), broken_since=at(2, 20))

    assert list(silence.judge(case, at=at(4, 12, 29))) == []
    [found] = silence.judge(case, at=at(4, 12, 30))
    assert found.level is Level.RED


def test_a09_a_gateway_that_comes_and_goes_puts_no_silence_off() -> None:
    case = a_case(None, (at(1, 19), 93))
    case.chains[Family.SPO2] = Chain(changed_at=at(3, 18, 58), broken_since=at(3, 18, 55))

    [found] = silence.judge(case, at=at(3, 19))
    assert found.level is Level.RED


def test_being_unseen_that_a_person_has_dealt_with_counts_anew_from_then() -> None:
    case = a_case(None, (at(1, 19), 93))
    case.chains[Family.SPO2] = BROKEN
    case.ended["unmonitored"] = replace(
        an_alert("unmonitored"),
        state=State.RESOLVED,
        outcome="contacted_no_change",
        resolved_at=at(3, 9),
    )

    assert list(unmonitored.judge(case, at=at(3, 22))) == []
    assert unmonitored.next_at(case, at(3, 22)) == at(4, 9)
    [red] = unmonitored.judge(case, at=at(5, 9))
    assert red.level is Level.RED


def test_being_unseen_that_was_called_technical_comes_back_with_the_next_missed_window() -> None:
    case = a_case(None, (at(1, 19), 93))
    case.chains[Family.SPO2] = BROKEN
    case.ended["unmonitored"] = replace(
        an_alert("unmonitored"),
        state=State.RESOLVED,
        outcome="technical_fault",
        resolved_at=at(3, 9, 30),
    )

    assert list(unmonitored.judge(case, at=at(3, 9, 31))) == []
    assert unmonitored.next_at(case, at(3, 9, 31)) == at(3, 21, 15)


def test_a_reading_of_another_family_does_not_end_being_unseen() -> None:
    case = a_case(None, (at(1, 19), 93))
    case.chains[Family.SPO2] = BROKEN
    for found in unmonitored.judge(case, at=at(2, 21, 15)):
        latch.join(case, found, now=at(2, 21, 15))
    case.messages.clear()
    pulse = Reading(
        observation_id=UUID(int=7),
        code="8867-4",
        family=Family.PULSE,
        values={Measure.PULSE: Decimal(70)},
        unit="/min",
        effective_at=at(3, 6),
        received_at=at(3, 6),
    )

    presence.settle(case, pulse, now=at(3, 6))
    assert "unmonitored" in case.alerts

    seen = replace(pulse, family=Family.SPO2, code="59408-5", values={Measure.SPO2: Decimal(93)})
    presence.settle(case, seen, now=at(3, 6))
    assert "unmonitored" not in case.alerts
    assert [message.kind for message in case.messages] == [Kind.CHAIN_WHOLE]
