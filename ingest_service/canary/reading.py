"""What the canary sends, as a gateway would: how it stands, and a reading."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from device_adapters.contract import identity
from device_adapters.contract.messages import (
    SCHEMA_VERSION,
    Delivery,
    Device,
    ReadingRecord,
    Reception,
    TimeQuality,
    encode,
    encode_message,
)
from device_adapters.contract.readings import NAN, PulseOximetry
from device_adapters.contract.standing import GatewayStatus
from ingest_service.canary.nobody import DEVICE, SPO2

_CHARACTERISTIC: Final = "00002a5e-0000-1000-8000-00805f9b34fb"  # PLX Spot-Check Measurement


def message(
    epoch: UUID, number: int, *, at: datetime, trace_id: str, span_id: str
) -> tuple[bytes, list[tuple[str, str]]]:
    """Return the payload and the user properties that carry one reading measured ``at``.

    It has no identity of its own, as a reading without a clock has none: it goes by epoch and
    number. Its bytes hold both, so that no two are alike.
    """
    record = ReadingRecord(
        record_id=identity.of_gateway_number(epoch, number),
        is_identity_own=False,
        device=Device(id=DEVICE),
        reset_generation=0,
        adapter="canary",
        reception=Reception(
            characteristic=_CHARACTERISTIC,
            raw=epoch.bytes + number.to_bytes(8, "little"),
            received_at=at,
            boot_id=epoch,
            monotonic_ns=number,
            is_clock_synchronised=True,
        ),
        effective_at=at,
        time_quality=TimeQuality.SYNCHRONISED,
        reading=PulseOximetry(spo2=SPO2, pulse_per_min=NAN),
        trace_id=trace_id,
    )
    delivery = Delivery(
        epoch=epoch,
        first=number,
        count=1,
        schema=SCHEMA_VERSION,
        traceparent=f"00-{trace_id}-{span_id}-01",
    )
    return encode_message(at, [encode(record)]), delivery.to_properties()


def status(epoch: UUID, number: int, *, at: datetime) -> bytes:
    """Return the payload that says that the canary is there; of a radio it says nothing."""
    return encode(
        GatewayStatus(
            is_online=True,
            at=at,
            software="canary",
            is_clock_synchronised=True,
            epoch=epoch,
            last_number=number,
            undelivered=0,
        )
    )
