"""Admit a batch in one transaction; a constant number of statements, whatever its size.

Order of locks, everywhere the same (docs/adr/0005): gateways (advisory), patients, delivery
numbers, device records, identities, observations, alerts, epochs; each kind sorted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from device_adapters.contract.messages import ReadingRecord, VoidRecord
from ingest_service.admission import corrections, judging, quality, writing
from ingest_service.admission.corrections import Applicable
from ingest_service.admission.fate import Fate, ReadingFate, Result, fate_of
from ingest_service.admission.incoming import Entry, Reason, Refusal, shown
from ingest_service.admission.judging import Stored
from ingest_service.admission.outcome import Outcome, Refused, receipts_of, runs_of
from ingest_service.admission.screening import screen
from ingest_service.store import (
    alerts,
    assignments,
    deliveries,
    gateways,
    identities,
    observations,
    patients,
    quarantine,
    records,
)
from ingest_service.store.assignments import Assignments
from ingest_service.store.connections import Connection
from ingest_service.store.deliveries import DeliveryRow, Key
from ingest_service.store.identities import IdentityRow
from ingest_service.store.observations import ObservationRow
from ingest_service.store.patients import Patient
from ingest_service.store.quarantine import QuarantineRow
from ingest_service.store.records import KnownRecord, RecordRow

_ATTEMPTS: Final = 5
_DOUBLE_WITHIN: Final = timedelta(minutes=2)
_NOT_STORED: Final = Refusal(
    Reason.CORRECTION_WITHOUT_RECORD, "the reading that it corrects is not stored"
)


class MovedError(RuntimeError):
    """Assignments changed while the patients' locks were waited for; trying again is enough."""


