"""What rested on readings that were taken back: alerts, and what they hid (A8, A5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.admission import judging, quality, writing
from ingest_service.admission.judging import Stored, open_alert
from ingest_service.admission.revising import Decision
from ingest_service.alerts import attempts, withdrawal
from ingest_service.plans.limits import Limits, Measure
from ingest_service.store import alerts, observations, records
from ingest_service.store.alerts import EventRow, WithdrawnRow
from ingest_service.store.connections import Connection
from ingest_service.store.observations import StoredValue
from ingest_service.store.patients import Patient

# How far before a value that was taken back others are looked for that it may have hidden, and how
# far back a patient's newest remaining value may lie.
_HIDDEN: Final = timedelta(days=30)
_NEWEST: Final = timedelta(days=365)
_MOST: Final = 500


@dataclass(frozen=True, slots=True)
class Gone:
    """An observation that is no longer the patient's, or no longer says what it said, or when."""

    id: UUID
    patient_id: UUID
    code: str
    effective_at: datetime


async def withdraw(connection: Connection, gone: Collection[Gone], decision: Decision) -> None:
    """Take these observations out of the evidence of open alerts; the patients are locked."""
    ids = {one.id for one in gone}
    rows: list[WithdrawnRow] = []
    events: list[EventRow] = []
    for row in await alerts.open_of(connection, {one.patient_id for one in gone}):
        if (found := withdrawal.without(open_alert(row), ids)) is None:
            continue
        event, alert = found
        mine = {each.observation_id for each in alert.readings} & ids
        detail = {"observations": sorted(map(str, mine)), "why": decision.why}
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
    """Return what these observations may have hidden, where nobody was ever alerted of it.

    A late reading is history only because a later one was within limits, and an attempt failed
    once only because a later one succeeded: without that one it may alert. So everything of the
    same kind is judged again that lies between it and the last value within limits before it, the
    attempts around it, and the newest that remains. The rules tell what is still history.
    """
    if not gone:
        return []
    found = await _newest(connection, gone, now)
    plans = await judging.limits_of(connection, {one.patient_id for one in gone}, now)
    times: dict[tuple[UUID, str], list[datetime]] = {}
    for one in gone:  # a gateway whose clock was set late corrects hundreds of one patient's
        times.setdefault((one.patient_id, one.code), []).append(one.effective_at)
    for (patient_id, code), at in sorted(times.items()):
        around = await observations.around(
            connection,
            {patient_id: min(at) - _HIDDEN},
            codes=[code],
            until=max(at) + attempts.WINDOW,
            most=_MOST,
        )
        for value in _hidden(min(at), around, plans[patient_id]):
            found[value.id] = value
    for one in gone:
        found.pop(one.id, None)
    told = await alerts.mentioned(
        connection, {one.patient_id for one in found.values()}, list(found)
    )
    return await _judgeable(
        connection, [one for one in found.values() if one.id not in told], patients
    )


def _hidden(
    first: datetime, around: Sequence[StoredValue], plan: Mapping[Measure, Limits]
) -> Iterable[StoredValue]:
    """Yield, newest first, all down to the first value within limits before ``first``."""
    for value in around:
        yield value
        is_within = not value.is_failed and judging.level_of(value, plan) is None
        if is_within and value.effective_at < first - attempts.WINDOW:
            return


async def _newest(
    connection: Connection, gone: Collection[Gone], now: datetime
) -> dict[UUID, StoredValue]:
    pairs = sorted({(one.patient_id, one.code) for one in gone})
    rows = await observations.newest(
        connection, pairs, since=now - _NEWEST, until=now + attempts.WINDOW
    )
    return {row.id: row for row in rows}


async def _judgeable(
    connection: Connection, values: Collection[StoredValue], patients: Mapping[UUID, Patient]
) -> list[Stored]:
    known = await records.known(connection, {one.record_id for one in values})
    judged: list[Stored] = []
    for one in values:
        row = known[one.record_id]
        record = writing.reading_of(row) if row.record else None
        flags = (
            quality.flags_of(
                record,
                is_suspected_double=row.is_suspected_double,
                may_be_another=row.may_be_another,
            )
            if record
            else ()
        )
        judged.append(
            Stored(
                patient=patients[one.patient_id],
                observation=one,
                flags=flags,
                trace_id=record.trace_id if record else "",
            )
        )
    return judged
