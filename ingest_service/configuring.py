"""Configurations of gateways: the next version from the one before, validated by the contract."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from device_adapters.contract.configuration import (
    MAX_PAIRING_S,
    AssignedDevice,
    GatewayConfiguration,
    decode_configuration,
)
from device_adapters.contract.elements import ContractError
from device_adapters.contract.messages import encode
from device_adapters.contract.standing import MAX_DEVICES
from ingest_service.store import configurations
from ingest_service.store.configurations import Latest
from ingest_service.store.connections import Connection

#: What a gateway can be told to talk to; whatever else is registered as a device is left out.
ADDRESS: Final = r"^[0-9A-F]{2}(:[0-9A-F]{2}){5}$"
#: A gateway that claims a version from here on is not believed: there must be room for ours.
MOST_VERSION: Final = 2**52
MOST_PAIRING_MIN: Final = MAX_PAIRING_S // 60

BY_JOBS: Final = "hemvital jobs"
_ADDRESS: Final = re.compile(ADDRESS)


class ConfigurationError(ValueError):
    """It cannot be a gateway's configuration; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be different from the version before; what is not given stays.

    ``devices`` names them, and ends following; ``follows_assignments`` takes those that stand
    with the gateway and that somebody has, now and whenever that changes; ``is_any_device`` is
    whatever an adapter serves. ``values`` are further elements of the contract by their names.
    """

    devices: Sequence[str] | None = None
    follows_assignments: bool = False
    is_any_device: bool = False
    pairing_minutes: int | None = None
    values: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The version that was made, and registered devices that no gateway can be told of."""

    configuration: GatewayConfiguration
    left_out: tuple[str, ...]


async def configure(
    connection: Connection, gateway_id: str, change: Change, *, by: str, now: datetime
) -> Made:
    """Make a gateway's next version; the jobs bring it there.

    Raises:
        ConfigurationError: If no such gateway is registered, or it cannot be told that.
    """
    latest = await configurations.latest(connection, gateway_id)
    if latest is None:
        raise ConfigurationError(f"no gateway {gateway_id!r} is registered")
    follows = change.follows_assignments or bool(
        latest.follows_assignments and change.devices is None and not change.is_any_device
    )
    elements = _before(latest, now) | dict(change.values)
    left_out: list[str] = []
    if follows:
        assigned = await configurations.assigned(connection, gateway_id, now)
        usable = [each for each in assigned if _ADDRESS.fullmatch(each)]
        left_out = [each for each in assigned if each not in usable] + usable[MAX_DEVICES:]
        elements["devices"] = [AssignedDevice(id=each) for each in usable[:MAX_DEVICES]]
    elif change.devices is not None:
        elements["devices"] = [AssignedDevice(id=each) for each in dict.fromkeys(change.devices)]
    elif change.is_any_device:
        elements["devices"] = None
    if change.pairing_minutes is not None:
        if not 0 <= change.pairing_minutes <= MOST_PAIRING_MIN:
            raise ConfigurationError(
                f"a pairing window is open for 1 to {MOST_PAIRING_MIN} minutes; 0 closes it"
            )
        until = now + timedelta(minutes=change.pairing_minutes)
        elements["pairing_until"] = until if change.pairing_minutes else None
    configuration = _valid(elements | {"version": _next(latest), "issued_at": now})
    await configurations.add(
        connection,
        gateway_id,
        version=configuration.version,
        at=now,
        by=by,
        follows_assignments=follows,
        pairing_until=configuration.pairing_until,
        body=encode(configuration),
    )
    return Made(configuration=configuration, left_out=tuple(left_out))


async def stale(connection: Connection, *, now: datetime, most: int) -> list[str]:
    """Return gateways that need another version though nobody asked for one.

    Their devices changed hands, or a gateway has a newer version than we know of: it takes none
    that is not newer still.
    """
    return await configurations.stale(
        connection,
        now=now,
        address=ADDRESS,
        most_devices=MAX_DEVICES,
        most_version=MOST_VERSION,
        most=most,
    )


def to_publish(body: str, *, now: datetime) -> bytes:
    """Return a stored configuration as it may be published now: a window that passed is shut.

    A gateway whose clock is wrong would open it again.

    Raises:
        ContractError: If this program cannot read what is stored.
    """
    configuration = decode_configuration(body.encode())
    if configuration.pairing_until is not None and configuration.pairing_until <= now:
        configuration = msgspec.structs.replace(configuration, pairing_until=None)
    return encode(configuration)


def _before(latest: Latest, now: datetime) -> dict[str, Any]:
    if latest.body is None:
        return {}
    try:
        return msgspec.structs.asdict(decode_configuration(to_publish(latest.body, now=now)))
    except ContractError as error:
        raise ConfigurationError(f"version {latest.version} cannot be read: {error}") from error


def _next(latest: Latest) -> int:
    reported = latest.reported or 0
    return max(latest.version or 0, reported if reported < MOST_VERSION else 0) + 1


def _valid(elements: Mapping[str, object]) -> GatewayConfiguration:
    """Return the configuration that a gateway will read, by the reader that it reads with."""
    try:
        return decode_configuration(msgspec.json.encode(elements))
    except ContractError as error:
        raise ConfigurationError(str(error)) from error
