"""A visit whose adapter fails: the visit's problem, and nobody else's."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import pytest
from bleak.backends.device import BLEDevice

from device_adapters.contract.readings import Reading
from device_adapters.session import Command, Session
from gateway.ble import visit
from gateway.ble.visit import Sighting, Visitor
from gateway.observability import Metrics
from gateway.store.journal import Journal
from tests.unit.gateway.fakes import CUFF, FakeClock


class BrokenSession:
    """Raises though a session never may."""

    idle_s = 1.0

    def start(self) -> Sequence[Command]:
        raise IndexError("somebody else's bug")

    def receive(self, characteristic: str, value: bytes) -> Sequence[Command]:
        raise NotImplementedError

    def expire(self) -> Sequence[Command]:
        raise NotImplementedError


class BrokenAdapter:
    """A third party's adapter that does not keep its promise."""

    record_characteristics: frozenset[str] = frozenset()

    def matches(self, name: str | None, services: Collection[str]) -> bool:
        return True

    def open(self, characteristics: Collection[str]) -> Session:
        return BrokenSession()

    def decode(self, characteristic: str, value: bytes) -> Reading | None:
        raise NotImplementedError


class NoServices:
    """A device that has shown nothing."""

    def __iter__(self) -> Iterator[object]:
        return iter(())

    def get_characteristic(self, _uuid: str) -> None:
        return None


class NoBattery:
    """A BlueZ that has read no battery."""

    async def battery(self, path: str) -> int | None:
        return None


class Client:
    """A connection that holds until somebody hangs up."""

    def __init__(self) -> None:
        self.is_connected = True
        self.services = NoServices()

    async def disconnect(self) -> None:
        self.is_connected = False


async def test_an_adapter_that_fails_ends_its_visit_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, journal: Journal, clock: FakeClock
) -> None:
    client = Client()

    async def connect(*_args: object, **_options: object) -> Client:
        return client

    monkeypatch.setattr(visit, "establish_connection", connect)
    visitor = Visitor(journal, {"broken": BrokenAdapter()}, clock, Metrics(), lambda: None)
    device = BLEDevice(CUFF.id, "Cuff", {})

    outcome = await visitor.visit(
        Sighting(device=device, address=CUFF.id, name="Cuff", adapter="broken"), NoBattery()
    )

    assert outcome.problem == "adapter failed: IndexError"
    assert not client.is_connected
