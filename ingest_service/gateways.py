"""Gateways as they stand, put together from what is stored; no patient is named."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta

from device_adapters.contract.elements import ContractError
from device_adapters.contract.standing import GatewayStatus, decode_status
from ingest_service.alerts import silence
from ingest_service.alerts.silence import Explanation, Gateway, SilentDevice, Wrong
from ingest_service.store import standing
from ingest_service.store.connections import Connection
from ingest_service.store.standing import HomeDevice, Standing

_Ears = tuple[datetime, datetime] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDevice:
    """A device of a home and why nothing comes of it, if nothing came."""

    device: HomeDevice
    why: tuple[Explanation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownGateway:
    """A gateway, what is known of it, and what keeps its readings from us."""

    standing: Standing
    gateway: Gateway
    why: tuple[Explanation, ...]


async def every(connection: Connection, *, now: datetime) -> AsyncGenerator[ShownGateway]:
    """Yield every registered gateway, in the order of their ids."""
    ears = await standing.listener(connection)
    after = ""
    while page := await standing.page(connection, after=after):
        for row in page:
            yield _shown(row, ears, now)
        after = page[-1].gateway_id


async def one(connection: Connection, gateway_id: str, *, now: datetime) -> ShownGateway | None:
    """Return a gateway, or nothing if no such one is registered."""
    ears = await standing.listener(connection)
    found = await standing.page(connection, gateway_id=gateway_id, most=1)
    return _shown(found[0], ears, now) if found else None


async def devices(
    connection: Connection, shown: ShownGateway, *, now: datetime, not_seen_after: timedelta
) -> list[ShownDevice]:
    """Return the devices of a gateway's home, each with why nothing comes of it."""
    said = shown.gateway.said
    spoken_of = [each.id for each in said.devices] if said else []
    found = await standing.devices(connection, shown.standing.gateway_id, spoken_of, now)
    return [
        ShownDevice(
            device=each,
            why=silence.of_device(
                shown.gateway, silent(each), now=now, not_seen_after=not_seen_after
            ),
        )
        for each in found
    ]


def silent(device: HomeDevice) -> SilentDevice:
    """Return a device as the explanation of its silence needs it."""
    return SilentDevice(
        id=device.id,
        assigned_since=device.assigned_since,
        last_reading_at=device.last_reading_at,
    )


def _shown(row: Standing, ears: _Ears, now: datetime) -> ShownGateway:
    gateway = Gateway(
        is_online=row.is_online,
        heard_at=row.heard_at,
        changed_at=row.changed_at,
        said=_status(row.said),
        wrong=_wrong(row),
        listening_since=ears[0] if ears else None,
        listened_at=ears[1] if ears else None,
    )
    return ShownGateway(standing=row, gateway=gateway, why=silence.of_gateway(gateway, now=now))


def _wrong(row: Standing) -> tuple[Wrong, ...]:
    return tuple(
        Wrong(
            kind=each.kind,
            since=each.since,
            is_since_trusted=each.is_since_trusted,
            device_id=each.device_id,
            detail=each.detail,
        )
        for each in row.conditions
    )


def _status(said: str | None) -> GatewayStatus | None:
    if said is None:
        return None
    try:
        return decode_status(said.encode())
    except ContractError:
        return None  # an older program wrote it, and this one reads it no more
