"""Fixtures of the contract suites."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator

import pytest
import pytest_asyncio
from bleak.backends.bluezdbus.manager import get_global_bluez_manager

from tests.support.radio import RadioWorld, on_bus, radio_world

LOUD = "F0:00:00:00:01:01"


@pytest.fixture(scope="module")
def world() -> Generator[RadioWorld]:
    """A radio world for one module; its tests use devices with addresses of their own."""
    radio = ("--supervision-s", "0.5", "--rssi", f"{LOUD}=-77")
    with radio_world(radio=radio, bluez=("--expire-s", "2")) as started, on_bus(started):
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def bleak_released(world: RadioWorld) -> AsyncGenerator[None]:
    """Close the connection that bleak keeps for its event loop."""
    yield
    bus = (await get_global_bluez_manager())._bus  # pyright: ignore[reportPrivateUsage] - no other way
    assert bus is not None
    bus.disconnect()
    await bus.wait_for_disconnect()
    await asyncio.sleep(0)
