"""Time corrections: a better time for a reading, whichever of the two came first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from device_adapters.contract.messages import (
    ReadingRecord,
    TimeCorrection,
    decode_record,
    encode,
)
from ingest_service.admission import quality, writing
from ingest_service.admission.batch import Batch
from ingest_service.admission.fate import ReadingFate, Result
from ingest_service.admission.incoming import Entry, Reason, Refusal
from ingest_service.admission.judging import Stored
from ingest_service.admission.screening import implausible_time, user_slot
from ingest_service.store import (
    assignments,
    deliveries,
    identities,
    observations,
    quarantine,
    records,
)
from ingest_service.store.assignments import Assignments
from ingest_service.store.connections import Connection
from ingest_service.store.deliveries import Key
from ingest_service.store.identities import IdentityRow
from ingest_service.store.observations import Change, ObservationRow
from ingest_service.store.patients import Patient
from ingest_service.store.records import KnownRecord, RecordTime

_MAY_BE_SET_FREE: Final = (Reason.TIME_IMPLAUSIBLE, Reason.UNASSIGNED)
_BY: Final = "gateway"
_NOT_STORED: Final = Refusal(
    Reason.CORRECTION_WITHOUT_RECORD, "the reading that it corrects is not stored"
)


@dataclass(frozen=True, slots=True)
class _Due:
    """A correction, the stored record that it is for, and that record's patient."""

    correction: TimeCorrection
    known: KnownRecord
    patient: Patient


async def meet(connection: Connection, batch: Batch) -> None:
    """Bring readings and corrections together, whichever of them came first."""
    if readings := batch.readings():
        await _apply_overtaken(connection, readings, now=batch.now)
    given = batch.corrections()
    if not given:
        return
    wanted = {correction.record_id for _, correction in given}
    batch.known = await records.known(connection, wanted)
    batch.fates += await _released(connection, wanted - set(batch.known))
    # A reading that waits may have been sent again beside: which of the two is stored is not
    # known before the numbers are claimed, so both get the better time. One that cannot be is no
    # better: it waits alone.
    by_id: dict[UUID, list[ReadingFate]] = {}
    for reading in batch.readings():
        by_id.setdefault(reading.record.record_id, []).append(reading)
    for _, correction in given:
        if implausible_time(correction.effective_at, now=batch.now):
            continue
        for reading in by_id.get(correction.record_id, ()):
            reading.correct(correction)


def screen(batch: Batch) -> None:
    """Decide what becomes of each correction, once that of the readings is decided."""
    admitted = {fate.record.record_id for fate, _ in batch.admitted()}
    for fate, correction in batch.corrections():
        known = batch.known.get(correction.record_id)
        if known:
            why = _unfit(known, correction, batch.devices.assignments, now=batch.now)
        else:
            why = implausible_time(correction.effective_at, now=batch.now)
        if why and (known or correction.record_id in admitted):
            fate.refuse(why)
        elif known or correction.record_id in admitted:
            fate.result = Result.TIME_CORRECTION
        else:
            fate.refuse(_NOT_STORED)


async def hold_back(connection: Connection, batch: Batch) -> None:
    """Let corrections wait whose reading went no further: it was sent before, and waits."""
    admitted = {fate.record.record_id for fate, _ in batch.admitted()}
    waiting: list[Key] = []
    for fate, correction in batch.corrections():
        if correction.record_id in batch.known or correction.record_id in admitted:
            continue
        fate.refuse(_NOT_STORED)
        if fate.entry.key:
            waiting.append(fate.entry.key)
    if waiting:
        await deliveries.set_outcome(connection, waiting, Result.QUARANTINED)


async def apply(connection: Connection, batch: Batch) -> None:
    """Store new versions of what is stored already, to be judged again.

    The same time again changes nothing.
    """
    latest = {correction.record_id: correction for _, correction in batch.corrections()}
    due = [
        _Due(correction, known, batch.patients[known.patient_id])
        for record_id, correction in latest.items()
        if (known := batch.known.get(record_id))
        and (known.effective_at, known.time_quality)
        != (correction.effective_at, correction.time_quality)
    ]
    if due:
        batch.stored += await _replace(connection, due, now=batch.now)


