"""Admit a batch in one transaction; a constant number of statements, whatever its size.

Order of locks, everywhere the same (docs/adr/0005): gateways (advisory), patients, delivery
numbers, device records, identities, observations, alerts, devices, epochs; each kind sorted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from device_adapters.contract.messages import VoidRecord
from ingest_service.admission import (
    averages,
    corrections,
    describing,
    judging,
    likeness,
    numbers,
    reissue,
    storing,
    waiting,
)
from ingest_service.admission.batch import Batch
from ingest_service.admission.fate import ReadingFate, Result, fate_of
from ingest_service.admission.incoming import Entry, Reason, Refusal
from ingest_service.admission.outcome import Outcome
from ingest_service.admission.rereading import reread
from ingest_service.admission.screening import screen, user_slot
from ingest_service.admission.storing import EndedError
from ingest_service.store import alerts, assignments, gateways, patients, quarantine, records
from ingest_service.store.connections import Connection
from ingest_service.store.quarantine import Ending, Waiting

_ATTEMPTS: Final = 5
_UNKNOWN_GATEWAY: Final = Refusal(Reason.UNKNOWN_GATEWAY, "no such gateway is registered")


class MovedError(RuntimeError):
    """Assignments changed while the patients' locks were waited for; trying again is enough."""


async def admit(
    connection: Connection, entries: Sequence[Entry], *, now: datetime, is_blind: bool = False
) -> Outcome:
    """Deal with each of these records in one transaction, which is committed here.

    Args:
        connection: With no transaction open.
        entries: Records of any gateways, in the order they came.
        now: The time it is.
        is_blind: Judging this batch failed before: store, and say that it could not be judged.

    Raises:
        psycopg.Error: Nothing of the batch is done then.
        MovedError: The same; assignments kept changing meanwhile.
    """

    async def first() -> Batch:
        return Batch.of(entries, now)

    return await _settled(connection, first, is_blind=is_blind)


async def readmit(
    connection: Connection, ids: Sequence[int], ending: Ending, *, now: datetime
) -> Outcome:
    """Take what waits in the quarantine through the door again, as if it came now.

    What passes is stored and judged. What does not waits on, and where it now waits for another
    reason, in an entry of its own with the age of the old one. What this program cannot read is
    left alone.

    Args:
        connection: With no transaction open.
        ids: Entries of the quarantine.
        ending: How their waiting ends, and through whom.
        now: The time it is.

    Raises:
        psycopg.Error: Nothing is done then.
        MovedError: The same; assignments kept changing meanwhile.
    """

    async def again() -> Batch:
        async with connection.transaction():
            return _again(await quarantine.waiting(connection, ids), ending, now)

    return await _settled(connection, again, is_blind=False)


def _again(rows: Sequence[Waiting], ending: Ending, now: datetime) -> Batch:
    batch = Batch(entries=(), now=now)
    for row in rows:
        for fate in (fate_of(each, origin=row, ending=ending) for each in reread(row)):
            fate.is_part = row.schema_version is not None
            batch.fates.append(fate)
    return batch


async def _settled(
    connection: Connection, batch: Callable[[], Awaitable[Batch]], *, is_blind: bool
) -> Outcome:
    for _ in range(_ATTEMPTS - 1):
        try:
            return await _deal_with(connection, await batch(), is_blind=is_blind)
        except (MovedError, EndedError):
            continue
    return await _deal_with(connection, await batch(), is_blind=is_blind)


async def _deal_with(connection: Connection, batch: Batch, *, is_blind: bool) -> Outcome:
    """Take every step; what is raised anywhere undoes them all."""
    async with connection.transaction():
        await _enter(connection, batch)
        await corrections.meet(connection, batch)
        await _lock(connection, batch)
        _screen(batch)
        await numbers.claim(connection, batch)
        await corrections.hold_back(connection, batch)
        await likeness.mark(connection, batch)
        await storing.store(connection, batch)
        await corrections.apply(connection, batch)
        if not is_blind:
            changed = averages.changed_times(batch.stored, batch.gone)
            await averages.reissue(connection, changed, batch.patients, now=batch.now)
        batch.outcome.alerts += await judging.judge(
            connection, batch.stored, now=batch.now, is_blind=is_blind
        )
        await waiting.put_away(connection, batch)
        await describing.describe(connection, batch)
        await _note_first(connection, batch)
        await numbers.receipt(connection, batch)
        await _notify(connection, batch)
    return batch.outcome


async def _enter(connection: Connection, batch: Batch) -> None:
    """Wait for the gateways' turn; refuse what comes from none that is known."""
    ids = batch.gateway_ids
    alone = {fate.entry.gateway_id for fate, _ in batch.corrections()}
    await gateways.enter(connection, ids, alone)
    batch.units = await gateways.units(connection, ids)
    for fate in batch.fates:
        if fate.entry.gateway_id not in batch.units:
            fate.refuse(_UNKNOWN_GATEWAY)


async def _lock(connection: Connection, batch: Batch) -> None:
    """Screen the readings and lock the patients concerned; what was read must still hold then.

    Raises:
        MovedError: If it does not: other patients may be concerned.
    """
    readings = batch.readings()
    devices = {fate.record.device.id for fate in batch.fates if isinstance(fate, ReadingFate)}
    devices |= {row.device_id for row in batch.known.values()}
    if not devices:
        return
    before = await assignments.of_devices(connection, devices)
    for fate in readings:
        fate.verdict = screen(
            fate.record, before.assignments, now=batch.now, draining=before.draining
        )
    wanted = {fate.verdict for fate in readings if isinstance(fate.verdict, UUID)}
    wanted |= {row.patient_id for row in batch.known.values()}
    batch.patients = await patients.lock(connection, wanted)
    batch.devices = await assignments.of_devices(connection, devices)
    corrected = {correction.record_id for _, correction in batch.corrections()}
    if corrected and await records.known(connection, corrected) != batch.known:
        raise MovedError("a reading was stored meanwhile")
    if (batch.devices.assignments, batch.devices.draining) != (
        before.assignments,
        before.draining,
    ):
        raise MovedError("assignments changed meanwhile")


def _screen(batch: Batch) -> None:
    """Decide what becomes of each record, unless its number is known."""
    for fate in batch.readings():
        if fate.is_rejected:  # a person's word holds when the device sends it again
            fate.result = Result.DUPLICATE
        elif isinstance(fate.verdict, Refusal):
            fate.refuse(fate.verdict)
        else:
            fate.result, fate.patient_id = Result.STORED, fate.verdict
    for fate in batch.fates:
        if isinstance(fate.entry.record, VoidRecord) and fate.refusal is None:
            fate.result = Result.VOID
    corrections.screen(batch)


async def _note_first(connection: Connection, batch: Batch) -> None:
    """Write down when devices that changed hands were first heard of in their new homes."""
    known = batch.devices.assignments
    heard = (
        (fate.record, user_slot(fate.record))
        for fate in batch.fates
        if isinstance(fate, ReadingFate)
        and not (fate.refusal and fate.refusal.reason is Reason.TIME_IMPLAUSIBLE)
    )
    if first := reissue.first_heard(heard, known, now=batch.now):
        await assignments.note_first(connection, first)


async def _notify(connection: Connection, batch: Batch) -> None:
    units = {one.patient.care_unit_id for one in batch.stored}
    units |= {one.care_unit_id for one in batch.outcome.refused if one.care_unit_id}
    if units:
        await alerts.notify_pages(connection, units)
