"""Alerts as rows and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from ingest_service.alerts.alert import Alert, Evidence, Facts, State, Undoable
from ingest_service.alerts.case import Change
from ingest_service.plans.limits import Level, Limits, Measure
from ingest_service.store.alerts import AlertRow, EventRow, StoredAlert
from ingest_service.store.patients import Patient

_READINGS: Final = msgspec.json.Decoder(tuple[Evidence, ...])
_LIMITS: Final = msgspec.json.Decoder(dict[Measure, Limits])
_UNDO: Final = msgspec.json.Decoder(Undoable)
_FACTS: Final = msgspec.json.Decoder(Facts)


def alert_of(row: StoredAlert) -> Alert:
    """Return a stored alert as rules see it.

    Raises:
        ValueError: If what stands there cannot be read.
    """
    return replace(
        without_copies(row),
        readings=_READINGS.decode(row.readings),
        limits=_LIMITS.decode(row.limits),
        facts=_FACTS.decode(row.facts),
        undo=None if row.undo is None else _UNDO.decode(row.undo),
    )


def without_copies(row: StoredAlert) -> Alert:
    """Return a stored alert without what it rests on: all of it that can always be read."""
    return Alert(
        id=row.id,
        rule=row.rule,
        rule_version=row.rule_version,
        priority=Level(row.priority),
        state=State(row.state),
        raised_at=row.raised_at,
        confirm_by=row.confirm_by,
        due_at=row.due_at,
        owner=row.owner,
        paused_until=row.paused_until,
        pause_reason=row.pause_reason,
        escalations=row.escalations,
        outcome=row.outcome,
        resolved_at=row.resolved_at,
        plan_id=row.plan_id,
        plan_version=row.plan_version,
        state_by=row.state_by,
        state_at=row.state_at,
        version=row.version,
    )


def row_of(alert: Alert, patient: Patient, trace_id: str | None) -> AlertRow:
    """Return an alert as it is written."""
    return AlertRow(
        id=alert.id,
        care_unit_id=patient.care_unit_id,
        patient_id=patient.id,
        rule=alert.rule,
        rule_version=alert.rule_version,
        priority=alert.priority,
        state=alert.state,
        raised_at=alert.raised_at,
        last_reading_at=max((one.effective_at for one in alert.readings), default=None),
        confirm_by=alert.confirm_by,
        due_at=alert.due_at,
        owner=alert.owner,
        paused_until=alert.paused_until,
        pause_reason=alert.pause_reason,
        escalations=alert.escalations,
        outcome=alert.outcome,
        resolved_at=alert.resolved_at,
        plan_id=alert.plan_id,
        plan_version=alert.plan_version,
        limits=msgspec.Raw(msgspec.json.encode(alert.limits)),
        facts=msgspec.Raw(msgspec.json.encode(alert.facts)),
        state_by=alert.state_by,
        state_at=alert.state_at,
        undo=None if alert.undo is None else msgspec.Raw(msgspec.json.encode(alert.undo)),
        version=alert.version,
        readings=msgspec.Raw(msgspec.json.encode(alert.readings)),
        trace_id=trace_id,
    )


def event_of(change: Change) -> EventRow:
    """Return a change as it is appended."""
    return EventRow(
        alert_id=change.alert.id,
        at=change.at,
        event=change.event,
        by=change.by,
        detail=msgspec.Raw(msgspec.json.encode(change.detail)) if change.detail else None,
    )
