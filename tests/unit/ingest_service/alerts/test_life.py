"""What time and rules do to an alert: expected times are counted by hand on the unit's hours.

The unit is open on weekdays from 8 to 16; a red is to be taken within 30 opening minutes, a
yellow within four hours of opening, and a red that was taken is to be finished within an hour.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest_service.alerts import acting, life
from ingest_service.alerts.actions import Pause, Release, Resume, Take
from ingest_service.alerts.alert import Event, State
from ingest_service.alerts.backup import When
from ingest_service.messages.message import AT_HOME, Kind, Recipient
from ingest_service.plans.limits import Level
from tests.support.alert_life import (
    ANNA,
    BACKUP,
    BERIT,
    CLOSING,
    LATE_FRIDAY,
    MONDAY,
    MORNING,
    NIGHT,
    RULE,
    backup,
    events,
    local,
    minutes,
    pass_time,
    patient,
    plan,
    raised,
    said,
    told,
)

TO_NURSE = (Kind.STAFF_ALERT, Recipient.NURSE_ON_DUTY)
BACK_TO_NURSE = (Kind.STAFF_UNASSIGNED, Recipient.NURSE_ON_DUTY)
TO_LEAD = (Kind.STAFF_ESCALATION, Recipient.UNIT_LEAD)
TO_BACKUP = (Kind.BACKUP_HANDOVER, Recipient.BACKUP_UNIT)
TO_PATIENT = (Kind.RED_OUT_OF_HOURS, Recipient.PATIENT)
TO_KIN = (Kind.RED_OUT_OF_HOURS_KIN, Recipient.NEXT_OF_KIN)


def test_a_red_in_hours_tells_the_nurse_on_duty_and_nobody_at_home() -> None:
    case = patient(backup(When.CLOSED))

    alert = raised(case, MORNING)

    assert told(case) == [TO_NURSE]
    assert alert.due_at == local("11-25T09:30")
    assert not case.handovers


def test_a_yellow_wakes_nobody_and_waits_its_time() -> None:
    case = patient(backup(When.CLOSED))

    alert = raised(case, NIGHT, priority=Level.YELLOW)

    assert told(case) == []
    assert alert.due_at == local("11-30T12:00")


def test_a_red_that_nobody_takes_is_escalated_for_ever() -> None:
    case = patient(backup(When.ESCALATED))
    raised(case, MORNING)
    told(case)

    pass_time(case, local("11-25T11:00"))

    # At 9.30, 10.00, 10.30 and 11.00: the lead first, the backup unit from the second time on.
    assert told(case) == [TO_LEAD, *(TO_LEAD, TO_BACKUP) * 3]
    assert case.alerts[RULE].escalations == 4
    assert case.alerts[RULE].due_at == local("11-25T11:30")


def test_a_red_goes_on_being_escalated_over_nights_and_holidays() -> None:
    case = patient()
    raised(case, MORNING)

    # Seven hours of Wednesday after 9 o'clock make 14, eight of Thursday and of Friday 16 each.
    pass_time(case, NIGHT)

    assert case.alerts[RULE].escalations == 14 + 16 + 16
    assert case.alerts[RULE].due_at == local("11-30T08:30")


def test_a_yellow_is_escalated_three_times_in_growing_steps_to_the_lead() -> None:
    case = patient(backup(When.ESCALATED))
    raised(case, local("11-23T08:00"), priority=Level.YELLOW)

    pass_time(case, local("12-31T16:00"))

    at = [change.at for change in case.changes if change.event is Event.ESCALATED]
    # After 4, then 8, then 16 opening hours, of which a day has 8.
    assert at == [local("11-23T12:00"), local("11-24T12:00"), local("11-26T12:00")]
    assert told(case) == [TO_LEAD] * 3
    assert case.alerts[RULE].state is State.NEW


def test_a6_a_red_taken_before_closing_comes_back_although_the_unit_is_closed() -> None:
    case = patient(backup(When.CLOSED))
    alert = raised(case, LATE_FRIDAY)
    acting.act(case, alert.id, Take(), by=ANNA, now=local("11-27T15:55"))
    told(case)

    pass_time(case, local("11-27T16:55"))

    back = case.alerts[RULE]
    assert (back.state, back.owner) == (State.NEW, None)
    unassigned, escalated = case.changes[-2:]
    assert (unassigned.event, unassigned.at) == (Event.UNASSIGNED, local("11-27T16:55"))
    assert unassigned.detail == {"owner": ANNA, "reason": "not_finished"}
    assert escalated.event is Event.ESCALATED
    assert set(told(case)) == {TO_LEAD, TO_BACKUP, TO_PATIENT}
    assert len(case.handovers) == 1


def test_a6_a_taken_yellow_is_not_taken_back_by_time() -> None:
    case = patient()
    alert = raised(case, MORNING, priority=Level.YELLOW)

    taken = acting.act(case, alert.id, Take(), by=ANNA, now=MORNING)

    assert taken.due_at is None


@pytest.mark.parametrize("reason", [life.SIGNED_OUT, life.SHIFT_ENDED, life.ABSENT])
def test_a6_who_leaves_owns_nothing_any_more(reason: str) -> None:
    case = patient()
    for rule in ("limit.spo2", "limit.pulse"):
        alert = raised(case, rule=rule)
        acting.act(case, alert.id, Take(), by=ANNA, now=MORNING)
    other = raised(case, rule="missed", priority=Level.BLUE)
    acting.act(case, other.id, Take(), by=BERIT, now=MORNING)
    told(case)

    left = life.unassign(case, ANNA, reason, now=local("11-25T12:00"))

    assert [alert.state for alert in left] == [State.NEW, State.NEW]
    assert [alert.due_at for alert in left] == [local("11-25T12:30")] * 2
    assert {alert.owner for alert in case.alerts.values()} == {None, BERIT}
    assert case.changes[-1].detail == {"owner": ANNA, "reason": reason}
    assert told(case) == [BACK_TO_NURSE] * 2


def test_a6_what_is_nobodys_again_is_escalated_on_from_where_it_was() -> None:
    case = patient(backup(When.ESCALATED))
    alert = raised(case, MORNING)
    pass_time(case, local("11-25T09:30"))
    acting.act(case, alert.id, Take(), by=ANNA, now=local("11-25T09:40"))
    life.unassign(case, ANNA, life.SIGNED_OUT, now=local("11-25T09:50"))
    told(case)

    pass_time(case, local("11-25T10:20"))

    assert case.alerts[RULE].escalations == 2
    assert told(case) == [TO_LEAD, TO_BACKUP]


def test_a7_a_worse_value_takes_an_alert_from_its_owner_and_tells_again() -> None:
    case = patient()
    alert = raised(case, MORNING)
    acting.act(case, alert.id, Take(), by=ANNA, now=MORNING)
    told(case)

    again = raised(case, local("11-25T09:20"))

    assert (again.id, again.state, again.owner) == (alert.id, State.NEW, None)
    assert again.due_at == local("11-25T09:50")
    assert told(case) == [TO_NURSE]


def test_a7_a_worse_value_ends_a_pause() -> None:
    case = patient()
    alert = raised(case, MORNING)
    pause = Pause(until=local("11-25T09:30"), reason="Ringer om en halvtimme")
    acting.act(case, alert.id, pause, by=ANNA, now=MORNING)

    again = raised(case, local("11-25T09:10"))

    assert again.state is State.NEW
    assert again.paused_until is None
    assert again.pause_reason is None


def test_a7_growing_worse_step_by_step_does_not_put_the_escalation_off() -> None:
    case = patient()
    raised(case, MORNING)
    for minute in range(10, 30, 10):
        raised(case, MORNING + minutes(minute))
    told(case)

    pass_time(case, local("11-25T09:30"))

    assert told(case) == [TO_LEAD]
    assert case.alerts[RULE].due_at == local("11-25T10:00")


def test_a7_a_yellow_that_turns_red_is_due_as_a_red_and_begins_anew() -> None:
    case = patient()
    raised(case, local("11-23T08:00"), priority=Level.YELLOW)
    pass_time(case, local("11-24T12:00"))
    told(case)

    red = raised(case, local("11-24T13:00"))

    assert red.priority is Level.RED
    assert red.escalations == 0
    assert red.due_at == local("11-24T13:30")
    assert told(case) == [TO_NURSE]


def test_a11_a_backup_unit_may_open_what_it_is_handed_for_a_time() -> None:
    case = patient(backup(When.ESCALATED, right_h=6))
    alert = raised(case, MORNING)

    pass_time(case, local("11-25T10:00"))

    [opened] = case.handovers
    assert opened.alert_id == alert.id
    assert opened.backup_unit_id == BACKUP
    assert (opened.since, opened.until) == (local("11-25T10:00"), local("11-25T16:00"))
    assert opened.when is When.ESCALATED
    handed = [one for one in said(case) if one.kind is Kind.BACKUP_HANDOVER]
    assert [one.deadline for one in handed] == [opened.until]


def test_a11_an_agreement_that_has_ended_hands_nothing_over() -> None:
    agreement = backup(When.CLOSED)
    ended = type(agreement)(
        id=agreement.id,
        backup_unit_id=BACKUP,
        when=When.CLOSED,
        since=agreement.since,
        until=NIGHT,
    )
    case = patient(ended)

    raised(case, NIGHT)

    assert TO_BACKUP not in told(case)
    assert not case.handovers


def test_a12_a_red_out_of_hours_tells_those_who_can_act() -> None:
    case = patient(backup(When.CLOSED), plan=plan(tell_kin=True))

    alert = raised(case, NIGHT)

    assert set(told(case)) == {TO_PATIENT, TO_KIN, TO_BACKUP}
    assert [one.when for one in case.handovers] == [When.CLOSED]
    # The backup unit answers by the clock: at 2.30 somebody must have taken it.
    assert alert.due_at == NIGHT + minutes(30)


def test_a12_without_a_backup_unit_a_red_of_the_night_is_due_after_opening() -> None:
    case = patient()

    alert = raised(case, NIGHT)

    assert told(case) == [TO_PATIENT]
    assert alert.due_at == MONDAY + minutes(30)


def test_a12_what_the_home_is_told_is_of_no_use_after_opening_and_in_its_language() -> None:
    case = patient(plan=plan(tell_kin=True))

    raised(case, NIGHT)

    messages = said(case)
    assert {one.deadline for one in messages} == {MONDAY}
    assert {one.recipient: one.language for one in messages} == {
        Recipient.PATIENT: "sv",
        Recipient.NEXT_OF_KIN: "fi",
    }


def test_a12_a_plan_may_leave_the_patient_out() -> None:
    case = patient(plan=plan(tell_patient=False))

    raised(case, NIGHT)

    assert told(case) == []


def test_a12_a_patient_without_a_plan_is_told() -> None:
    case = patient(plan=None)

    raised(case, NIGHT)

    assert told(case) == [TO_PATIENT]


def test_a12_a_red_that_nobody_took_by_closing_time_is_a_red_out_of_hours() -> None:
    case = patient(backup(When.CLOSED))
    alert = raised(case, LATE_FRIDAY)
    assert alert.due_at == CLOSING
    told(case)

    pass_time(case, CLOSING)

    assert set(told(case)) == {TO_LEAD, TO_BACKUP, TO_PATIENT}
    assert case.alerts[RULE].due_at == CLOSING + minutes(30)


def test_a12_the_home_is_told_once_a_night_and_not_at_each_escalation() -> None:
    case = patient(backup(When.CLOSED))
    raised(case, LATE_FRIDAY)

    pass_time(case, NIGHT)

    assert told(case).count(TO_PATIENT) == 1


def test_a_pause_ends_by_itself_and_the_alert_waits_again() -> None:
    case = patient()
    alert = raised(case, MORNING)
    until = local("11-25T09:25")
    acting.act(case, alert.id, Pause(until=until, reason="Sover"), by=ANNA, now=MORNING)
    told(case)

    pass_time(case, until)

    back = case.alerts[RULE]
    assert (back.state, back.owner, back.due_at) == (State.NEW, None, until + minutes(30))
    assert events(case)[-1] is Event.PAUSE_ENDED
    assert told(case) == [TO_NURSE]


@pytest.mark.parametrize("action", [Release(), Resume()])
def test_what_is_given_back_out_of_hours_is_a_red_out_of_hours(action: Release | Resume) -> None:
    case = patient(backup(When.CLOSED))
    alert = raised(case, NIGHT)
    before = (
        Take()
        if isinstance(action, Release)
        else Pause(until=NIGHT + minutes(20), reason="Ringer igen")
    )
    acting.act(case, alert.id, before, by=ANNA, now=NIGHT)
    told(case)

    acting.act(case, alert.id, action, by=ANNA, now=NIGHT + minutes(10))

    assert set(told(case)) == {TO_PATIENT, TO_BACKUP}


def test_nothing_is_done_before_its_time() -> None:
    case = patient()
    alert = raised(case, MORNING)
    before = len(case.changes)

    life.pass_deadline(case, alert, local("11-25T09:30") - timedelta(microseconds=1))

    assert len(case.changes) == before


def test_nobody_at_home_of_a_patient_who_died_is_told() -> None:
    case = patient(backup(When.CLOSED), plan=plan(tell_kin=True))
    raised(case, NIGHT)
    acting.deceased(case, by=ANNA, now=NIGHT)
    told(case)

    raised(case, NIGHT + minutes(5))
    pass_time(case, MONDAY + minutes(60))

    assert not [one for one in said(case) if one.recipient in AT_HOME]
