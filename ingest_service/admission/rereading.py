"""What waits in the quarantine, read by this program as if it came now."""

from __future__ import annotations

from device_adapters.contract.messages import (
    ContractError,
    Delivery,
    decode_message,
    is_supported,
    record_count,
)
from ingest_service.admission.incoming import Entry, entry_of
from ingest_service.store.quarantine import Waiting


def reread(row: Waiting) -> list[Entry]:
    """Return the records of an entry; none where it still cannot be read.

    What never said where it belongs among its gateway's records has no number that it could be
    kept under, and of what was too large only the start is there: both are for a person.
    """
    if row.epoch is None or row.number is None:
        return []
    if row.schema_version is None:
        return [entry_of(row.gateway_id, row.epoch, row.number, row.payload)]
    if not is_supported(row.schema_version):
        return []
    try:
        delivery = Delivery(
            epoch=row.epoch,
            first=row.number,
            count=record_count(row.payload),
            schema=row.schema_version,
        )
        encoded = decode_message(row.payload, delivery)
    except ContractError:
        return []
    return [
        entry_of(row.gateway_id, row.epoch, number, record)
        for number, record in zip(delivery.numbers, encoded, strict=True)
    ]