def reading_of(known: KnownRecord) -> ReadingRecord:
    """Return a stored record as it travelled.

    Raises:
        ContractError: If this program cannot read what an older one stored.
    """
    record = decode_record(known.record)
    if not isinstance(record, ReadingRecord):
        raise TypeError(f"record {known.record_id}: not a reading")
    return record


async def _apply_overtaken(
    connection: Connection, readings: Sequence[ReadingFate], *, now: datetime
) -> None:
    """Apply to new readings the corrections that overtook them and wait for them."""
    by_id = {fate.record.record_id: fate for fate in reversed(readings)}
    reasons = [Reason.CORRECTION_WITHOUT_RECORD]
    for row in await quarantine.of_records(connection, list(by_id), reasons):
        correction = decode_record(row.payload)
        if not isinstance(correction, TimeCorrection):
            continue
        if not implausible_time(correction.effective_at, now=now):
            by_id[row.record_id].correct(correction)
            by_id[row.record_id].waiting.append(row.id)


async def _released(connection: Connection, unknown: Collection[UUID]) -> list[ReadingFate]:
    """Return quarantined readings that a better time may set free."""
    return [
        ReadingFate(
            Entry(
                gateway_id=row.gateway_id, epoch=row.epoch, number=row.number, encoded=row.payload
            ),
            record=record,
            encoded=row.payload,
            waiting=[row.id],
            is_released=True,
        )
        for row in await quarantine.of_records(connection, unknown, _MAY_BE_SET_FREE)
        if isinstance(record := decode_record(row.payload), ReadingRecord)
    ]


def _unfit(
    known: KnownRecord, correction: TimeCorrection, assigned: Assignments, *, now: datetime
) -> Refusal | None:
    """Return why a stored reading cannot have this time, if it cannot."""
    if refusal := implausible_time(correction.effective_at, now=now):
        return refusal
    reading = reading_of(known)
    owner = assignments.resolve(
        assigned, reading.device.id, user_slot(reading), correction.effective_at
    )
    if owner != known.patient_id:
        return Refusal(Reason.UNASSIGNED, "the better time is not the same patient's")
    return None


async def _replace(connection: Connection, due: Sequence[_Due], *, now: datetime) -> list[Stored]:
    """Put new versions in the place of what these corrections are about."""
    times = [one.known.effective_at for one in due]
    retired = await observations.retire(
        connection,
        [
            Change(record_id=one.known.record_id, changed_by=_BY, reason=one.correction.reason)
            for one in due
        ],
        since=min(times),
        until=max(times),
    )
    stored: list[Stored] = []
    record_times: list[RecordTime] = []
    identity_rows: list[IdentityRow] = []
    observation_rows: list[ObservationRow] = []
    for one in due:
        record = writing.corrected(reading_of(one.known), one.correction)
        version = 1 + retired.get(record.record_id, 0)
        mapped = writing.observations_of(
            record, one.patient, gateway_id=one.known.gateway_id, now=now, version=version
        )
        record_times.append(
            RecordTime(
                record_id=record.record_id,
                effective_at=record.effective_at,
                time_quality=record.time_quality,
                record=encode(record),
            )
        )
        identity_rows += writing.identity_rows(record, mapped)
        observation_rows += writing.observation_rows(
            record, mapped, one.patient, now=now, version=version
        )
        flags = quality.flags_of(record, is_suspected_double=one.known.is_suspected_double)
        stored += [
            Stored(
                patient=one.patient,
                observation=observation,
                flags=flags,
                trace_id=one.correction.trace_id,
            )
            for observation in mapped
        ]
    await records.set_times(connection, record_times)
    await identities.set_times(connection, identity_rows)
    if observation_rows:
        await observations.add(connection, observation_rows)
    return stored
