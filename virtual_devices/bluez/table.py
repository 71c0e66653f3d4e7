"""The GATT table of a device, discovered once and kept by address as bluetoothd keeps it."""

# Bumble's GATT client leaves parameters untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import uuid as uuid_module
from dataclasses import dataclass

from bumble.core import UUID
from bumble.gatt import Characteristic
from bumble.gatt_client import Client


@dataclass(frozen=True, slots=True)
class DescriptorEntry:
    """One descriptor."""

    handle: int
    uuid: str


@dataclass(frozen=True, slots=True)
class CharacteristicEntry:
    """One characteristic; ``handle`` is its value's."""

    handle: int
    uuid: str
    properties: Characteristic.Properties
    descriptors: tuple[DescriptorEntry, ...]


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """One primary service."""

    handle: int
    uuid: str
    characteristics: tuple[CharacteristicEntry, ...]


Table = tuple[ServiceEntry, ...]


async def discover(client: Client) -> Table:
    """Ask a device for all it has.

    Raises:
        bumble.core.BaseBumbleError: If the link fails on the way.
    """
    services: list[ServiceEntry] = []
    for service in await client.discover_services():
        characteristics: list[CharacteristicEntry] = []
        for each in await service.discover_characteristics():
            descriptors = tuple(
                DescriptorEntry(descriptor.handle, long_uuid(descriptor.type))
                for descriptor in await each.discover_descriptors()
            )
            characteristics.append(
                CharacteristicEntry(
                    each.handle, long_uuid(each.uuid), each.properties, descriptors
                )
            )
        services.append(
            ServiceEntry(service.handle, long_uuid(service.uuid), tuple(characteristics))
        )
    return tuple(services)


def long_uuid(uuid: UUID) -> str:
    """Return a UUID with 128 bits, lower case, as BlueZ writes all of them."""
    return str(uuid_module.UUID(bytes=uuid.to_bytes(force_128=True)[::-1]))
