"""Put away what was refused: counted, told, and kept with its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from device_adapters.contract.messages import ReadingRecord
from ingest_service.admission.batch import Batch
from ingest_service.admission.incoming import Entry, Refusal, shown
from ingest_service.admission.outcome import Refused
from ingest_service.store import quarantine
from ingest_service.store.connections import Connection
from ingest_service.store.quarantine import QuarantineRow


async def put_away(connection: Connection, batch: Batch) -> None:
    """Count every record's end, and keep what was refused with its bytes."""
    rows: list[QuarantineRow] = []
    for fate in batch.fates:
        entry, refusal = fate.entry, fate.refusal
        if fate.is_released:
            batch.outcome.counts["released"] += refusal is None
            continue
        batch.outcome.counts[fate.result] += 1
        if refusal is None:
            continue
        batch.outcome.refused.append(
            Refused(
                reason=refusal.reason,
                gateway_id=entry.gateway_id,
                number=entry.number,
                trace_id=entry.trace_id,
            )
        )
        if entry.encoded or entry.is_first:
            rows.append(_row(entry, refusal, batch.units))
    if rows:
        await quarantine.add(connection, rows)


def _row(entry: Entry, refusal: Refusal, units: Mapping[str, UUID]) -> QuarantineRow:
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
