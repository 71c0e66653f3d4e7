"""Which adapters are installed, and which of them serves a device."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import entry_points
from typing import Final, cast

from device_adapters.session import DeviceAdapter

GROUP: Final = "hemvital.device_adapters"

Adapters = Mapping[str, DeviceAdapter]


def load() -> Adapters:
    """Return every installed adapter by its entry point's name, in the order of the names.

    Ours register in the same group as a third party's. The name travels with each record, and
    journalled or kept bytes are decoded by the adapter of that name: never rename one.

    Raises:
        ValueError: If two distributions give one name.
        ImportError: If an adapter cannot be imported.
    """
    adapters: dict[str, DeviceAdapter] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        if point.name in adapters:
            raise ValueError(f"two adapters are called {point.name!r} in {GROUP}")
        # What a third party registers is its promise: entry points carry no types.
        adapters[point.name] = cast("DeviceAdapter", point.load())
    return adapters


def choose(adapters: Adapters, name: str | None, services: Collection[str]) -> str | None:
    """Return the name of the adapter for a device by one advertisement, ``None`` without one.

    Args:
        adapters: As `load` returns them; the first that matches is taken.
        name: Local name, if one was advertised.
        services: Advertised service UUIDs, 128-bit, lower case.
    """
    return next((key for key, each in adapters.items() if each.matches(name, services)), None)
