"""An average made of stored readings: its row, its identity and its Observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self
from zoneinfo import ZoneInfo

from device_adapters.contract.messages import TimeQuality
from fhir_mappings.averages import MappedAverage, map_average
from ingest_service.admission.pressures import Days
from ingest_service.protocols.averaging import Average, average
from ingest_service.protocols.describing import details, digest
from ingest_service.protocols.protocol import Protocol
from ingest_service.protocols.selection import IRREGULAR
from ingest_service.protocols.sittings import Period, PeriodKind, SittingReading
from ingest_service.store.averages import AverageRow
from ingest_service.store.identities import IdentityRow
from ingest_service.store.observations import ObservationRow
from ingest_service.store.patients import Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Whose average by which protocol is issued when it is due; ``zone`` is the home's.

    Without ``course_start`` it is the rolling one.
    """

    patient: Patient
    protocol: Protocol
    zone: ZoneInfo
    course_start: date | None = None

    def days(self, period: Period) -> Days:
        """Return whose readings of when it is made of."""
        return Days(
            patient_id=self.patient.id, protocol=self.protocol, period=period, zone=self.zone
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An average as it is issued: its row, what it tells, and the Observation."""

    row: AverageRow
    patient: Patient
    found: Average
    mapped: MappedAverage

    @classmethod
    def of(
        cls,
        wanted: Wanted,
        period: Period,
        readings: Sequence[SittingReading],
        *,
        version: int,
        now: datetime,
    ) -> Self:
        """Make the average of a period in its next version."""
        found = average(wanted.protocol, readings, period=period, zone=wanted.zone)
        told = details(found, wanted.protocol, patient_id=wanted.patient.id, zone=wanted.zone)
        mapped = map_average(told, issued=now, version=version)
        row = AverageRow(
            id=mapped.id,
            patient_id=wanted.patient.id,
            protocol_id=wanted.protocol.id,
            protocol_version=wanted.protocol.version,
            kind=period.kind,
            first_day=period.first_day,
            last_day=period.last_day,
            zone=wanted.zone.key,
            version=version,
            digest=digest(found),
            issued_at=now,
        )
        return cls(row=row, patient=wanted.patient, found=found, mapped=mapped)

    @property
    def identity(self) -> IdentityRow:
        """Return where it is found by its id.

        No device record has this id: it stands for one wherever an observation must have one.
        """
        return IdentityRow(
            id=self.row.id,
            record_id=self.row.id,
            effective_at=self.mapped.effective_at,
            phd_identifier=None,
        )

    @property
    def observation(self) -> ObservationRow:
        """Return its Observation with the columns that searches use."""
        marks = dict(self.found.marks)
        return ObservationRow(
            id=self.row.id,
            record_id=self.row.id,
            version=self.mapped.version,
            care_provider_id=self.patient.care_provider_id,
            care_unit_id=self.patient.care_unit_id,
            patient_id=self.patient.id,
            device_id="",  # none measured it
            code=self.mapped.code,
            status=self.mapped.status,
            effective_at=self.mapped.effective_at,
            time_quality=TimeQuality.SYNCHRONISED,
            value=None,
            systolic=self.mapped.systolic,
            diastolic=self.mapped.diastolic,
            is_irregular=IRREGULAR in marks,
            is_doubtful=False,
            may_be_another="may_be_another" in marks,
            last_updated=self.row.issued_at,
            resource=self.mapped.resource,
        )


def period_of(row: AverageRow) -> Period:
    """Return the days of an issued average."""
    return Period(kind=PeriodKind(row.kind), first_day=row.first_day, last_day=row.last_day)
