"""Destroy one patient's record, because a decision orders it and for nothing less.

Only the Health and Social Care Inspectorate (IVO) can order it (docs/adr/0021).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from device_adapters.contract.messages import ContractError, ReadingRecord, decode_record
from ingest_service.admission.rereading import reread
from ingest_service.admission.screening import user_slot
from ingest_service.store import alerts, assignments, destruction, holds, patients, quarantine
from ingest_service.store.assignments import Assignments
from ingest_service.store.connections import Connection
from ingest_service.store.destruction import Holding, PatientReceiver, Scope, WaitedReading


class DestructionError(Exception):
    """It must not be done; the text says why and names nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What there is of a patient, who else has it, and what stands against destroying it."""

    patient_id: UUID
    care_unit_id: UUID
    scope: Scope
    destroyed: Sequence[Holding]
    kept: Sequence[Holding]
    receivers: Sequence[PatientReceiver]
    obstacles: Sequence[str]


async def survey(connection: Connection, patient_id: UUID, *, now: datetime) -> Survey:
    """Return what a destruction would do; nothing is changed.

    Raises:
        DestructionError: If there is no such patient.
    """
    care_unit_id = await destruction.care_unit_of(connection, patient_id)
    if care_unit_id is None:
        raise DestructionError("No such patient.")
    waited = await destruction.waited(connection, patient_id)
    devices = await assignments.of_devices(connection, {one.device_id for one in waited})
    own = set(_records_of(patient_id, waited, devices.assignments))
    scope = await destruction.scope(connection, patient_id, own)
    scope = replace(
        scope, quarantine=[*scope.quarantine, *await _messages_with(connection, scope.records)]
    )
    destroyed, kept = await destruction.holdings(connection, scope)
    return Survey(
        patient_id=patient_id,
        care_unit_id=care_unit_id,
        scope=scope,
        destroyed=destroyed,
        kept=kept,
        receivers=await destruction.receivers(connection, patient_id),
        obstacles=[
            *[
                f"Legal hold {hold.id} stands since {hold.since:%Y-%m-%d}: "
                f"hemvital-ingest hold release {hold.id}"
                for hold in await holds.page(connection, patient_id=patient_id)
            ],
            *[
                f"Device {device_id} is still the patient's: set when it ended (`until` of its "
                "assignment) by hemvital-ingest register"
                for device_id in await destruction.open_devices(connection, patient_id, now)
            ],
        ],
    )


async def carry_out(
    connection: Connection, patient_id: UUID, *, decision: str, by: str, now: datetime
) -> Survey:
    """Destroy a patient's record in one transaction and return what was destroyed.

    Whoever writes about the patient, or receives of the patient for the first time, waits, and
    then finds that there is no such patient.

    Args:
        connection: As the owner of the schema.
        patient_id: Whose.
        decision: Number of the decision that orders it.
        by: Who carries it out.
        now: The time it is.

    Raises:
        DestructionError: If something stands against it; nothing is changed then.
    """
    if not decision.strip() or not by.strip():
        raise DestructionError("A destruction needs a decision's number and who carries it out.")
    async with connection.transaction():
        await patients.lock(connection, [patient_id])
        found = await survey(connection, patient_id, now=now)
        if found.obstacles:
            raise DestructionError("\n".join(found.obstacles))
        await destruction.destroy(connection, found.scope)
        await destruction.note(
            connection,
            decision=decision.strip(),
            patient_id=patient_id,
            care_unit_id=found.care_unit_id,
            by=by.strip(),
            at=now,
            tables=found.destroyed,
            to_be_told=found.receivers,
        )
        await alerts.notify_pages(connection, [found.care_unit_id])
    return found


async def _messages_with(connection: Connection, record_ids: Collection[UUID]) -> list[int]:
    """Return the entries of whole messages, read since, that hold one of these records."""
    found, wanted = list[int](), set(record_ids)
    for row in await quarantine.messages_replayed(connection):
        if wanted & {entry.record_id for entry in reread(row)}:
            found.append(row.id)
    return found


def _records_of(
    patient_id: UUID, waited: Iterable[WaitedReading], assigned: Assignments
) -> Iterable[UUID]:
    """Yield the quarantined readings that were made with the patient's device in their time.

    Whose one is that no program can read, or that has no believable time, nobody can say.
    """
    for one in waited:
        try:
            record = decode_record(one.payload)
        except ContractError:
            continue
        if not isinstance(record, ReadingRecord):
            continue
        found = assignments.resolve(
            assigned, record.device.id, user_slot(record), record.effective_at
        )
        if found is not None and found.patient_id == patient_id:
            yield record.record_id
