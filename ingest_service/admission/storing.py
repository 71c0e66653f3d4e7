"""Store admitted readings: what is new once, with its observations."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ingest_service.admission import quality, writing
from ingest_service.admission.batch import Batch
from ingest_service.admission.fate import Result
from ingest_service.admission.judging import Stored
from ingest_service.store import deliveries, identities, observations, quarantine, records
from ingest_service.store.connections import Connection
from ingest_service.store.identities import IdentityRow
from ingest_service.store.observations import ObservationRow
from ingest_service.store.records import RecordRow

_DOUBLE_WITHIN: Final = timedelta(minutes=2)


async def store(connection: Connection, batch: Batch) -> None:
    """Store the admitted readings; one that is known by its identity is a duplicate."""
    admitted = batch.admitted()
    if not admitted:
        return
    added = await records.add(connection, list(_record_rows(batch).values()))
    seen = set(added.known)
    identity_rows: list[IdentityRow] = []
    observation_rows: list[ObservationRow] = []
    for fate, patient_id in admitted:
        record = fate.record
        if record.record_id in seen:
            fate.result = Result.DUPLICATE
            continue
        seen.add(record.record_id)
        patient = batch.patients[patient_id]
        mapped = writing.observations_of(
            record, patient, gateway_id=fate.entry.gateway_id, now=batch.now
        )
        identity_rows += writing.identity_rows(record, mapped)
        observation_rows += writing.observation_rows(record, mapped, patient, now=batch.now)
        is_double = record.record_id in added.suspected_doubles
        flags = quality.flags_of(record, is_suspected_double=is_double)
        batch.stored += [
            Stored(patient=patient, observation=one, flags=flags, trace_id=record.trace_id)
            for one in mapped
        ]
        batch.outcome.trace_ids.append(record.trace_id)
    if observation_rows:
        await identities.add(connection, identity_rows)
        await observations.add(connection, observation_rows)
    await _note_ends(connection, batch)


def _record_rows(batch: Batch) -> dict[UUID, RecordRow]:
    rows: dict[UUID, RecordRow] = {}
    clockless: dict[tuple[str, bytes], list[datetime]] = {}
    for fate, patient_id in batch.admitted():
        record = fate.record
        if record.record_id in rows:
            continue
        same = clockless.setdefault((record.device.id, record.reception.raw), [])
        at = record.reception.received_at
        is_double = any(abs(at - other) <= _DOUBLE_WITHIN for other in same)
        if not record.is_identity_own:
            same.append(at)
        rows[record.record_id] = writing.record_row(
            record,
            fate.encoded,
            batch.patients[patient_id],
            fate.entry,
            is_suspected_double=is_double and not record.is_identity_own,
        )
    return rows


async def _note_ends(connection: Connection, batch: Batch) -> None:
    """Mark numbers whose record was known, and quarantine entries that wait no longer."""
    admitted = [fate for fate, _ in batch.admitted()]
    repeated = [
        fate.entry.key
        for fate in admitted
        if fate.result is Result.DUPLICATE and fate.entry.key and not fate.is_released
    ]
    if repeated:
        await deliveries.set_outcome(connection, repeated, Result.DUPLICATE)
    if freed := [entry_id for fate in admitted for entry_id in fate.waiting]:
        await quarantine.resolve(connection, freed, resolution="time_correction", by="gateway")
