"""What the server is told, when, and how often: the status whole, events until they are taken."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from device_adapters.contract.configuration import GatewayConfiguration, ScanMode
from device_adapters.contract.messages import MAX_SENT_BYTES, encode
from device_adapters.contract.standing import (
    MAX_CONDITIONS,
    MAX_DEVICES,
    DeviceStanding,
    GatewayStatus,
    Happening,
    Problem,
    decode_event,
    decode_status,
)
from gateway.configuration import Configuring
from gateway.credentials import CertificateFacts
from gateway.standing import Standing
from gateway.store import said
from gateway.store.database import Database
from gateway.store.events import Events
from gateway.store.outbox import Outbox
from gateway.telling import Parts, Telling
from tests.unit.gateway.fakes import BOOT, START, FakeClock

CUFF = "F0:00:00:00:00:01"


class Broker:
    """Takes what it is given while it is connected; keeps the contract of the client."""

    def __init__(self) -> None:
        self.is_connected = True
        self.problem: str | None = None
        self.has_told = asyncio.Event()
        self.statuses: list[GatewayStatus] = []
        self.events: list[tuple[int, str | None]] = []

    def publish_status(self, status: GatewayStatus) -> None:
        if self.is_connected:
            self.statuses.append(decode_status(encode(status)))
            self.has_told.set()

    def publish_event(self, number: int, payload: bytes) -> bool:
        if self.is_connected:
            self.events.append((number, decode_event(payload).detail))
        return self.is_connected


class Quiet:
    """A radio and a window that are told things and do nothing."""

    def configure(self, devices: Collection[str] | None, scan_mode: ScanMode) -> None:
        """Listen so."""

    def open(self, for_s: float) -> None:
        """Open."""


class Gateway:
    """All that is asked when the gateway tells how it stands."""

    def __init__(self, database: Database, outbox: Outbox, clock: FakeClock, path: Path) -> None:
        self.database = database
        self.broker, self.events = Broker(), Events(database)
        self.standing = Standing(database, clock, self.events)
        self.devices: list[DeviceStanding] = []
        self.configuring = Configuring(
            database,
            clock,
            self.standing,
            listening=Quiet(),
            window=Quiet(),
            apply=_ignore,
            fallback=(),
            directory=path,
        )
        parts = Parts(
            outbox=outbox,
            standing=self.standing,
            events=self.events,
            configuring=self.configuring,
            is_listening=lambda: True,
            devices=lambda: self.devices,
            certificate=lambda: CertificateFacts(
                not_before=START, not_after=START + timedelta(days=90)
            ),
            pairing_left_s=lambda: 600.0,
        )
        self.telling = Telling(
            database, clock, self.broker, parts, directory=path, software="hemvital test"
        )
        self.standing.tell(self.telling.soon)

    def note(self, *details: str) -> None:
        for detail in details:
            self.standing.note(Happening.CONFIGURED, detail=detail)


def _ignore(_: GatewayConfiguration) -> None:
    """Nothing else is configured here."""


@pytest.fixture
async def gateway(database: Database, outbox: Outbox, clock: FakeClock, tmp_path: Path) -> Gateway:
    return Gateway(database, outbox, clock, tmp_path)


async def test_the_status_is_whole(gateway: Gateway, outbox: Outbox, clock: FakeClock) -> None:
    gateway.configuring.take(
        encode(GatewayConfiguration(version=4, issued_at=START, channel="beta"))
    )
    gateway.standing.begin(Problem.BATTERY_LOW, device_id=CUFF, detail="12 %")
    gateway.devices = [DeviceStanding(id=CUFF, seen_at=START, battery_percent=12)]
    clock.pass_s(60)

    gateway.telling.tell()

    (status,) = gateway.broker.statuses
    told = msgspec.structs.asdict(status)
    assert told.pop("size_bytes") > 0
    (condition,) = told.pop("conditions")
    assert (condition.kind, condition.since) == (Problem.BATTERY_LOW, START)
    assert told == {
        "is_online": True,
        "at": START + timedelta(seconds=60),
        "software": "hemvital test",
        "channel": "beta",
        "boot_id": BOOT,
        "started_at": START,
        "is_clock_synchronised": True,
        "is_listening": True,
        "epoch": outbox.epoch,
        "last_number": 0,
        "undelivered": 0,
        "oldest_undelivered_at": None,
        "configuration": 4,
        "certificate_ends_at": START + timedelta(days=90),
        "devices": (DeviceStanding(id=CUFF, seen_at=START, battery_percent=12),),
    }


async def test_the_start_is_told_by_the_clock_of_today(
    gateway: Gateway, clock: FakeClock, database: Database, outbox: Outbox, tmp_path: Path
) -> None:
    clock.is_synchronised = False
    started = Gateway(database, outbox, clock, tmp_path)
    clock.pass_s(60)
    clock.at += timedelta(days=3)
    clock.is_synchronised = True

    started.telling.tell()

    assert started.broker.statuses[0].started_at == START + timedelta(days=3)


async def test_the_largest_status_fits_a_message(gateway: Gateway) -> None:
    gateway.devices = [
        DeviceStanding(
            id=f"F0:00:00:00:00:{number:02X}",
            adapter="a" * 64,
            seen_at=START,
            visited_at=START,
            given_at=START,
            battery_percent=100,
            battery_at=START,
        )
        for number in range(MAX_DEVICES + 5)
    ]
    for number in range(MAX_CONDITIONS):
        gateway.standing.begin(
            Problem.DEVICE_REFUSED,
            device_id=f"F0:00:00:00:{number // 256:02X}:{number % 256:02X}",
            detail="\U0001f4a5" * 200,
        )

    status = gateway.telling.status()

    assert len(encode(status)) <= MAX_SENT_BYTES
    assert (len(status.conditions), len(status.devices)) == (MAX_CONDITIONS, MAX_DEVICES)


async def test_several_changes_are_told_together(
    gateway: Gateway,
) -> None:
    for _ in range(5):
        gateway.standing.begin(Problem.RADIO_DEAF)
        gateway.standing.begin(Problem.DISK_FULL)
    at_once = len(gateway.broker.statuses)

    async with asyncio.timeout(5):
        await gateway.broker.has_told.wait()

    assert at_once == 0
    assert len(gateway.broker.statuses) == 1
    assert len(gateway.broker.statuses[0].conditions) == 2


async def test_events_go_one_by_one_and_stay_until_somebody_takes_them(gateway: Gateway) -> None:
    gateway.note("one", "two")

    gateway.telling.tell()
    (first, _) = gateway.broker.events[0]
    gateway.telling.event_answered(first, is_taken=False)  # 0x10: nobody subscribes
    refused = list(gateway.broker.events)
    gateway.telling.tell()  # a minute later
    gateway.telling.event_answered(first, is_taken=True)
    gateway.telling.event_answered(first, is_taken=True)  # the second copy's answer
    (second, _) = gateway.broker.events[-1]
    gateway.telling.event_answered(second, is_taken=True)
    gateway.telling.tell()

    assert [detail for _, detail in refused] == ["one"]
    assert [detail for _, detail in gateway.broker.events] == ["one", "one", "two"]
    assert gateway.events.oldest() is None


async def test_a_reconnect_asks_again(gateway: Gateway) -> None:
    gateway.note("one")
    gateway.telling.tell()
    gateway.broker.is_connected = False
    gateway.telling.tell()
    gateway.broker.is_connected = True

    gateway.telling.connected()

    assert [detail for _, detail in gateway.broker.events] == ["one", "one"]


async def test_what_only_the_gateway_knows_is_kept_for_whoever_asks_the_file(
    gateway: Gateway, database: Database, clock: FakeClock
) -> None:
    gateway.broker.is_connected, gateway.broker.problem = False, "Network is unreachable"
    gateway.telling.tell()
    before = database.connection.total_changes
    for _ in range(10):
        clock.pass_s(2)
        gateway.telling.tell()
    unchanged = database.connection.total_changes - before

    spoken = said.read(database.connection)

    assert spoken is not None
    assert spoken[0].broker_problem == "Network is unreachable"
    assert spoken[0].certificate_ends_at == START + timedelta(days=90)
    assert spoken[0].pairing_until is not None
    assert unchanged == 0
