"""Take over what known devices say of themselves: who made them, which ones they are."""

from __future__ import annotations

from device_adapters.contract.messages import Device
from ingest_service.admission.batch import Batch
from ingest_service.store import devices
from ingest_service.store.connections import Connection
from ingest_service.store.devices import Description, DescriptionRow


async def describe(connection: Connection, batch: Batch) -> None:
    """Write what the stored readings' devices said, where it is news: it rarely is."""
    said = {fate.record.device.id: fate.record.device for fate, _ in batch.admitted()}
    news = [
        row
        for device_id, device in said.items()
        if (known := batch.devices.descriptions.get(device_id))
        and _is_news(row := _row(device), known)
    ]
    if news:
        await devices.describe(connection, news)


def _row(device: Device) -> DescriptionRow:
    return DescriptionRow(
        id=device.id,
        manufacturer=_legible(device.manufacturer),
        model=_legible(device.model),
        serial=_legible(device.serial),
        firmware=_legible(device.firmware),
    )


def _legible(text: str | None) -> str | None:
    """Return what people can read of it: some devices pad with NUL, which no database takes."""
    return "".join(c for c in text or "" if c.isprintable()).strip() or None


def _is_news(row: DescriptionRow, known: Description) -> bool:
    return (
        (known.manufacturer is None and row.manufacturer is not None)
        or (known.model is None and row.model is not None)
        or (known.serial is None and row.serial is not None)
        or (row.firmware is not None and row.firmware != known.firmware)
    )
