"""What an advertisement and its scan response say, as bluetoothd reads them."""

from __future__ import annotations

from typing import Final

from bumble.core import UUID, AdvertisingData
from bumble.device import Advertisement

from virtual_devices.bluez.table import long_uuid

_NAMES: Final = (
    AdvertisingData.Type.COMPLETE_LOCAL_NAME,
    AdvertisingData.Type.SHORTENED_LOCAL_NAME,
)
_SERVICES: Final = (
    AdvertisingData.Type.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    AdvertisingData.Type.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
    AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
)


def name_in(advertisement: Advertisement) -> str | None:
    """Return the device's name, complete rather than shortened, if it says one."""
    for kind in _NAMES:
        name: str | None = advertisement.data.get(kind)
        if name:
            return name
    return None


def services_in(advertisement: Advertisement) -> list[str]:
    """Return the UUIDs of the services that the device says it has."""
    lists: list[list[UUID]] = []
    for kind in _SERVICES:
        lists += advertisement.data.get_all(kind)
    return [long_uuid(uuid) for uuids in lists for uuid in uuids]
