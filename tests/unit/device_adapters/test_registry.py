"""Which adapters are installed, and which serves a device."""

from __future__ import annotations

from device_adapters import registry
from device_adapters.gatt import blood_pressure, pulse_oximeter


def test_finds_our_own_adapters_as_it_finds_a_third_partys() -> None:
    adapters = registry.load()

    assert adapters["blood-pressure-service"] is blood_pressure.ADAPTER
    assert adapters["pulse-oximeter-service"] is pulse_oximeter.ADAPTER


def test_chooses_by_what_is_advertised() -> None:
    adapters = registry.load()

    chosen = registry.choose(adapters, "Oximeter", [pulse_oximeter.SERVICE])

    assert chosen == "pulse-oximeter-service"


def test_leaves_other_devices_alone() -> None:
    heart_rate = "0000180d-0000-1000-8000-00805f9b34fb"

    assert registry.choose(registry.load(), "Headphones", [heart_rate]) is None
