"""Numbers that gateways gave their records: claimed once, and answered for."""

from __future__ import annotations

from ingest_service.admission.batch import Batch
from ingest_service.admission.fate import Fate, Result
from ingest_service.admission.incoming import Reason, Refusal
from ingest_service.admission.outcome import receipts_of, runs_of
from ingest_service.store import deliveries
from ingest_service.store.connections import Connection
from ingest_service.store.deliveries import DeliveryRow, Key

_REUSED = Refusal(Reason.NUMBER_REUSED, "the gateway used this number for other bytes before")


async def claim(connection: Connection, batch: Batch) -> None:
    """Write down the numbers; what was sent before is counted and goes no further."""
    rows = [row for fate in batch.fates if (row := _row(fate))]
    digests = {row.key: row.digest for row in rows}
    before = await deliveries.claim(connection, rows) if rows else set[Key]()
    if before:
        digests |= await deliveries.digests(connection, before)
    fates: list[Fate] = []
    for fate in batch.fates:
        if fate.entry.key in before and fate.origin is None:
            batch.repeats.append(fate.entry)
        else:
            fates.append(fate)
    for entry in batch.repeats:
        if entry.key is None or not entry.is_other_than(digests[entry.key]):
            batch.outcome.counts[Result.DUPLICATE] += 1
            continue
        batch.outcome.counts["conflict"] += 1
        batch.conflicts.append(entry.key)
        fates.append(Fate(entry, refusal=_REUSED))
    batch.fates = fates


async def receipt(connection: Connection, batch: Batch) -> None:
    """Add every number of the batch to what was received, and say so to its gateways."""
    if runs := runs_of(batch.entries):
        received = await deliveries.receive(connection, runs)
        batch.outcome.receipts += receipts_of(received, batch.conflicts)


def _row(fate: Fate) -> DeliveryRow | None:
    entry = fate.entry
    if entry.epoch is None or entry.number is None or fate.origin:
        return None
    return DeliveryRow(
        gateway_id=entry.gateway_id,
        epoch=entry.epoch,
        number=entry.number,
        digest=entry.digest,
        outcome=fate.result,
        record_id=entry.record_id,
    )
