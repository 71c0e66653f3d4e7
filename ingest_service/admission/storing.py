"""Store admitted readings: what is new once, with its observations."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from device_adapters.contract.messages import ReadingRecord
from ingest_service.admission import quality, writing
from ingest_service.admission.batch import Batch
from ingest_service.admission.fate import Result
from ingest_service.admission.incoming import Reason, Refusal
from ingest_service.admission.judging import Stored
from ingest_service.store import deliveries, identities, observations, quarantine, records
from ingest_service.store.connections import Connection
from ingest_service.store.deliveries import Key
from ingest_service.store.identities import IdentityRow
from ingest_service.store.observations import ObservationRow
from ingest_service.store.quarantine import Ending
from ingest_service.store.records import Origin, RecordRow

_DOUBLE_WITHIN: Final = timedelta(minutes=2)
_TAKEN: Final = Refusal(Reason.IDENTITY, "record_id: stands for another record that is stored")


class EndedError(RuntimeError):
    """An entry of the quarantine waits no longer: what rested on its waiting must be undone."""


async def store(connection: Connection, batch: Batch) -> None:
    """Store the admitted readings; one that is known by its identity is a duplicate."""
    admitted = batch.admitted()
    if not admitted:
        await _note_ends(connection, batch)
        return
    added = await records.add(connection, list(_record_rows(batch).values()))
    others = await _others(connection, batch, added.known)
    seen = set(added.known)
    identity_rows: list[IdentityRow] = []
    observation_rows: list[ObservationRow] = []
    for fate, patient_id in admitted:
        record = fate.record
        if _origin(record) in others:
            fate.refuse(_TAKEN)
            continue
        if record.record_id in seen:
            fate.result = Result.DUPLICATE
            continue
        seen.add(record.record_id)
        patient = batch.patients[patient_id]
        mapped = writing.observations_of(
            record,
            patient,
            gateway_id=fate.entry.gateway_id,
            now=batch.now,
            may_be_another=fate.may_be_another,
        )
        flags = quality.flags_of(
            record,
            is_suspected_double=record.record_id in added.suspected_doubles,
            may_be_another=fate.may_be_another,
        )
        identity_rows += writing.identity_rows(record, mapped)
        observation_rows += writing.observation_rows(
            record,
            mapped,
            patient,
            now=batch.now,
            may_be_another=fate.may_be_another,
            flags=flags,
        )
        batch.stored += [
            Stored(patient=patient, observation=one, flags=flags, trace_id=record.trace_id)
            for one in mapped
        ]
        batch.outcome.trace_ids.append(record.trace_id)
        gateway_id = fate.entry.gateway_id
        if batch.units.get(gateway_id) != batch.devices.units.get(record.device.id):
            batch.outcome.foreign[gateway_id] += 1
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
            is_decided=fate.is_decided,
            may_be_another=fate.may_be_another,
        )
    return rows


def _origin(record: ReadingRecord) -> Origin:
    return Origin(
        record_id=record.record_id,
        device_id=record.device.id,
        characteristic=record.reception.characteristic,
        raw=record.reception.raw,
    )


async def _others(connection: Connection, batch: Batch, known: Collection[UUID]) -> set[Origin]:
    """Return what came under ids that stand for something else: in the database, or before it."""
    first: dict[UUID, Origin] = {}
    others: set[Origin] = set()
    asked: dict[Origin, None] = {}
    for fate, _ in batch.admitted():
        origin = _origin(fate.record)
        if origin.record_id in known:
            asked[origin] = None
        elif first.setdefault(origin.record_id, origin) != origin:
            others.add(origin)
    return others | await records.others(connection, list(asked)) if asked else others


async def _note_ends(connection: Connection, batch: Batch) -> None:
    """Mark numbers whose record was known, and quarantine entries that wait no longer."""
    outcomes: dict[Result, list[Key]] = {}
    taken = [fate.entry.key for fate in batch.fates if fate.refusal == _TAKEN and fate.entry.key]
    if taken:  # claimed as stored
        outcomes[Result.QUARANTINED] = taken
    ended: dict[int, Ending] = {}
    origins: set[int] = set()
    for fate in batch.fates:
        if fate.refusal is not None:
            continue
        if fate.origin:  # how its own entry ends goes before what another record says of it
            origins.add(fate.origin.id)
            ended[fate.origin.id] = fate.endings[fate.origin.id]
        # A number was claimed as what screening made of it: stored, or long ago as quarantined.
        if fate.entry.key and (fate.result is Result.DUPLICATE or fate.origin):
            outcomes.setdefault(fate.result, []).append(fate.entry.key)
        for entry_id, ending in fate.endings.items():
            ended.setdefault(entry_id, ending)
    for outcome, keys in outcomes.items():
        await deliveries.set_outcome(connection, keys, outcome)
    for ending in dict.fromkeys(ended.values()):
        ids = [entry_id for entry_id, its in ended.items() if its == ending]
        if origins & set(ids) - await quarantine.resolve(connection, ids, ending):
            raise EndedError("somebody decided about an entry meanwhile")
