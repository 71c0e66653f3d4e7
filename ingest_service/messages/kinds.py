"""Every message there is, made of the occasion; the same occasion gives the same key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from ingest_service.messages.message import STAFF, Kind, Message, Priority, Recipient


class RecipientError(ValueError):
    """A message for staff was to go to somebody who is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Which patient of which unit a message is about."""

    patient_id: UUID
    care_unit_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSubject:
    """Which alert a message for staff is about, and whether its unit is open."""

    alert_id: UUID
    patient_id: UUID
    care_unit_id: UUID
    priority: Priority
    is_open: bool | None = None


def remeasure_request(
    patient: Subject, alert_id: UUID, deadline: datetime, language: str | None = None
) -> Message:
    """Ask the patient to measure again before ``deadline``, the alert's time-out (A4)."""
    return Message(
        kind=Kind.REMEASURE_REQUEST,
        recipient=Recipient.PATIENT,
        key=_key(Kind.REMEASURE_REQUEST, alert_id, deadline),
        care_unit_id=patient.care_unit_id,
        patient_id=patient.patient_id,
        alert_id=alert_id,
        deadline=deadline,
        language=language,
    )


def measure_reminder(
    patient: Subject, window_start: datetime, deadline: datetime, language: str | None = None
) -> Message:
    """Remind the patient of a window that began at ``window_start`` and is still empty."""
    return Message(
        kind=Kind.MEASURE_REMINDER,
        recipient=Recipient.PATIENT,
        key=_key(Kind.MEASURE_REMINDER, patient.patient_id, window_start),
        care_unit_id=patient.care_unit_id,
        patient_id=patient.patient_id,
        deadline=deadline,
        language=language,
    )


def red_out_of_hours(
    patient: Subject,
    alert_id: UUID,
    raised_at: datetime,
    deadline: datetime,
    language: str | None = None,
) -> Message:
    """Tell the patient that nobody is there, what to do, and whom to ring (A12)."""
    return Message(
        kind=Kind.RED_OUT_OF_HOURS,
        recipient=Recipient.PATIENT,
        key=_key(Kind.RED_OUT_OF_HOURS, alert_id, raised_at),
        care_unit_id=patient.care_unit_id,
        patient_id=patient.patient_id,
        alert_id=alert_id,
        deadline=deadline,
        is_open=False,
        language=language,
    )


def red_out_of_hours_kin(
    patient: Subject,
    alert_id: UUID,
    raised_at: datetime,
    deadline: datetime,
    language: str | None = None,
) -> Message:
    """Ask the kin whom the patient named to look in on them (A12)."""
    return Message(
        kind=Kind.RED_OUT_OF_HOURS_KIN,
        recipient=Recipient.NEXT_OF_KIN,
        key=_key(Kind.RED_OUT_OF_HOURS_KIN, alert_id, raised_at),
        care_unit_id=patient.care_unit_id,
        patient_id=patient.patient_id,
        alert_id=alert_id,
        deadline=deadline,
        is_open=False,
        language=language,
    )


def chain_broken(
    patient: Subject,
    since: datetime,
    deadline: datetime | None = None,
    language: str | None = None,
) -> Message:
    """Tell the patient that readings do not reach us, once for one break (A20)."""
    return Message(
        kind=Kind.CHAIN_BROKEN,
        recipient=Recipient.PATIENT,
        key=_key(Kind.CHAIN_BROKEN, patient.patient_id, since),
        care_unit_id=patient.care_unit_id,
        patient_id=patient.patient_id,
        deadline=deadline,
        language=language,
    )


def chain_whole(
    patient: Subject,
    since: datetime,
    deadline: datetime | None = None,
    language: str | None = None,
) -> Message:
    """Tell the patient that readings reach us again, after the break that began at ``since``."""
    return Message(
        kind=Kind.CHAIN_WHOLE,
        recipient=Recipient.PATIENT,
        key=_key(Kind.CHAIN_WHOLE, patient.patient_id, since),
        care_unit_id=patient.care_unit_id,
        patient_id=patient.patient_id,
        deadline=deadline,
        language=language,
    )


