"""Put away what was refused: counted, told, kept with its bytes, and judged all the same."""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from device_adapters.contract.messages import ReadingRecord, VoidRecord
from device_adapters.contract.readings import BloodPressure, HeartRate, Kind, Number, PulseOximetry
from ingest_service.admission.batch import Batch
from ingest_service.admission.fate import Fate
from ingest_service.admission.incoming import Entry, Reason, Refusal, shown
from ingest_service.admission.judging import limits_of
from ingest_service.admission.outcome import Refused, Void
from ingest_service.admission.screening import in_mmhg
from ingest_service.alerts import unowned
from ingest_service.plans.limits import Level, Limits, Measure
from ingest_service.store import quarantine
from ingest_service.store.connections import Connection
from ingest_service.store.quarantine import QuarantineRow

logger = logging.getLogger(__name__)

_PlansOf = dict[UUID, dict[Measure, Limits]]


async def put_away(connection: Connection, batch: Batch) -> None:
    """Count every record's end, and keep what was refused with its bytes."""
    refused = _counted(batch)
    if not refused:
        return
    plans = await _plans(connection, batch, [fate for fate, _ in refused])
    rows: list[QuarantineRow] = []
    for fate, refusal in refused:
        entry = fate.entry
        is_red = refusal.reason is not Reason.NUMBER_REUSED and _is_red(fate, batch, plans)
        batch.outcome.refused.append(
            Refused(
                reason=refusal.reason,
                gateway_id=entry.gateway_id,
                care_unit_id=_unit(fate, batch),
                number=entry.number,
                trace_id=entry.trace_id,
                is_red=is_red,
            )
        )
        if entry.encoded or entry.is_first:
            rows.append(_row(fate, refusal, batch, is_red=is_red))
    if rows:
        await quarantine.add(connection, rows)
    for fate, _ in refused:
        if fate.origin:  # from now on it waits for another reason, in an entry of its own
            ending = fate.endings[fate.origin.id]
            await quarantine.resolve(connection, [fate.origin.id], ending)


def _counted(batch: Batch) -> list[tuple[Fate, Refusal]]:
    """Count what became of each record; return those that the quarantine gets now."""
    refused: list[tuple[Fate, Refusal]] = []
    for fate in batch.fates:
        if fate.origin is None:
            batch.outcome.counts[fate.result] += 1
        else:
            batch.outcome.counts["released"] += fate.refusal is None
        if fate.refusal is not None and not fate.waits_on:
            refused.append((fate, fate.refusal))
        elif isinstance(fate.entry.record, VoidRecord):
            batch.outcome.voids.append(_void(fate.entry, fate.entry.record))
    return refused


def _void(entry: Entry, record: VoidRecord) -> Void:
    return Void(
        reason=shown(record.reason),
        gateway_id=entry.gateway_id,
        number=entry.number,
        trace_id=entry.trace_id,
    )


async def _plans(connection: Connection, batch: Batch, fates: list[Fate]) -> _PlansOf:
    """Return the limits of everybody who ever had one of these readings' devices."""
    patients = {patient_id for fate in fates for patient_id in _assignees(fate, batch)}
    return await limits_of(connection, patients, batch.now)


def _assignees(fate: Fate, batch: Batch) -> set[UUID]:
    record = fate.entry.record
    if not isinstance(record, ReadingRecord):
        return set()
    return {one.patient_id for one in batch.devices.assignments.get(record.device.id, ())}


def _is_red(fate: Fate, batch: Batch, plans: _PlansOf) -> bool:
    """Tell whether somebody has to look now; the number will come again where it was reused."""
    record = fate.entry.record
    if not isinstance(record, ReadingRecord) or record.reading.kind is not Kind.MEASUREMENT:
        return False
    try:
        candidates = [plans[patient_id] for patient_id in _assignees(fate, batch)]
        return unowned.is_red(_values(record), candidates)
    except Exception:  # whatever goes wrong: nobody has judged it, so a person must look
        logger.exception("could not judge", extra={"trace_id": record.trace_id})
        return True


def _values(record: ReadingRecord) -> dict[Measure, Decimal]:
    given: dict[Measure, Number | None] = {}
    match record.reading:
        case BloodPressure() as cuff:
            given[Measure.SYSTOLIC] = in_mmhg(cuff.systolic, cuff.unit)
            given[Measure.DIASTOLIC] = in_mmhg(cuff.diastolic, cuff.unit)
            given[Measure.PULSE] = cuff.pulse_per_min
        case PulseOximetry() as spot:
            given[Measure.SPO2] = spot.spo2
            given[Measure.PULSE] = spot.pulse_per_min
        case HeartRate() as sensor:
            given[Measure.PULSE] = sensor.heart_rate_per_min
        case _:
            pass
    return {name: number for name, number in given.items() if isinstance(number, Decimal)}


def _unit(fate: Fate, batch: Batch) -> UUID | None:
    """Return whose it is to look: the gateway's unit, else that of a device that is known."""
    record = fate.entry.record
    device_id = record.device.id if isinstance(record, ReadingRecord) else ""
    return batch.units.get(fate.entry.gateway_id) or batch.devices.units.get(device_id)


def _row(fate: Fate, refusal: Refusal, batch: Batch, *, is_red: bool) -> QuarantineRow:
    entry, record = fate.entry, fate.entry.record
    return QuarantineRow(
        gateway_id=entry.gateway_id,
        care_unit_id=_unit(fate, batch),
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
        schema_version=entry.schema,
        received_at=fate.origin.received_at if fate.origin else None,
        priority=Level.RED if is_red else None,
        raised_at=_raised_at(fate, batch) if is_red else None,
    )


def _raised_at(fate: Fate, batch: Batch) -> datetime:
    """Return since when somebody should have looked: for another reason it waits no shorter."""
    return (fate.origin and fate.origin.raised_at) or batch.now
