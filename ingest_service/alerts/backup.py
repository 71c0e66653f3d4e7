"""A unit's backup: who takes its alerts over, when, and for how long it may open them (A11)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID


class When(StrEnum):
    """On which occasion an alert is handed over."""

    CLOSED = "closed"  # red while the unit is closed
    ESCALATED = "escalated"  # red that nobody in the unit took, although it was escalated


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """That a backup unit takes over; ``right_h`` is for how many hours each time."""

    id: UUID
    backup_unit_id: UUID
    when: When
    since: datetime
    until: datetime | None = None
    right_h: int = 12

    def is_in_force(self, at: datetime) -> bool:
        """Tell whether it holds at that time."""
        return self.since <= at and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """That a backup unit may open an alert's patient: from when until when, and why."""

    alert_id: UUID
    agreement_id: UUID
    backup_unit_id: UUID
    since: datetime
    until: datetime
    when: When


def in_force(agreements: Iterable[Agreement], when: When, at: datetime) -> Agreement | None:
    """Return the agreement for that occasion that holds at that time."""
    return next((one for one in agreements if one.when is when and one.is_in_force(at)), None)


def handover(agreement: Agreement, alert_id: UUID, at: datetime) -> Handover:
    """Return what that agreement lets its backup unit open, from now on."""
    return Handover(
        alert_id=alert_id,
        agreement_id=agreement.id,
        backup_unit_id=agreement.backup_unit_id,
        since=at,
        until=at + timedelta(hours=agreement.right_h),
        when=agreement.when,
    )
