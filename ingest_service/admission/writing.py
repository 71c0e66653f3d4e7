"""Records and their observations as rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import structs

from device_adapters.contract.messages import ReadingRecord, TimeQuality, decode_record
from fhir_mappings.observations import MappedObservation, Subject, map_reading
from ingest_service.admission import screening
from ingest_service.admission.incoming import Entry
from ingest_service.store.identities import IdentityRow
from ingest_service.store.observations import ObservationRow
from ingest_service.store.patients import Patient
from ingest_service.store.records import KnownRecord, RecordRow


def observations_of(
    record: ReadingRecord,
    patient: Patient,
    *,
    gateway_id: str,
    now: datetime,
    version: int = 1,
    attribution: int = 0,
    may_be_another: bool = False,
    is_entered_in_error: bool = False,
) -> tuple[MappedObservation, ...]:
    """Return the observations that follow from a record; none from an unreadable frame."""
    return map_reading(
        record,
        Subject(patient.id),
        gateway_id=gateway_id,
        issued=now,
        version=version,
        attribution=attribution,
        may_be_another=may_be_another,
        is_entered_in_error=is_entered_in_error,
    )


def record_row(
    record: ReadingRecord,
    encoded: bytes,
    patient: Patient,
    entry: Entry,
    *,
    is_suspected_double: bool,
    is_decided: bool = False,
    may_be_another: bool = False,
) -> RecordRow:
    """Return the row that decides whether the record is new."""
    return RecordRow(
        record_id=record.record_id,
        care_unit_id=patient.care_unit_id,
        patient_id=patient.id,
        device_id=record.device.id,
        gateway_id=entry.gateway_id,
        epoch=entry.epoch,
        number=entry.number,
        kind=record.reading.kind,
        is_identity_own=record.is_identity_own,
        is_suspected_double=is_suspected_double,
        characteristic=record.reception.characteristic,
        raw=record.reception.raw,
        record=encoded,
        user_index=screening.user_slot(record),
        effective_at=record.effective_at,
        time_quality=record.time_quality,
        received_at=record.reception.received_at,
        device_clock_offset_s=record.reception.device_clock_offset_s,
        trace_id=record.trace_id,
        is_decided=is_decided,
        may_be_another=may_be_another,
    )


def identity_rows(
    record: ReadingRecord, observations: Iterable[MappedObservation], attribution: int = 0
) -> list[IdentityRow]:
    """Return the observations' identities."""
    return [
        IdentityRow(
            id=observation.id,
            record_id=record.record_id,
            effective_at=observation.effective_at,
            phd_identifier=observation.phd_identifier,
            attribution=attribution,
        )
        for observation in observations
    ]


def observation_rows(
    record: ReadingRecord,
    observations: Iterable[MappedObservation],
    patient: Patient,
    *,
    now: datetime,
    may_be_another: bool = False,
    flags: tuple[str, ...] = (),
) -> list[ObservationRow]:
    """Return the observations with the columns that searches and rules use."""
    return [
        ObservationRow(
            id=observation.id,
            record_id=record.record_id,
            version=observation.version,
            care_provider_id=patient.care_provider_id,
            care_unit_id=patient.care_unit_id,
            patient_id=patient.id,
            device_id=record.device.id,
            code=observation.code,
            status=observation.status,
            effective_at=observation.effective_at,
            time_quality=record.time_quality,
            value=observation.value,
            systolic=observation.systolic,
            diastolic=observation.diastolic,
            is_irregular=observation.is_irregular,
            is_doubtful=observation.is_doubtful,
            may_be_another=may_be_another,
            last_updated=now,
            flags=flags or None,
            resource=observation.resource,
        )
        for observation in observations
    ]


def reading_of(known: KnownRecord) -> ReadingRecord:
    """Return a stored record as it travelled, with what was decided about its time since.

    Raises:
        ContractError: If this program cannot read what an older one stored.
    """
    record = decode_record(known.record)
    if not isinstance(record, ReadingRecord):
        raise TypeError(f"record {known.record_id}: not a reading")
    return record


def timed(record: ReadingRecord, effective_at: datetime, quality: TimeQuality) -> ReadingRecord:
    """Return the record with another time; everything that was read stays as it was."""
    return structs.replace(record, effective_at=effective_at, time_quality=quality)
