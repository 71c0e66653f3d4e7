"""What a person decides about a reading: whose it is, that it is another's, or nobody's.

Each decision is one transaction in the order of locks of docs/adr/0005. It has its gateway alone,
so that no reading or correction under way can slip past, and reads under the locks what it
decides about.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from device_adapters.contract.messages import ReadingRecord, TimeQuality
from fhir_mappings.provenance import Versioned
from ingest_service.admission import (
    averages,
    corrections,
    describing,
    judging,
    revising,
    storing,
    withdrawing,
    writing,
)
from ingest_service.admission.batch import Batch
from ingest_service.admission.fate import ReadingFate, Result
from ingest_service.admission.rereading import reread
from ingest_service.admission.revising import Decision
from ingest_service.admission.screening import implausible_time, impossible
from ingest_service.admission.storing import EndedError
from ingest_service.admission.withdrawing import Gone
from ingest_service.store import (
    alerts,
    assignments,
    gateways,
    patients,
    provenance,
    quarantine,
    records,
)
from ingest_service.store.connections import Connection
from ingest_service.store.patients import Patient
from ingest_service.store.quarantine import Ending, Waiting
from ingest_service.store.records import KnownRecord

ASSIGNED: Final = "assigned"


class DecisionError(ValueError):
    """It cannot be decided so; the text is one sentence that holds no value of a patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What became of a decision: the record, its patient, and how many alerts that made."""

    record_id: UUID
    patient_id: UUID | None
    result: str
    alerts: int


async def assign(
    connection: Connection,
    entry_id: int,
    patient_id: UUID,
    decision: Decision,
    *,
    now: datetime,
    effective_at: datetime | None = None,
) -> Decided:
    """Store a waiting reading as this patient's, and judge it.

    Args:
        connection: With no transaction open.
        entry_id: Which entry of the quarantine.
        patient_id: Whose it is.
        decision: Who says so and why.
        now: The time it is.
        effective_at: When it was measured, as a person knows; without it, as the record says.

    Raises:
        DecisionError: If no such entry waits, it is no reading, or it cannot be anybody's.
    """
    async with connection.transaction():
        entry = await _entered(connection, entry_id)
        fate = _reading_fate(entry, patient_id, decision)
        batch = Batch(entries=(), now=now, fates=[fate])
        batch.units = await gateways.units(connection, {entry.gateway_id})
        await corrections.meet(connection, batch)
        if effective_at is not None:  # a person knows better than a gateway's correction
            fate.set_time(effective_at, TimeQuality.ESTIMATED)
        batch.patients = await _locked(connection, {patient_id})
        batch.devices = await assignments.of_devices(connection, {fate.record.device.id})
        _check(fate, batch)
        try:
            await storing.store(connection, batch)
        except EndedError as error:
            raise DecisionError(f"Somebody decided about entry {entry_id} meanwhile.") from error
        if fate.refusal is not None:
            raise DecisionError(f"{fate.refusal.detail}; it can be rejected.")
        if fate.result is Result.STORED:
            await _told_of(connection, batch, fate, decision)
        else:
            await _check_owner(connection, fate.record.record_id, patient_id)
        changed = averages.changed_times(batch.stored)
        await averages.reissue(connection, changed, batch.patients, decision, now=now)
        raised = await judging.judge(connection, batch.stored, now=now)
        await describing.describe(connection, batch)
        units = {batch.patients[patient_id].care_unit_id, *batch.units.values()}
        await alerts.notify_pages(connection, units)
    return Decided(
        record_id=fate.record.record_id, patient_id=patient_id, result=fate.result, alerts=raised
    )


async def reassign(
    connection: Connection,
    record_id: UUID,
    patient_id: UUID,
    decision: Decision,
    *,
    now: datetime,
) -> Decided:
    """Give a stored reading to another patient; what the first one's record said is taken back.

    The first patient's observations become ``entered-in-error`` with their history, what rested
    on them is judged again, and the second patient gets observations of their own.

    Raises:
        DecisionError: If there is no such record or patient, or it is that patient's already.
    """
    async with connection.transaction():
        known, people = await _held(connection, record_id, {patient_id})
        if known.patient_id == patient_id and not known.is_invalid:
            raise DecisionError("The reading is that patient's already.")
        if not known.record:
            raise DecisionError("Its bytes are kept no longer: it can be taken back, not given.")
        record = writing.reading_of(known)
        raised = await _take_back(connection, known, people, decision, now=now)
        given = await revising.give(
            connection, known, record, people[patient_id], decision, now=now
        )
        await averages.reissue(
            connection, averages.changed_times(given), people, decision, now=now
        )
        raised += await judging.judge(connection, given, now=now)
        units = {people[each].care_unit_id for each in (known.patient_id, patient_id)}
        await alerts.notify_pages(connection, units)
    return Decided(record_id=record_id, patient_id=patient_id, result="reassigned", alerts=raised)


async def invalidate(
    connection: Connection, record_id: UUID, decision: Decision, *, now: datetime
) -> Decided:
    """Take a stored reading back: it is nobody's, or was no measurement.

    Raises:
        DecisionError: If there is no such record, or it was taken back already.
    """
    async with connection.transaction():
        known, people = await _held(connection, record_id, set())
        if known.is_invalid:
            raise DecisionError("The reading was taken back already.")
        raised = await _take_back(connection, known, people, decision, now=now)
        await alerts.notify_pages(connection, {people[known.patient_id].care_unit_id})
    return Decided(record_id=record_id, patient_id=None, result="invalidated", alerts=raised)


async def _entered(connection: Connection, entry_id: int) -> Waiting:
    """Return the entry, with its gateway held alone."""
    missing = DecisionError(f"No entry {entry_id} waits in the quarantine.")
    found = await quarantine.waiting(connection, [entry_id], with_rejected=True)
    if not found:
        raise missing
    gateway = [found[0].gateway_id]
    await gateways.enter(connection, gateway, gateway)
    found = await quarantine.waiting(connection, [entry_id], with_rejected=True)
    if not found:
        raise missing
    return found[0]


def _reading_fate(entry: Waiting, patient_id: UUID, decision: Decision) -> ReadingFate:
    given = reread(entry)
    match given:
        case [one] if isinstance(one.record, ReadingRecord):
            if one.refusal is not None:
                raise DecisionError(f"{one.refusal.detail}; it can be rejected.")
            record, encoded = one.record, one.encoded
        case _:
            raise DecisionError(f"Entry {entry.id} is not one reading that can be read.")
    return ReadingFate(
        one,
        record=record,
        encoded=encoded,
        origin=entry,
        endings={entry.id: Ending(ASSIGNED, decision.by, decision.why)},
        patient_id=patient_id,
        result=Result.STORED,
        is_decided=True,
    )


async def _check_owner(connection: Connection, record_id: UUID, patient_id: UUID) -> None:
    """Refuse to call it assigned where it was stored before and does not stand as that patient's.

    Raises:
        DecisionError: If it does not.
    """
    known = (await records.known(connection, [record_id])).get(record_id)
    if known is None:
        raise DecisionError(f"Reading {record_id} was destroyed by a decision.")
    if known.patient_id != patient_id or known.is_invalid:
        raise DecisionError(f"Reading {record_id} is stored already; reassign it.")


def _check(fate: ReadingFate, batch: Batch) -> None:
    """Refuse what no person can decide.

    Raises:
        DecisionError: If the reading cannot be anybody's.
    """
    record = fate.record
    if record.device.id not in batch.devices.assignments:
        raise DecisionError("Its device is not registered; register it first.")
    if implausible_time(record.effective_at, now=batch.now):
        raise DecisionError("Its time cannot be right; say when it was measured.")
    if refusal := impossible(record):
        raise DecisionError(f"No living body can have it ({refusal.detail}); it can be rejected.")


async def _told_of(
    connection: Connection, batch: Batch, fate: ReadingFate, decision: Decision
) -> None:
    patient = next(iter(batch.patients.values()))
    targets = [Versioned(one.observation.id) for one in batch.stored]
    row = revising.provenance_row(
        fate.record.record_id, patient, "attribution", targets, decision, now=batch.now
    )
    await provenance.add(connection, [row])


async def _locked(connection: Connection, ids: set[UUID]) -> dict[UUID, Patient]:
    people = await patients.lock(connection, ids)
    if len(people) < len(ids):
        raise DecisionError("No such patient is registered.")
    return people


async def _held(
    connection: Connection, record_id: UUID, others: set[UUID]
) -> tuple[KnownRecord, dict[UUID, Patient]]:
    """Return a stored record with its gateway alone and its patient locked, and these others.

    Whose it is changes only by who has the gateway alone; when it was, under the patient's lock.
    """
    missing = DecisionError(f"No reading {record_id} is stored.")
    if (seen := (await records.known(connection, [record_id])).get(record_id)) is None:
        raise missing
    await gateways.enter(connection, [seen.gateway_id], [seen.gateway_id])
    if (seen := (await records.known(connection, [record_id])).get(record_id)) is None:
        raise missing
    people = await _locked(connection, {seen.patient_id, *others})
    known = (await records.known(connection, [record_id]))[record_id]
    return known, people


async def _take_back(
    connection: Connection,
    known: KnownRecord,
    people: dict[UUID, Patient],
    decision: Decision,
    *,
    now: datetime,
) -> int:
    """Make the record's observations ``entered-in-error``; return how often that alerted."""
    if known.is_invalid:
        return 0
    patient = people[known.patient_id]
    before = await revising.take_back(connection, known, patient, decision, now=now)
    gone = [Gone(one.id, one.patient_id, one.code, one.effective_at) for one in before]
    await averages.reissue(
        connection, averages.changed_times(gone=gone), people, decision, now=now
    )
    return await withdrawing.withdraw(connection, gone, people, decision, now=now)
