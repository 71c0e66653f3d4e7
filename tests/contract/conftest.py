"""Fixtures of the contract suites."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.support.radio import RadioWorld, on_bus, radio_world

LOUD = "F0:00:00:00:01:01"


@pytest.fixture(scope="module")
def world() -> Generator[RadioWorld]:
    """A radio world for one module; its tests use devices with addresses of their own."""
    radio = ("--supervision-s", "0.5", "--rssi", f"{LOUD}=-77")
    with radio_world(radio=radio, bluez=("--expire-s", "3")) as started, on_bus(started):
        yield started
