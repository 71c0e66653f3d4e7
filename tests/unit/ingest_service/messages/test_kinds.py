"""Messages: one occasion, one key; and no way to tell people at home what is meant for staff."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest

from ingest_service.messages import kinds
from ingest_service.messages.kinds import AlertSubject, RecipientError, Subject
from ingest_service.messages.message import Kind, Message, Recipient

AT = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)
PATIENT = Subject(patient_id=uuid4(), care_unit_id=uuid4())
ALERT = AlertSubject(
    alert_id=uuid4(),
    patient_id=PATIENT.patient_id,
    care_unit_id=PATIENT.care_unit_id,
    priority="red",
)


def everything() -> list[Message]:
    alert_id, incident_id, later = ALERT.alert_id, uuid4(), AT + timedelta(hours=1)
    return [
        kinds.remeasure_request(PATIENT, alert_id, later),
        kinds.measure_reminder(PATIENT, AT, later),
        kinds.red_out_of_hours(PATIENT, alert_id, AT, later),
        kinds.red_out_of_hours_kin(PATIENT, alert_id, AT, later),
        kinds.chain_broken(PATIENT, AT),
        kinds.chain_whole(PATIENT, AT),
        kinds.staff_alert(ALERT, AT),
        kinds.staff_alert(ALERT, AT, recipient=Recipient.UNIT_LEAD),
        kinds.staff_unassigned(ALERT, AT),
        kinds.staff_escalation(ALERT, AT),
        kinds.backup_handover(ALERT, AT),
        kinds.incident(incident_id, Recipient.OPERATOR, None),
        kinds.incident(incident_id, Recipient.NURSE_ON_DUTY, PATIENT.care_unit_id),
        kinds.incident_over(incident_id, Recipient.OPERATOR, None),
        kinds.undelivered(PATIENT.care_unit_id, "nurse_on_duty", AT),
        kinds.trial("test:1", Recipient.UNIT_LEAD, PATIENT.care_unit_id, later),
    ]


def test_every_kind_is_made_and_no_two_occasions_share_a_key() -> None:
    made = everything()

    assert {each.kind for each in made} == set(Kind)
    assert len({each.key for each in made}) == len(made)


def test_the_same_occasion_in_another_zone_is_the_same_message() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))

    assert kinds.staff_alert(ALERT, AT).key == kinds.staff_alert(ALERT, elsewhere).key


def test_an_alert_that_is_raised_again_is_another_message() -> None:
    again = AT + timedelta(seconds=1)

    assert kinds.staff_alert(ALERT, AT).key != kinds.staff_alert(ALERT, again).key


def test_the_operator_hears_once_an_hour_that_nobody_is_reached() -> None:
    unit = PATIENT.care_unit_id
    minutes = [
        kinds.undelivered(unit, "nurse_on_duty", AT + timedelta(minutes=minute)).key
        for minute in (0, 1, 59, 60)
    ]

    assert len(set(minutes)) == 2


@pytest.mark.parametrize("recipient", [Recipient.PATIENT, Recipient.NEXT_OF_KIN])
def test_what_is_for_staff_goes_to_nobody_at_home(recipient: Recipient) -> None:
    with pytest.raises(RecipientError):
        kinds.staff_alert(ALERT, AT, recipient=recipient)
