"""Time corrections: a better time for a reading, whichever of the two came first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from device_adapters.contract.messages import ReadingRecord, TimeCorrection, decode_record
from ingest_service.admission import revising, withdrawing, writing
from ingest_service.admission.batch import Batch
from ingest_service.admission.fate import BY_CORRECTION, STORED_SINCE, ReadingFate, Result
from ingest_service.admission.incoming import Entry, Reason, Refusal, shown
from ingest_service.admission.revising import Decision, Revision
from ingest_service.admission.screening import implausible_time
from ingest_service.admission.withdrawing import Gone
from ingest_service.store import assignments, deliveries, quarantine, records
from ingest_service.store.assignments import Assignments
from ingest_service.store.connections import Connection
from ingest_service.store.deliveries import Key
from ingest_service.store.records import KnownRecord

_MAY_BE_SET_FREE: Final = (
    Reason.TIME_IMPLAUSIBLE,
    Reason.UNASSIGNED,
    Reason.FIRST_SESSION,
)
# Another record under the same id, and another gateway's word: neither is what is stored now.
_NEVER_ENDED: Final = (Reason.IDENTITY, Reason.CORRECTION_BY_ANOTHER)
_BY: Final = "gateway"
_NOT_STORED: Final = Refusal(
    Reason.CORRECTION_WITHOUT_RECORD, "the reading that it corrects is not stored"
)
_FORGOTTEN: Final = Refusal(
    Reason.CORRECTION_WITHOUT_RECORD, "the bytes of the reading are kept no longer"
)


_BY_ANOTHER: Final = Refusal(
    Reason.CORRECTION_BY_ANOTHER, "another gateway delivered the reading that it corrects"
)


async def meet(connection: Connection, batch: Batch) -> None:
    """Bring readings and corrections together, whichever of them came first."""
    if readings := batch.readings():
        await _apply_overtaken(connection, readings, now=batch.now)
    given = batch.corrections()
    if not given:
        return
    wanted = {correction.record_id for _, correction in given}
    batch.known = await records.known(connection, wanted)
    others = {
        (fate.entry.gateway_id, correction.record_id)
        for fate, correction in given
        if (known := batch.known.get(correction.record_id))
        and known.gateway_id != fate.entry.gateway_id
    }
    if others:
        batch.delivered = await deliveries.delivered(connection, others)
    taken = {fate.origin.id for fate in batch.fates if fate.origin}
    said = {(fate.entry.gateway_id, correction.record_id) for fate, correction in given}
    released = await _released(connection, wanted - set(batch.known), said)
    batch.fates += [fate for fate in released if not taken & set(fate.endings)]
    # A reading that waits may have been sent again beside: which of the two is stored is not
    # known before the numbers are claimed, so both get the better time. One that cannot be is no
    # better: it waits alone.
    # A gateway speaks of its own readings alone: a stolen one could move anybody's.
    by_id: dict[tuple[str, UUID], list[ReadingFate]] = {}
    for reading in batch.readings():
        key = reading.entry.gateway_id, reading.record.record_id
        by_id.setdefault(key, []).append(reading)
    for fate, correction in given:
        if implausible_time(correction.effective_at, now=batch.now):
            continue
        for reading in by_id.get((fate.entry.gateway_id, correction.record_id), ()):
            reading.correct(correction)


def screen(batch: Batch) -> None:
    """Decide what becomes of each correction, once that of the readings is decided."""
    admitted = _admitted(batch)
    for fate, correction in batch.corrections():
        key = fate.entry.gateway_id, correction.record_id
        known = batch.known.get(correction.record_id)
        if known and known.gateway_id != key[0] and key not in batch.delivered | admitted:
            fate.refuse(_BY_ANOTHER)
            continue
        if known:
            why = _unfit(known, correction, batch.devices.assignments, now=batch.now)
        else:
            why = implausible_time(correction.effective_at, now=batch.now)
        if why and (known or key in admitted):
            fate.refuse(why)
        elif known or key in admitted:
            fate.result = Result.TIME_CORRECTION
        else:
            fate.refuse(_NOT_STORED)


async def hold_back(connection: Connection, batch: Batch) -> None:
    """Let corrections wait whose reading went no further: it was sent before, and waits."""
    admitted = _admitted(batch)
    waiting: list[Key] = []
    for fate, correction in batch.corrections():
        if (
            correction.record_id in batch.known
            or (fate.entry.gateway_id, correction.record_id) in admitted
        ):
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
    revisions = [
        Revision(
            known=known,
            record=writing.timed(
                writing.reading_of(known), correction.effective_at, correction.time_quality
            ),
            patient=batch.patients[known.patient_id],
            decision=_decision(known, correction),
            trace_id=correction.trace_id,
        )
        for record_id, correction in latest.items()
        if (known := batch.known.get(record_id))
        and (known.effective_at, known.time_quality)
        != (correction.effective_at, correction.time_quality)
    ]
    batch.stored += await revising.revise(connection, revisions, now=batch.now, is_time_only=True)
    # Where they stood before, they may have made others history.
    gone = [
        Gone(each.id, one.patient.id, each.code, one.known.effective_at)
        for one in revisions
        if not one.known.is_invalid
        for each in one.mapped(batch.now)
    ]
    batch.outcome.alerts += await withdrawing.uncover(
        connection, gone, batch.patients, now=batch.now
    )
    batch.gone += gone


def _admitted(batch: Batch) -> set[tuple[str, UUID]]:
    return {(fate.entry.gateway_id, fate.record.record_id) for fate, _ in batch.admitted()}


def _decision(known: KnownRecord, correction: TimeCorrection) -> Decision:
    return Decision(
        change_id=uuid4(),
        by=_BY,
        why=shown(correction.reason),
        gateway_id=known.gateway_id,
    )


async def _apply_overtaken(
    connection: Connection, readings: Sequence[ReadingFate], *, now: datetime
) -> None:
    """Apply to new readings the corrections that overtook them and wait for them.

    What else waits of the same records came before and could not be stored then: it ends with
    their admission, or an operator would decide about a reading that is stored already.
    """
    by_id = {fate.record.record_id: fate for fate in reversed(readings)}
    of_gateway = {(fate.entry.gateway_id, fate.record.record_id): fate for fate in readings}
    for row in await quarantine.of_records(connection, list(by_id)):
        fate = by_id[row.record_id] if row.record_id else None
        if fate is None:
            continue
        if row.is_rejected:
            fate.is_rejected = True
            continue
        if row.reason in _NEVER_ENDED:
            continue
        if row.reason != Reason.CORRECTION_WITHOUT_RECORD:
            fate.endings.setdefault(row.id, STORED_SINCE)
            continue
        fate = of_gateway.get((row.gateway_id, fate.record.record_id))
        if fate is None:
            continue  # it waits for a reading of its own gateway's
        correction = decode_record(row.payload)
        if isinstance(correction, TimeCorrection) and not implausible_time(
            correction.effective_at, now=now
        ):
            fate.correct(correction)
            fate.endings[row.id] = BY_CORRECTION


async def _released(
    connection: Connection, unknown: Collection[UUID], said: Collection[tuple[str, UUID]]
) -> list[ReadingFate]:
    """Return quarantined readings that a better time, said by their gateway, may set free."""
    return [
        ReadingFate(
            Entry(
                gateway_id=row.gateway_id, epoch=row.epoch, number=row.number, encoded=row.payload
            ),
            record=record,
            encoded=row.payload,
            origin=row,
            endings={row.id: BY_CORRECTION},
        )
        for row in await quarantine.of_records(connection, unknown, _MAY_BE_SET_FREE)
        if row.record_id and (row.gateway_id, row.record_id) in said
        if isinstance(record := decode_record(row.payload), ReadingRecord)
    ]


def _unfit(
    known: KnownRecord, correction: TimeCorrection, assigned: Assignments, *, now: datetime
) -> Refusal | None:
    """Return why a stored reading cannot have this time, if it cannot."""
    if refusal := implausible_time(correction.effective_at, now=now):
        return refusal
    if not known.record:
        return _FORGOTTEN
    if known.is_decided:
        return None  # a person said whose it is, whenever it was
    found = assignments.resolve(
        assigned, known.device_id, known.user_index, correction.effective_at
    )
    if found is None or found.patient_id != known.patient_id:
        return Refusal(Reason.UNASSIGNED, "the better time is not the same patient's")
    return None
