"""Who is told of what becomes of an alert; no message holds a value."""

from __future__ import annotations

from datetime import datetime

from ingest_service.alerts import backup, response
from ingest_service.alerts.alert import Alert
from ingest_service.alerts.backup import Agreement
from ingest_service.alerts.case import Case
from ingest_service.messages import kinds
from ingest_service.messages.kinds import AlertSubject, Subject
from ingest_service.messages.message import Cancellation, Cause, Kind, Recipient
from ingest_service.plans.hours import is_open, opens_next
from ingest_service.plans.limits import Level

_TO_STAFF = frozenset(
    {
        Kind.STAFF_ALERT,
        Kind.STAFF_UNASSIGNED,
        Kind.STAFF_ESCALATION,
        Kind.BACKUP_HANDOVER,
    }
)


def waits(case: Case, alert: Alert, at: datetime, *, is_back: bool = False) -> None:
    """Tell that a red waits for somebody: in hours the nurse, else those who can act (A12).

    Out of hours these are the patient and, if the plan says so, the kin, and the backup unit where
    one answers then. ``is_back``: somebody had it, and has it no more (A6).
    """
    if alert.priority is not Level.RED or case.is_deceased:
        return
    if is_open(case.hours, at):
        tell = kinds.staff_unassigned if is_back else kinds.staff_alert
        case.messages.append(tell(_subject(case, alert, at), at, alert.due_at))
        return
    at_home(case, alert, at)
    if agreement := response.out_of_hours(case, at):
        hand_over(case, alert, agreement, at)


def at_home(case: Case, alert: Alert, at: datetime) -> None:
    """Tell patient and kin that nobody is there, what to do and whom to ring (A12).

    A patient whose plan says nothing about it is told: nobody else would do anything. After the
    unit has opened it is not to be said any more.
    """
    if case.is_deceased:
        return
    plan = case.plan
    on_red = plan.on_red if plan else None
    subject = Subject(patient_id=case.patient_id, care_unit_id=case.care_unit_id)
    until = opens_next(case.hours, at) or at + response.IF_NEVER_OPEN
    language = plan.language if plan else None
    if on_red is None or on_red.tell_patient:
        case.messages.append(kinds.red_out_of_hours(subject, alert.id, at, until, language))
    if on_red is not None and on_red.tell_kin:
        kin_language = (plan.kin_language if plan else None) or language
        case.messages.append(
            kinds.red_out_of_hours_kin(subject, alert.id, at, until, kin_language)
        )


def escalation(case: Case, alert: Alert, at: datetime) -> tuple[Recipient, ...]:
    """Tell the next in line that nobody took an alert, and return who is told.

    First the unit's lead; a red after that the backup unit too, and at once where the unit is
    closed and the backup answers then.
    """
    case.messages.append(
        kinds.staff_escalation(
            _subject(case, alert, at), at, alert.due_at, recipient=Recipient.UNIT_LEAD
        )
    )
    if alert.priority is not Level.RED:
        return (Recipient.UNIT_LEAD,)
    is_again = alert.escalations > 1
    agreement = (response.after_escalation if is_again else response.out_of_hours)(case, at)
    if agreement is None:
        return (Recipient.UNIT_LEAD,)
    hand_over(case, alert, agreement, at)
    return (Recipient.UNIT_LEAD, Recipient.BACKUP_UNIT)


def hand_over(case: Case, alert: Alert, agreement: Agreement, at: datetime) -> None:
    """Open the alert to the backup unit for a time, and tell it (A11)."""
    opened = backup.handover(agreement, alert.id, at)
    if opened in case.handovers:
        return
    case.handovers.append(opened)
    case.messages.append(kinds.backup_handover(_subject(case, alert, at), at, opened.until))


def not_to_staff(case: Case, alert: Alert) -> None:
    """Let what staff were to be told of this alert go unsaid: somebody took it."""
    case.unsay(
        Cancellation(
            patient_id=case.patient_id, cause=Cause.TAKEN, alert_id=alert.id, kinds=_TO_STAFF
        )
    )


def not_at_all(case: Case, alert: Alert) -> None:
    """Let everything about this alert go unsaid: it is resolved."""
    case.unsay(Cancellation(patient_id=case.patient_id, cause=Cause.RESOLVED, alert_id=alert.id))


def not_any_more(case: Case) -> None:
    """Let everything about this patient go unsaid: they have died."""
    case.unsay(Cancellation(patient_id=case.patient_id, cause=Cause.DECEASED))


def _subject(case: Case, alert: Alert, at: datetime) -> AlertSubject:
    return AlertSubject(
        alert_id=alert.id,
        patient_id=case.patient_id,
        care_unit_id=case.care_unit_id,
        priority=alert.priority.value,
        is_open=is_open(case.hours, at),
    )
