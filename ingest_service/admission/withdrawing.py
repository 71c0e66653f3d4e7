"""What rested on readings that were taken back: alerts, and what they hid (A8, A5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.admission import quality, writing
from ingest_service.admission.judging import Stored, open_alert
from ingest_service.admission.revising import Decision
from ingest_service.alerts import attempts, withdrawal
from ingest_service.store import alerts, observations, records
from ingest_service.store.alerts import EventRow, WithdrawnRow
from ingest_service.store.connections import Connection
from ingest_service.store.patients import Patient

# How far back a patient's newest remaining value is looked for.
_BACK: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Gone:
    """An observation that is no longer the patient's, or no longer says what it said."""

    id: UUID
    patient_id: UUID
    code: str


async def withdraw(connection: Connection, gone: Collection[Gone], decision: Decision) -> None:
    """Take these observations out of the evidence of open alerts; the patients are locked."""
    ids = {one.id for one in gone}
    rows: list[WithdrawnRow] = []
    events: list[EventRow] = []
    for row in await alerts.open_of(connection, {one.patient_id for one in gone}):
        if (found := withdrawal.without(open_alert(row), ids)) is None:
            continue
        event, alert = found
        detail = {"observations": sorted(str(each) for each in ids), "why": decision.why}
        readings = msgspec.Raw(msgspec.json.encode(alert.readings))
        rows.append(WithdrawnRow(id=row.id, state=alert.state, readings=readings))
        events.append(
            EventRow(
                alert_id=row.id,
                event=event,
                by=decision.by,
                detail=msgspec.Raw(msgspec.json.encode(detail)),
            )
        )
    if rows:
        await alerts.withdraw(connection, rows)
        await alerts.add_events(connection, events)


async def uncovered(
    connection: Connection,
    gone: Collection[Gone],
    patients: Mapping[UUID, Patient],
    *,
    now: datetime,
) -> list[Stored]:
    """Return each patient's newest remaining values, where nobody was ever alerted of them.

    A late reading is history only because a later one was within limits: without that one, it
    is the newest that is known.
    """
    pairs = sorted({(one.patient_id, one.code) for one in gone})
    newest = await observations.newest(
        connection, pairs, since=now - _BACK, until=now + attempts.WINDOW
    )
    told = await alerts.mentioned(
        connection, {one.patient_id for one in newest}, [one.id for one in newest]
    )
    left = [one for one in newest if one.id not in told]
    known = await records.known(connection, {one.record_id for one in left})
    judged: list[Stored] = []
    for one in left:
        row = known[one.record_id]
        record = writing.reading_of(row)
        judged.append(
            Stored(
                patient=patients[one.patient_id],
                observation=one,
                flags=quality.flags_of(
                    record,
                    is_suspected_double=row.is_suspected_double,
                    may_be_another=row.may_be_another,
                ),
                trace_id=record.trace_id,
            )
        )
    return judged
