"""New versions of what is stored: corrected, read anew, or taken back; the old ones are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from msgspec import structs

from device_adapters.contract.messages import ReadingRecord, encode
from fhir_mappings import provenance as mapping
from fhir_mappings import versions
from fhir_mappings.identifiers import is_hsa_id, provenance_id
from fhir_mappings.observations import MappedObservation
from fhir_mappings.provenance import Activity, Gateway, Staff, Versioned, Worker
from ingest_service.admission import quality, writing
from ingest_service.admission.judging import Stored
from ingest_service.store import identities, observations, provenance, receivers, records
from ingest_service.store.connections import Connection
from ingest_service.store.identities import IdentityRow
from ingest_service.store.observations import Change, ObservationRow
from ingest_service.store.patients import Patient
from ingest_service.store.provenance import ProvenanceRow
from ingest_service.store.receivers import ChangedObservation
from ingest_service.store.records import KnownRecord, RevisedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who decided what about a record and why; the same decision told twice is one.

    ``by`` is the HSA-id of a member of staff, else the name by which the operator knows who it
    was; of a gateway's own correction ``gateway_id`` is given.
    """

    change_id: UUID
    by: str
    why: str
    gateway_id: str | None = None

    @property
    def who(self) -> Staff | Worker | Gateway:
        """Return who it was, as Provenance tells them apart."""
        if self.gateway_id is not None:
            return Gateway(self.gateway_id)
        return Staff(self.by) if is_hsa_id(self.by) else Worker(self.by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A stored record as it is from now on; ``patient`` is whose it was and stays."""

    known: KnownRecord
    record: ReadingRecord
    patient: Patient
    decision: Decision
    trace_id: str

    @property
    def flags(self) -> tuple[str, ...]:
        """Return what is said of the record from now on."""
        return quality.flags_of(
            self.record,
            is_suspected_double=self.known.is_suspected_double,
            may_be_another=self.known.may_be_another,
        )

    def mapped(self, now: datetime, version: int = 1) -> tuple[MappedObservation, ...]:
        """Return the record's observations from now on; what is invalid stays so."""
        return writing.observations_of(
            self.record,
            self.patient,
            gateway_id=self.known.gateway_id,
            now=now,
            version=version,
            attribution=self.known.attribution,
            may_be_another=self.known.may_be_another,
            is_entered_in_error=self.known.is_invalid,
        )


async def revise(
    connection: Connection,
    revisions: Sequence[Revision],
    *,
    now: datetime,
    is_time_only: bool = False,
) -> list[Stored]:
    """Put new versions in the place of the stored ones, with Provenance.

    What a record no longer gives, since a newer codec reads it otherwise, does not vanish: it is
    taken back.

    Args:
        connection: Inside the transaction that holds the patients' locks.
        revisions: Of records that are stored.
        now: The time it is.
        is_time_only: Nothing but times changes: a worker has no right to change more.

    Returns:
        What there is to judge: nothing of what was taken back.
    """
    if not revisions:
        return []
    changes = [
        _change(one.known, one.decision, ids=tuple(each.id for each in one.mapped(now)))
        for one in revisions
    ]
    retired: dict[UUID, list[ObservationRow]] = {}
    for old in await observations.retire(connection, changes):
        retired.setdefault(old.record_id, []).append(old)
    identity_rows: list[IdentityRow] = []
    rows: list[ObservationRow] = []
    told: list[ProvenanceRow] = []
    changed: list[ChangedObservation] = []
    stored: list[Stored] = []
    for one in revisions:
        before = retired.get(one.known.record_id, [])
        mapped = _new_versions(one, before, now)
        new = writing.observation_rows(
            one.record,
            mapped,
            one.patient,
            now=now,
            may_be_another=one.known.may_be_another,
            flags=one.flags,
        )
        given = {each.id for each in mapped}
        new += [_taken_back(old, now) for old in before if old.id not in given]
        identity_rows += writing.identity_rows(one.record, mapped, one.known.attribution)
        rows += new
        changed += [_changed(row, one.decision) for row in new if row.version > 1]
        told.append(
            _told(
                one.known, one.patient, "correction", one.decision, new=new, before=before, now=now
            )
        )
        stored += _judgeable(one, mapped)
    write = records.retime if is_time_only else records.revise
    await write(connection, [_revised_row(one) for one in revisions])
    if identity_rows:
        await identities.put(connection, identity_rows)
    if rows:
        await observations.add(connection, rows)
    await provenance.add(connection, told)
    await receivers.must_hear(connection, changed)
    return stored


async def take_back(
    connection: Connection,
    known: KnownRecord,
    patient: Patient,
    decision: Decision,
    *,
    now: datetime,
) -> list[ObservationRow]:
    """Make a record's observations ``entered-in-error``, with Provenance; they keep their values.

    Returns:
        What was taken back, as it stood.
    """
    before = await observations.retire(connection, [_change(known, decision)])
    await records.invalidate(connection, known.record_id)
    new = [_taken_back(old, now) for old in before]
    if new:
        await observations.add(connection, new)
    row = _told(known, patient, "invalidation", decision, new=new, before=before, now=now)
    await provenance.add(connection, [row])
    await receivers.must_hear(connection, [_changed(row, decision) for row in new])
    return before


async def give(
    connection: Connection,
    known: KnownRecord,
    record: ReadingRecord,
    patient: Patient,
    decision: Decision,
    *,
    now: datetime,
) -> list[Stored]:
    """Store a record anew as this patient's; what it was before has been taken back.

    Its observations get ids of their own, and nothing in them points to the other patient's.
    """
    attribution = known.attribution + 1
    mapped = writing.observations_of(
        record, patient, gateway_id=known.gateway_id, now=now, attribution=attribution
    )
    row = RevisedRow(
        record_id=known.record_id,
        patient_id=patient.id,
        care_unit_id=patient.care_unit_id,
        kind=record.reading.kind,
        effective_at=record.effective_at,
        time_quality=record.time_quality,
        record=encode(record),
        attribution=attribution,
        is_decided=True,
        is_invalid=False,
        may_be_another=False,
    )
    flags = quality.flags_of(record, is_suspected_double=known.is_suspected_double)
    await records.revise(connection, [row])
    if mapped:
        await identities.add(connection, writing.identity_rows(record, mapped, attribution))
        rows = writing.observation_rows(record, mapped, patient, now=now, flags=flags)
        await observations.add(connection, rows)
    targets = [Versioned(one.id) for one in mapped]
    await provenance.add(
        connection,
        [provenance_row(known.record_id, patient, "attribution", targets, decision, now=now)],
    )
    return [
        Stored(patient=patient, observation=one, flags=flags, trace_id=record.trace_id)
        for one in mapped
    ]


def provenance_row(
    record_id: UUID,
    patient: Patient,
    activity: Activity,
    targets: Sequence[Versioned],
    decision: Decision,
    *,
    now: datetime,
    revised: Iterable[UUID] = (),
) -> ProvenanceRow:
    """Return what is kept of a decision; a frame that no codec reads has no resource to name."""
    resource = None
    if targets:
        resource = mapping.of_change(
            targets,
            activity,
            revised=set(revised),
            change_id=decision.change_id,
            who=decision.who,
            why=decision.why,
            recorded=now,
        )
    return ProvenanceRow(
        id=provenance_id("change", decision.change_id, activity),
        record_id=record_id,
        patient_id=patient.id,
        care_unit_id=patient.care_unit_id,
        activity=activity,
        recorded=now,
        decided_by=decision.gateway_id or decision.by,
        reason=decision.why,
        resource=resource,
    )


def _change(known: KnownRecord, decision: Decision, ids: tuple[UUID, ...] = ()) -> Change:
    return Change(
        record_id=known.record_id,
        attribution=known.attribution,
        is_invalid=known.is_invalid,
        ids=ids,
        changed_by=decision.by,
        reason=decision.why,
    )


def _new_versions(
    one: Revision, before: Iterable[ObservationRow], now: datetime
) -> list[MappedObservation]:
    """Return the record's observations, each as the version after its own last one."""
    next_of = {old.id: old.version + 1 for old in before}
    made = {
        version: {each.id: each for each in one.mapped(now, version)}
        for version in {1, *next_of.values()}
    }
    return [made[next_of.get(each, 1)][each] for each in made[1]]


def _taken_back(old: ObservationRow, now: datetime) -> ObservationRow:
    version = old.version + 1
    return structs.replace(
        old,
        version=version,
        status="entered-in-error",
        last_updated=now,
        resource=versions.taken_back(old.resource, version=version, issued=now),
    )


def _revised_row(one: Revision) -> RevisedRow:
    return RevisedRow(
        record_id=one.known.record_id,
        patient_id=one.patient.id,
        care_unit_id=one.patient.care_unit_id,
        kind=one.record.reading.kind,
        effective_at=one.record.effective_at,
        time_quality=one.record.time_quality,
        record=encode(one.record),
        attribution=one.known.attribution,
        is_decided=one.known.is_decided,
        is_invalid=one.known.is_invalid,
        may_be_another=one.known.may_be_another,
    )


def _told(
    known: KnownRecord,
    patient: Patient,
    activity: Activity,
    decision: Decision,
    *,
    new: Iterable[ObservationRow],
    before: Iterable[ObservationRow],
    now: datetime,
) -> ProvenanceRow:
    return provenance_row(
        known.record_id,
        patient,
        activity,
        [Versioned(row.id, row.version) for row in new],
        decision,
        now=now,
        revised=[old.id for old in before],
    )


def _changed(row: ObservationRow, decision: Decision) -> ChangedObservation:
    return ChangedObservation(
        observation_id=row.id,
        version=row.version,
        patient_id=row.patient_id,
        change_id=decision.change_id,
    )


def _judgeable(one: Revision, mapped: Sequence[MappedObservation]) -> Iterable[Stored]:
    if one.known.is_invalid:
        return
    for observation in mapped:
        yield Stored(
            patient=one.patient, observation=observation, flags=one.flags, trace_id=one.trace_id
        )