async def admit(
    connection: Connection,
    entries: Sequence[Entry],
    *,
    now: datetime,
    is_blind: bool = False,
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
    for _ in range(_ATTEMPTS - 1):
        try:
            async with connection.transaction():
                return await _Admission(connection, entries, now, is_blind=is_blind).run()
        except MovedError:
            continue
    async with connection.transaction():
        return await _Admission(connection, entries, now, is_blind=is_blind).run()


@dataclass(slots=True)
class _Tally:
    """What is known of each other by the steps of one admission."""

    units: dict[str, UUID] = field(default_factory=dict[str, UUID])
    known: dict[UUID, KnownRecord] = field(default_factory=dict[UUID, KnownRecord])
    patients: dict[UUID, Patient] = field(default_factory=dict[UUID, Patient])
    conflicts: list[Key] = field(default_factory=list[Key])
    stored: list[Stored] = field(default_factory=list[Stored])


class _Admission:
    """One transaction's steps, in their order."""

    def __init__(
        self, connection: Connection, entries: Sequence[Entry], now: datetime, *, is_blind: bool
    ) -> None:
        self._connection = connection
        self._entries = entries
        self._now = now
        self._is_blind = is_blind
        self._tally = _Tally()
        self._outcome = Outcome()
        self._fates: list[Fate] = []
        self._repeats: list[Entry] = []  # of numbers that stand in the batch twice
        seen: set[Key] = set()
        for entry in entries:
            if entry.key in seen:
                self._repeats.append(entry)
                continue
            if entry.key is not None:
                seen.add(entry.key)
            self._fates.append(fate_of(entry))

    async def run(self) -> Outcome:
        """Take every step; what is raised anywhere undoes them all."""
        await self._enter()
        await self._meet_corrections()
        self._screen(await self._lock())
        await self._claim()
        await self._hold_back_corrections()
        await self._store()
        await self._apply_corrections()
        outcome = self._outcome
        outcome.alerts = await judging.judge(
            self._connection, self._tally.stored, now=self._now, is_blind=self._is_blind
        )
        await self._put_away()
        if runs := runs_of(self._entries):
            received = await deliveries.receive(self._connection, runs)
            outcome.receipts.extend(receipts_of(received, self._tally.conflicts))
        await self._notify()
        return outcome

    def _readings(self) -> list[ReadingFate]:
        return [f for f in self._fates if isinstance(f, ReadingFate) and f.refusal is None]

    async def _enter(self) -> None:
        ids = {entry.gateway_id for entry in self._entries}
        alone = {fate.entry.gateway_id for fate, _ in corrections.of(self._fates)}
        await gateways.enter(self._connection, ids, alone)
        self._tally.units = await gateways.units(self._connection, ids)
        for fate in self._fates:
            if fate.entry.gateway_id not in self._tally.units:
                fate.refuse(Refusal(Reason.UNKNOWN_GATEWAY, "no such gateway is registered"))

    async def _meet_corrections(self) -> None:
        """Bring readings and corrections together, whichever of them came first."""
        if readings := self._readings():
            await corrections.overtaken(self._connection, readings)
        given = corrections.of(self._fates)
        wanted = {correction.record_id for _, correction in given}
        if not wanted:
            return
        self._tally.known = await records.known(self._connection, wanted)
        unknown = wanted - set(self._tally.known)
        self._fates += await corrections.released(self._connection, unknown)
        # A reading that waits may have been sent again beside: which of the two is stored is not
        # known before the numbers are claimed, so both get the better time.
        by_id: dict[UUID, list[ReadingFate]] = {}
        for reading in self._readings():
            by_id.setdefault(reading.record.record_id, []).append(reading)
        for _, correction in given:
            for reading in by_id.get(correction.record_id, ()):
                reading.correct(correction)

    async def _lock(self) -> Assignments:
        """Lock the patients concerned; return the assignments as they are under the lock."""
        readings = self._readings()
        known = self._tally.known
        devices = {fate.record.device.id for fate in readings}
        devices |= {corrections.reading_of(row).device.id for row in known.values()}
        if not devices:
            return {}
        before = await assignments.of_devices(self._connection, devices)
        verdicts = [screen(fate.record, before, now=self._now) for fate in readings]
        wanted = {verdict for verdict in verdicts if isinstance(verdict, UUID)}
        wanted |= {row.patient_id for row in known.values()}
        self._tally.patients = await patients.lock(self._connection, wanted)
        under_lock = await assignments.of_devices(self._connection, devices)
        corrected = {correction.record_id for _, correction in corrections.of(self._fates)}
        if corrected and await records.known(self._connection, corrected) != known:
            raise MovedError("a reading was stored meanwhile")
        if under_lock != before:
            raise MovedError("assignments changed meanwhile")
        return under_lock

    def _screen(self, assigned: Assignments) -> None:
        """Decide what becomes of each record, unless its number is known."""
        admitted: set[UUID] = set()
        for fate in self._readings():
            verdict = screen(fate.record, assigned, now=self._now)
            if isinstance(verdict, Refusal):
                fate.refuse(verdict)
                continue
            fate.result, fate.patient_id = Result.STORED, verdict
            admitted.add(fate.record.record_id)
        for fate in self._fates:
            if isinstance(fate.entry.record, VoidRecord) and fate.refusal is None:
                fate.result = Result.VOID
        for fate, correction in corrections.of(self._fates):
            known = self._tally.known.get(correction.record_id)
            if known and (why := corrections.unfit(known, correction, assigned, now=self._now)):
                fate.refuse(why)
            elif known or correction.record_id in admitted:
                fate.result = Result.TIME_CORRECTION
            else:
                fate.refuse(_NOT_STORED)

    async def _claim(self) -> None:
        """Write down the numbers; what was sent before is counted and goes no further."""
        rows = [row for fate in self._fates if (row := _delivery_row(fate))]
        digests = {row.key: row.digest for row in rows}
        before = await deliveries.claim(self._connection, rows) if rows else set[Key]()
        if before:
            digests |= await deliveries.digests(self._connection, before)
        new: list[Fate] = []
        for fate in self._fates:
            if fate.entry.key in before and not _is_released(fate):
                self._repeats.append(fate.entry)
            else:
                new.append(fate)
        for entry in self._repeats:
            if entry.key is None or not entry.is_other_than(digests[entry.key]):
                self._outcome.counts[Result.DUPLICATE] += 1
                continue
            self._outcome.counts["conflict"] += 1
            self._tally.conflicts.append(entry.key)
            why = "the gateway used this number for other bytes before"
            new.append(Fate(entry, refusal=Refusal(Reason.NUMBER_REUSED, why)))
        self._fates = new

    async def _hold_back_corrections(self) -> None:
        """Let corrections wait whose reading went no further: it was sent before, and waits."""
        admitted = {fate.record.record_id for fate in self._readings() if fate.patient_id}
        waiting: list[Key] = []
        for fate, correction in corrections.of(self._fates):
            if correction.record_id in self._tally.known or correction.record_id in admitted:
                continue
            fate.refuse(_NOT_STORED)
            if fate.entry.key:
                waiting.append(fate.entry.key)
        if waiting:
            await deliveries.set_outcome(self._connection, waiting, Result.QUARANTINED)

    async def _store(self) -> None:
        """Store what is new, with its observations."""
        admitted = [(f, f.patient_id) for f in self._readings() if f.patient_id]
        if not admitted:
            return
        rows = self._record_rows(admitted)
        added = await records.add(self._connection, list(rows.values()))
        seen = set(added.known)
        identity_rows: list[IdentityRow] = []
        observation_rows: list[ObservationRow] = []
        for fate, patient_id in admitted:
            record = fate.record
            if record.record_id in seen:
                fate.result = Result.DUPLICATE
                continue
            seen.add(record.record_id)
            patient = self._tally.patients[patient_id]
            mapped = writing.observations_of(
                record, patient, gateway_id=fate.entry.gateway_id, now=self._now
            )
            identity_rows += writing.identity_rows(record, mapped)
            observation_rows += writing.observation_rows(record, mapped, patient, now=self._now)
            is_double = record.record_id in added.suspected_doubles
            flags = quality.flags_of(record, is_suspected_double=is_double)
            self._tally.stored += [
                Stored(patient=patient, observation=one, flags=flags, trace_id=record.trace_id)
                for one in mapped
            ]
            self._outcome.trace_ids.append(record.trace_id)
        if observation_rows:
            await identities.add(self._connection, identity_rows)
            await observations.add(self._connection, observation_rows)
        await self._note_ends([fate for fate, _ in admitted])

    def _record_rows(self, admitted: Sequence[tuple[ReadingFate, UUID]]) -> dict[UUID, RecordRow]:
        rows: dict[UUID, RecordRow] = {}
        clockless: dict[tuple[str, bytes], list[datetime]] = {}
        for fate, patient_id in admitted:
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
                self._tally.patients[patient_id],
                fate.entry,
                is_suspected_double=is_double and not record.is_identity_own,
            )
        return rows

    async def _note_ends(self, admitted: Sequence[ReadingFate]) -> None:
        """Mark numbers whose record was known, and quarantine entries that wait no longer."""
        repeated = [
            fate.entry.key
            for fate in admitted
            if fate.result is Result.DUPLICATE and fate.entry.key and not fate.is_released
        ]
        if repeated:
            await deliveries.set_outcome(self._connection, repeated, Result.DUPLICATE)
        if freed := [entry_id for fate in admitted for entry_id in fate.waiting]:
            await quarantine.resolve(
                self._connection, freed, resolution="time_correction", by="gateway"
            )

    async def _apply_corrections(self) -> None:
        applicable = [
            Applicable(correction, known, self._tally.patients[known.patient_id])
            for _, correction in corrections.of(self._fates)
            if (known := self._tally.known.get(correction.record_id))
        ]
        self._tally.stored += await corrections.apply(self._connection, applicable, now=self._now)

    async def _put_away(self) -> None:
        """Count every record's end, and keep what was refused with its bytes."""
        rows: list[QuarantineRow] = []
        for fate in self._fates:
            entry, refusal = fate.entry, fate.refusal
            if _is_released(fate):
                self._outcome.counts["released"] += refusal is None
                continue
            self._outcome.counts[fate.result] += 1
            if refusal is None:
                continue
            self._outcome.refused.append(
                Refused(
                    reason=refusal.reason,
                    gateway_id=entry.gateway_id,
                    number=entry.number,
                    trace_id=entry.trace_id,
                )
            )
            if entry.encoded or entry.is_first:
                rows.append(_quarantine_row(entry, refusal, self._tally.units))
        if rows:
            await quarantine.add(self._connection, rows)

    async def _notify(self) -> None:
        units = {one.patient.care_unit_id for one in self._tally.stored}
        units |= {
            self._tally.units[one.gateway_id]
            for one in self._outcome.refused
            if one.gateway_id in self._tally.units
        }
        if units:
            await alerts.notify_pages(self._connection, units)


def _is_released(fate: Fate) -> bool:
    return isinstance(fate, ReadingFate) and fate.is_released


def _delivery_row(fate: Fate) -> DeliveryRow | None:
    entry = fate.entry
    if entry.epoch is None or entry.number is None or _is_released(fate):
        return None
    return DeliveryRow(
        gateway_id=entry.gateway_id,
        epoch=entry.epoch,
        number=entry.number,
        digest=entry.digest,
        outcome=fate.result,
        record_id=entry.record_id,
    )


def _quarantine_row(entry: Entry, refusal: Refusal, units: Mapping[str, UUID]) -> QuarantineRow:
    record = entry.record
    return QuarantineRow(
        gateway_id=entry.gateway_id,
        care_unit_id=units.get(entry.gateway_id),
        epoch=entry.epoch,
        number=entry.number,
        reason=refusal.reason,
        detail=refusal.detail,
        payload=entry.encoded,
        payload_size=entry.size,
        record_id=entry.record_id,
        # Of a rejected record, the device's name may be what the database does not take.
        device_id=shown(record.device.id) if isinstance(record, ReadingRecord) else None,
        trace_id=entry.trace_id,
    )
