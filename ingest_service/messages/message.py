"""One message: a fact for the outbox, before any language and any channel."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

Priority = Literal["red", "yellow", "blue"]


class Recipient(StrEnum):
    """The role that is told; who that is, the registration or the plan says."""

    PATIENT = "patient"
    NEXT_OF_KIN = "next_of_kin"
    NURSE_ON_DUTY = "nurse_on_duty"
    UNIT_LEAD = "unit_lead"
    BACKUP_UNIT = "backup_unit"
    OPERATOR = "operator"


AT_HOME: Final = frozenset({Recipient.PATIENT, Recipient.NEXT_OF_KIN})
STAFF: Final = frozenset(set(Recipient) - AT_HOME)


class Kind(StrEnum):
    """What is said; `ingest_service.messages.texts` has the words."""

    REMEASURE_REQUEST = "remeasure_request"
    MEASURE_REMINDER = "measure_reminder"
    RED_OUT_OF_HOURS = "red_out_of_hours"
    RED_OUT_OF_HOURS_KIN = "red_out_of_hours_kin"
    CHAIN_BROKEN = "chain_broken"
    CHAIN_WHOLE = "chain_whole"
    STAFF_ALERT = "staff_alert"
    STAFF_UNASSIGNED = "staff_unassigned"
    STAFF_ESCALATION = "staff_escalation"
    BACKUP_HANDOVER = "backup_handover"
    INCIDENT = "incident"
    INCIDENT_OVER = "incident_over"
    UNDELIVERED = "undelivered"
    TEST = "test"


class Cause(StrEnum):
    """Why a message is not to be said any more."""

    VALUE_CAME = "value_came"
    DECEASED = "deceased"
    CHAIN_BROKEN = "chain_broken"
    PAUSED = "paused"
    TAKEN = "taken"
    RESOLVED = "resolved"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is to be said to one role about one occasion; never a value, a name or a diagnosis.

    Attributes:
        kind: What is said.
        recipient: To whom.
        key: The occasion, the same each time that it is worked out: one message for each key,
            however often it is put (`ingest_service.messages.kinds` makes it).
        care_unit_id: The patient's unit, or the gateway's; ``None`` only for the operator.
        patient_id: Whom it is about; whoever sends it never sees this.
        alert_id: The alert that it is about.
        priority: The alert's, for staff: "Larm 1".
        deadline: From here on it is no longer of use and is not sent.
        is_open: Whether the unit was open on that occasion; ``None`` where that is unknown or
            makes no difference, and then channels of all hours are used.
        language: BCP 47; ``None`` for the patient's or the kin's own choice, staff's channel's.
    """

    kind: Kind
    recipient: Recipient
    key: str
    care_unit_id: UUID | None
    patient_id: UUID | None = None
    alert_id: UUID | None = None
    priority: Priority | None = None
    deadline: datetime | None = None
    is_open: bool | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """That messages about a patient which have not been said yet are not to be said any more.

    Without ``alert_id`` those of all alerts and of none; without ``kinds`` all kinds.
    """

    patient_id: UUID
    cause: Cause
    alert_id: UUID | None = None
    kinds: Collection[Kind] = field(default=())
