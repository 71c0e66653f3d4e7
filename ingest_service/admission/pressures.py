"""Stored blood pressures as averages see them: with what their devices said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Final, TypeGuard
from uuid import UUID

from device_adapters.contract.messages import TimeQuality
from device_adapters.contract.readings import BloodPressure, Number
from fhir_mappings import codes, possible
from ingest_service.admission import quality, writing
from ingest_service.protocols.protocol import Protocol
from ingest_service.protocols.selection import IRREGULAR
from ingest_service.protocols.sittings import Period, SittingReading, bounds
from ingest_service.store import averages, records
from ingest_service.store.averages import Span, StoredPressure
from ingest_service.store.connections import Connection
from ingest_service.store.records import KnownRecord

# Ten times what the densest protocol asks for in a week. Who measures more often gets an average
# of the newest ones.
MOST: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Days of a patient's, as a protocol counts them by the home's clock."""

    patient_id: UUID
    protocol: Protocol
    period: Period
    zone: tzinfo


async def of_days(connection: Connection, wanted: Sequence[Days]) -> list[list[SittingReading]]:
    """Return the blood pressures of each patient's days, those taken back included.

    Two statements, however many they are; the patients are locked.
    """
    spans: list[Span] = []
    for one in wanted:
        since, until = bounds(one.protocol, one.period, zone=one.zone)
        spans.append(Span(patient_id=one.patient_id, since=since, until=until))
    found = await averages.readings(connection, spans, code=codes.BLOOD_PRESSURE.code, most=MOST)
    known = await records.known(connection, {one.record_id for each in found for one in each})
    return [[_reading(one, known.get(one.record_id)) for one in each] for each in found]


def _reading(stored: StoredPressure, known: KnownRecord | None) -> SittingReading:
    pulse = None
    if known is not None and known.record:
        record = writing.reading_of(known)
        flags = quality.flags_of(
            record,
            is_suspected_double=known.is_suspected_double,
            may_be_another=known.may_be_another,
        )
        if isinstance(record.reading, BloodPressure):
            pulse = record.reading.pulse_per_min
    else:
        flags = _flags_of_forgotten(stored, known)
    return SittingReading(
        id=stored.id,
        effective_at=stored.effective_at,
        systolic=stored.systolic,
        diastolic=stored.diastolic,
        pulse=pulse if _is_pulse(pulse) else None,
        flags=flags,
        is_taken_back=stored.status == "entered-in-error",
    )


def _is_pulse(pulse: Number | None) -> TypeGuard[Decimal]:
    return isinstance(pulse, Decimal) and possible.is_possible(pulse, possible.PULSE)


def _flags_of_forgotten(stored: StoredPressure, known: KnownRecord | None) -> tuple[str, ...]:
    """Return what the columns still say of a reading whose bytes are kept no longer."""
    said = {
        IRREGULAR: stored.is_irregular,
        "questionable": stored.is_doubtful,
        "time_estimated": stored.time_quality == TimeQuality.ESTIMATED,
        "time_unknown": stored.time_quality == TimeQuality.UNKNOWN,
        "suspected_double": known is not None and known.is_suspected_double,
        "may_be_another": known is not None and known.may_be_another,
    }
    return tuple(flag for flag, is_said in said.items() if is_said)
