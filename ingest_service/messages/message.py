"""Something that the platform wants said to somebody; the channel is not its business."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Kind(StrEnum):
    """What is said; the words are in `texts`, and never hold a value."""

    REMEASURE_REQUEST = "remeasure_request"
    MEASURE_REMINDER = "measure_reminder"
    RED_OUT_OF_HOURS = "red_out_of_hours"
    CHAIN_BROKEN = "chain_broken"
    STAFF_ALERT = "staff_alert"
    STAFF_ESCALATION = "staff_escalation"
    BACKUP_HANDOVER = "backup_handover"
    INCIDENT = "incident"


class Recipient(StrEnum):
    """In which role somebody is told."""

    PATIENT = "patient"
    NEXT_OF_KIN = "next_of_kin"
    NURSE_ON_DUTY = "nurse_on_duty"
    UNIT_LEAD = "unit_lead"
    BACKUP_UNIT = "backup_unit"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message; ``key`` is the same whenever the same is to be said, so that it is said once.

    After ``deadline`` it is of no use any more.
    """

    kind: Kind
    recipient: Recipient
    key: str
    care_unit_id: UUID
    patient_id: UUID | None = None
    alert_id: UUID | None = None
    language: str = "sv"
    deadline: datetime | None = None
