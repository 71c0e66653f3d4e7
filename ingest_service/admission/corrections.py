"""Time corrections: a better time for a reading, whichever of the two came first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
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
from ingest_service.admission.fate import Fate, ReadingFate
from ingest_service.admission.incoming import Entry, Reason, Refusal
from ingest_service.admission.judging import Stored
from ingest_service.admission.screening import implausible_time, user_slot
from ingest_service.store import assignments, identities, observations, quarantine, records
from ingest_service.store.assignments import Assignments
from ingest_service.store.connections import Connection
from ingest_service.store.identities import IdentityRow
from ingest_service.store.observations import Change, ObservationRow
from ingest_service.store.patients import Patient
from ingest_service.store.records import KnownRecord, RecordTime

_MAY_BE_SET_FREE: Final = (Reason.TIME_IMPLAUSIBLE, Reason.UNASSIGNED)
_BY: Final = "gateway"


@dataclass(frozen=True, slots=True)
class Applicable:
    """A correction, the stored record that it is for, and that record's patient."""

    correction: TimeCorrection
    known: KnownRecord
    patient: Patient


def of(fates: Iterable[Fate]) -> list[tuple[Fate, TimeCorrection]]:
    """Return the corrections among the records, with their fates."""
    return [
        (fate, fate.entry.record)
        for fate in fates
        if isinstance(fate.entry.record, TimeCorrection) and fate.refusal is None
    ]


async def overtaken(connection: Connection, readings: Sequence[ReadingFate]) -> None:
    """Apply to new readings the corrections that overtook them and wait for them."""
    by_id = {fate.record.record_id: fate for fate in reversed(readings)}
    reasons = [Reason.CORRECTION_WITHOUT_RECORD]
    for row in await quarantine.of_records(connection, list(by_id), reasons):
        correction = decode_record(row.payload)
        if isinstance(correction, TimeCorrection):
            by_id[row.record_id].correct(correction)
            by_id[row.record_id].waiting.append(row.id)


async def released(connection: Connection, unknown: Collection[UUID]) -> list[ReadingFate]:
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


def reading_of(known: KnownRecord) -> ReadingRecord:
    """Return a stored record as it travelled.

    Raises:
        ContractError: If this program cannot read what an older one stored.
    """
    record = decode_record(known.record)
    if not isinstance(record, ReadingRecord):
        raise TypeError(f"record {known.record_id}: not a reading")
    return record


def unfit(
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


async def apply(
    connection: Connection, applicable: Iterable[Applicable], *, now: datetime
) -> list[Stored]:
    """Store new versions of what these corrections are about; the patients are locked.

    The same time again changes nothing.

    Returns:
        The new versions, to be judged again.
    """
    due = {
        one.known.record_id: one
        for one in applicable
        if (one.known.effective_at, one.known.time_quality)
        != (one.correction.effective_at, one.correction.time_quality)
    }
    if not due:
        return []
    times = [one.known.effective_at for one in due.values()]
    retired = await observations.retire(
        connection,
        [
            Change(record_id=record_id, changed_by=_BY, reason=one.correction.reason)
            for record_id, one in due.items()
        ],
        since=min(times),
        until=max(times),
    )
    stored: list[Stored] = []
    record_times: list[RecordTime] = []
    identity_rows: list[IdentityRow] = []
    observation_rows: list[ObservationRow] = []
    for one in due.values():
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
