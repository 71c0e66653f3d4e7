"""New versions of what is stored: corrected, read anew, or taken back; the old ones are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from device_adapters.contract.messages import ReadingRecord, encode
from fhir_mappings import provenance as mapping
from fhir_mappings.identifiers import is_hsa_id, provenance_id
from fhir_mappings.observations import MappedObservation
from fhir_mappings.provenance import Activity, Gateway, Staff, Versioned, Worker
from ingest_service.admission import quality, writing
from ingest_service.admission.judging import Stored
from ingest_service.store import identities, observations, provenance, receivers, records
from ingest_service.store.connections import Connection
from ingest_service.store.identities import IdentityRow
from ingest_service.store.observations import Change, ObservationRow, Retired
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
    """A stored record as it is from now on; ``patient`` is whose it was and stays.

    ``is_invalid`` takes it back: it keeps its values, and its status says not to use them.
    """

    known: KnownRecord
    record: ReadingRecord
    patient: Patient
    decision: Decision
    trace_id: str
    is_invalid: bool = False


async def revise(
    connection: Connection,
    revisions: Sequence[Revision],
    *,
    now: datetime,
    is_time_only: bool = False,
) -> list[Stored]:
    """Put new versions in the place of the stored ones, with Provenance.

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
    times = [one.known.effective_at for one in revisions]
    retired = _by_record(
        await observations.retire(
            connection, [_change(one) for one in revisions], since=min(times), until=max(times)
        )
    )
    identity_rows: list[IdentityRow] = []
    observation_rows: list[ObservationRow] = []
    told: list[ProvenanceRow] = []
    changed: list[ChangedObservation] = []
    stored: list[Stored] = []
    for one in revisions:
        before = retired.get(one.known.record_id, [])
        version = 1 + max((old.version for old in before), default=0)
        mapped = _new_versions(one, before, version, now)
        identity_rows += writing.identity_rows(one.record, mapped, one.known.attribution)
        observation_rows += _observation_rows(one, mapped, version, now)
        told.append(_told(one, mapped, before, version, now))
        changed += _changed(one, mapped, version)
        stored += _judgeable(one, mapped)
    write = records.retime if is_time_only else records.revise
    await write(connection, [_revised_row(one) for one in revisions])
    if observation_rows:
        await identities.put(connection, identity_rows)
        await observations.add(connection, observation_rows)
    await provenance.add(connection, told)
    await receivers.must_hear(connection, changed)
    return stored


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
    await records.revise(connection, [row])
    if mapped:
        await identities.add(connection, writing.identity_rows(record, mapped, attribution))
        await observations.add(
            connection, writing.observation_rows(record, mapped, patient, now=now)
        )
    targets = [Versioned(one.id) for one in mapped]
    await provenance.add(
        connection,
        [provenance_row(known.record_id, patient, "attribution", targets, decision, now=now)],
    )
    flags = quality.flags_of(record, is_suspected_double=known.is_suspected_double)
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


def _change(one: Revision) -> Change:
    return Change(
        record_id=one.known.record_id,
        attribution=one.known.attribution,
        changed_by=one.decision.by,
        reason=one.decision.why,
    )


def _by_record(retired: Iterable[Retired]) -> dict[UUID, list[Retired]]:
    found: dict[UUID, list[Retired]] = {}
    for one in retired:
        found.setdefault(one.record_id, []).append(one)
    return found


def _new_versions(
    one: Revision, retired: Sequence[Retired], version: int, now: datetime
) -> tuple[MappedObservation, ...]:
    """Return the record's observations from now on.

    What the record no longer gives, since a newer codec reads it otherwise, does not vanish: it
    is taken back.
    """

    def mapped(record: ReadingRecord, *, is_invalid: bool) -> tuple[MappedObservation, ...]:
        return writing.observations_of(
            record,
            one.patient,
            gateway_id=one.known.gateway_id,
            now=now,
            version=version,
            attribution=one.known.attribution,
            may_be_another=one.known.may_be_another,
            is_entered_in_error=is_invalid,
        )

    new = mapped(one.record, is_invalid=one.is_invalid)
    vanished = {old.id for old in retired} - {each.id for each in new}
    if not vanished:
        return new
    before = mapped(writing.reading_of(one.known), is_invalid=True)
    return (*new, *(each for each in before if each.id in vanished))


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
        is_invalid=one.is_invalid,
        may_be_another=one.known.may_be_another,
    )


def _observation_rows(
    one: Revision, mapped: Sequence[MappedObservation], version: int, now: datetime
) -> list[ObservationRow]:
    return writing.observation_rows(
        one.record,
        mapped,
        one.patient,
        now=now,
        version=version,
        may_be_another=one.known.may_be_another,
    )


def _told(
    one: Revision,
    mapped: Sequence[MappedObservation],
    retired: Sequence[Retired],
    version: int,
    now: datetime,
) -> ProvenanceRow:
    return provenance_row(
        one.known.record_id,
        one.patient,
        "invalidation" if one.is_invalid else "correction",
        [Versioned(each.id, version) for each in mapped],
        one.decision,
        now=now,
        revised=[old.id for old in retired],
    )


def _changed(
    one: Revision, mapped: Sequence[MappedObservation], version: int
) -> Iterable[ChangedObservation]:
    for each in mapped:
        yield ChangedObservation(
            observation_id=each.id,
            version=version,
            patient_id=one.patient.id,
            change_id=one.decision.change_id,
        )


def _judgeable(one: Revision, mapped: Sequence[MappedObservation]) -> Iterable[Stored]:
    flags = quality.flags_of(
        one.record,
        is_suspected_double=one.known.is_suspected_double,
        may_be_another=one.known.may_be_another,
    )
    for observation in mapped:
        if observation.status != "entered-in-error":
            yield Stored(
                patient=one.patient, observation=observation, flags=flags, trace_id=one.trace_id
            )