def staff_alert(
    alert: AlertSubject,
    raised_at: datetime,
    deadline: datetime | None = None,
    recipient: Recipient = Recipient.NURSE_ON_DUTY,
) -> Message:
    """Tell staff of an alert that was raised, or raised again, at ``raised_at``."""
    return _about_alert(Kind.STAFF_ALERT, alert, recipient, raised_at, deadline)


def staff_unassigned(
    alert: AlertSubject,
    since: datetime,
    deadline: datetime | None = None,
    recipient: Recipient = Recipient.NURSE_ON_DUTY,
) -> Message:
    """Tell staff of an alert that was taken and has been nobody's since ``since`` (A6)."""
    return _about_alert(Kind.STAFF_UNASSIGNED, alert, recipient, since, deadline)


def staff_escalation(
    alert: AlertSubject,
    due_at: datetime,
    deadline: datetime | None = None,
    recipient: Recipient = Recipient.UNIT_LEAD,
) -> Message:
    """Tell the next in line of an alert whose time ran out at ``due_at``."""
    return _about_alert(Kind.STAFF_ESCALATION, alert, recipient, due_at, deadline)


def backup_handover(
    alert: AlertSubject, handed_at: datetime, deadline: datetime | None = None
) -> Message:
    """Tell the unit's backup of an alert that it was handed (A11).

    ``care_unit_id`` stays the patient's unit: its channels of the role ``backup_unit`` lead there.
    """
    return _about_alert(Kind.BACKUP_HANDOVER, alert, Recipient.BACKUP_UNIT, handed_at, deadline)


def incident(
    incident_id: UUID,
    recipient: Recipient,
    care_unit_id: UUID | None,
    deadline: datetime | None = None,
) -> Message:
    """Tell of one incident that stands for many silent gateways (A20); an operator has no unit."""
    return _platform(
        Kind.INCIDENT, recipient, care_unit_id, _key(incident_id, care_unit_id), deadline
    )


def incident_over(
    incident_id: UUID,
    recipient: Recipient,
    care_unit_id: UUID | None,
    deadline: datetime | None = None,
) -> Message:
    """Tell that an incident is over."""
    return _platform(
        Kind.INCIDENT_OVER, recipient, care_unit_id, _key(incident_id, care_unit_id), deadline
    )


def undelivered(care_unit_id: UUID | None, role: str, hour: datetime) -> Message:
    """Tell the operator that a unit's role could not be reached; once an hour at most."""
    hour = hour.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return _platform(
        Kind.UNDELIVERED, Recipient.OPERATOR, None, _key(care_unit_id, role, hour), None
    )


def trial(
    key: str, recipient: Recipient, care_unit_id: UUID | None, deadline: datetime
) -> Message:
    """Try a channel."""
    return _platform(Kind.TEST, recipient, care_unit_id, key, deadline)


def _about_alert(
    kind: Kind,
    alert: AlertSubject,
    recipient: Recipient,
    at: datetime,
    deadline: datetime | None,
) -> Message:
    return Message(
        kind=kind,
        recipient=_staff(recipient),
        key=_key(kind, recipient, alert.alert_id, at),
        care_unit_id=alert.care_unit_id,
        patient_id=alert.patient_id,
        alert_id=alert.alert_id,
        priority=alert.priority,
        deadline=deadline,
        is_open=alert.is_open,
    )


def _platform(
    kind: Kind,
    recipient: Recipient,
    care_unit_id: UUID | None,
    occasion: str,
    deadline: datetime | None,
) -> Message:
    return Message(
        kind=kind,
        recipient=_staff(recipient),
        key=_key(kind, recipient, occasion),
        care_unit_id=care_unit_id,
        deadline=deadline,
    )


def _staff(recipient: Recipient) -> Recipient:
    if recipient not in STAFF:
        raise RecipientError(f"{recipient} is not staff: this is not for people at home")
    return recipient


_NOBODY: Final = "-"


def _key(*parts: str | UUID | datetime | None) -> str:
    """Return one text for an occasion; a time is written in UTC, whatever its zone."""
    return ":".join(
        part.astimezone(UTC).isoformat()
        if isinstance(part, datetime)
        else _NOBODY
        if part is None
        else str(part)
        for part in parts
    )
