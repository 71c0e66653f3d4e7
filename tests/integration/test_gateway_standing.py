"""How a gateway stands, on the real broker: events, refusals, a renewed certificate, status."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
import trustme
from paho.mqtt.client import MQTTMessage

from deploy.local.services import Services
from device_adapters.contract.configuration import AssignedDevice, GatewayConfiguration
from device_adapters.contract.messages import encode
from device_adapters.contract.standing import (
    GatewayEvent,
    GatewayStatus,
    Happening,
    Problem,
    decode_event,
    decode_status,
)
from device_adapters.contract.topics import Leaf, mounted
from gateway.clock import Moment
from gateway.publisher import MqttPublisher
from gateway.refusals import explain
from gateway.settings import Settings, load
from tests.support.gateway import FakeIngest, GatewayProcess, gateway_environment
from tests.support.services import Broker

pytestmark = pytest.mark.broker

START: Final = datetime(2026, 11, 23, 7, 10, 30, tzinfo=UTC)


class Listener(FakeIngest):
    """An ingest that hears events too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.events: list[GatewayEvent] = []

    def _subscribe(self, *arguments: Any) -> None:
        super()._subscribe(*arguments)
        self._client.subscribe(mounted(self.gateway_id, Leaf.EVENTS), 1)

    def _take(self, client: Any, data: object, message: MQTTMessage) -> None:
        if not message.topic.endswith(Leaf.EVENTS):
            super()._take(client, data, message)
            return
        with self._changed:
            self.events.append(decode_event(bytes(message.payload)))
            self._changed.notify_all()

    @property
    def status(self) -> GatewayStatus:
        return decode_status(self.statuses[-1])

    def holds(self, problem: Problem) -> bool:
        return bool(self.statuses) and problem in {each.kind for each in self.status.conditions}


@pytest.fixture
def gateway_id() -> str:
    return f"gateway-{secrets.token_hex(4)}"


@pytest.fixture
def settings(broker: Broker, gateway_id: str, tmp_path: Path) -> Settings:
    return load(gateway_environment(broker, gateway_id, tmp_path / "state"))


@pytest.fixture
def own_files(settings: Settings, tmp_path: Path) -> Settings:
    """The same gateway with certificate files that the test may change."""
    files = tmp_path / "own.pem", tmp_path / "own.key"
    shutil.copy(settings.broker_certificate, files[0])
    shutil.copy(settings.broker_key, files[1])
    return msgspec.structs.replace(settings, broker_certificate=files[0], broker_key=files[1])


def issue(services: Services, settings: Settings, *, not_after: datetime) -> None:
    """Write another certificate of the gateway, as a renewal does: one rename after the other."""
    authority = services.certificates.gateways.certificate
    issuer = trustme.CA.from_pem(
        authority.read_bytes(), authority.with_suffix(".key").read_bytes()
    )
    issued = issuer.issue_cert(common_name=settings.id, not_after=not_after)
    for file, pem in (
        (settings.broker_certificate, issued.cert_chain_pems[0]),
        (settings.broker_key, issued.private_key_pem),
    ):
        fresh = file.with_suffix(".new")
        pem.write_to_path(fresh)
        fresh.replace(file)


class Connection:
    """A publisher, and what it says of its connection."""

    def __init__(self, settings: Settings) -> None:
        self.publisher = MqttPublisher(settings)
        self.connects = 0
        self.said: list[str] = []
        self.answers: list[tuple[int, bool]] = []
        self.publisher.start(
            on_change=lambda: None,
            on_connected=self._count,
            on_refused=self.said.append,
            on_event=lambda number, is_taken: self.answers.append((number, is_taken)),
        )

    def _count(self) -> None:
        self.connects += 1

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not condition():  # noqa: ASYNC110 - another thread's doing has no event
                await asyncio.sleep(0.01)


@asynccontextmanager
async def connecting(settings: Settings) -> AsyncGenerator[Connection]:
    connection = Connection(settings)
    try:
        yield connection
    finally:
        await connection.publisher.stop(5)


async def test_an_event_is_taken_once_somebody_hears_it(
    broker: Broker, gateway_id: str, settings: Settings
) -> None:
    event = GatewayEvent(
        id=UUID(int=1), at=START, is_clock_synchronised=True, kind=Happening.STARTED
    )
    async with connecting(settings) as connection:
        await connection.until(lambda: connection.connects == 1)
        connection.publisher.publish_event(1, encode(event))
        await connection.until(lambda: len(connection.answers) == 1)
        with Listener(broker, gateway_id) as listener:
            await asyncio.sleep(0.2)  # its second subscription has no answer to wait for
            connection.publisher.publish_event(1, encode(event))
            await connection.until(lambda: len(connection.answers) == 2)
            listener.wait_for(lambda: listener.events == [event], "the event")

    assert connection.answers == [(1, False), (1, True)]


async def test_an_expired_certificate_is_named_and_its_renewal_used_without_a_restart(
    services: Services, own_files: Settings
) -> None:
    issue(services, own_files, not_after=datetime(2026, 1, 1, tzinfo=UTC))

    async with connecting(own_files) as connection:
        await connection.until(lambda: bool(connection.said))
        issue(services, own_files, not_after=datetime.now(UTC) + timedelta(days=30))
        await connection.until(lambda: connection.connects == 1)

    now = Moment(at=datetime.now(UTC), monotonic_ns=1, is_synchronised=True)
    causes = {
        explain(said, broker="broker", now=now, certificate=None) for said in connection.said
    }
    assert "the gateway's certificate has expired" in causes
    # A write may meet the connection that is already gone: that alone is no refusal.
    assert causes <= {"the gateway's certificate has expired", None}


async def test_a_connected_gateway_takes_a_renewed_certificate_once(
    services: Services, own_files: Settings
) -> None:
    async with connecting(own_files) as connection:
        await connection.until(lambda: connection.connects == 1)
        connection.publisher.renew()
        issue(services, own_files, not_after=datetime.now(UTC) + timedelta(days=30))
        connection.publisher.renew()
        await connection.until(lambda: connection.connects == 2)
        connection.publisher.renew()
        await asyncio.sleep(0.5)

        assert connection.publisher.is_connected
    assert connection.connects == 2


async def test_half_a_renewal_breaks_nothing(services: Services, own_files: Settings) -> None:
    kept = own_files.broker_key.read_bytes()
    async with connecting(own_files) as connection:
        await connection.until(lambda: connection.connects == 1)
        issue(services, own_files, not_after=datetime.now(UTC) + timedelta(days=30))
        renewed = own_files.broker_key.read_bytes()
        own_files.broker_key.write_bytes(kept)  # the certificate is new, its key is not yet
        connection.publisher.renew()
        await connection.until(lambda: connection.connects == 2)
        own_files.broker_key.write_bytes(renewed)
        connection.publisher.renew()
        await connection.until(lambda: connection.connects == 3)


async def test_a_second_gateway_of_the_same_id_is_named(settings: Settings) -> None:
    async with connecting(settings) as first:
        await first.until(lambda: first.connects == 1)
        async with connecting(settings) as second:
            await second.until(lambda: second.connects == 1)
            await first.until(lambda: bool(first.said))

    assert first.said[0] == "refused: Session taken over"


@contextmanager
def running(
    broker: Broker, gateway_id: str, directory: Path, **changes: str
) -> Generator[GatewayProcess]:
    environment = gateway_environment(broker, gateway_id, directory / "state") | changes
    # No radio: nothing listens on this bus.
    environment["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={directory / 'no-bus'}"
    process = GatewayProcess(environment, directory / "gateway.log")
    try:
        yield process
    except BaseException as error:
        process.kill()
        error.add_note(process.text())
        raise
    assert process.stop() == 0, process.text()


def status_of(state: Path) -> tuple[int, dict[str, Any]]:
    program = Path(sys.executable).with_name("hemvital-gateway")
    done = subprocess.run(
        [str(program), "status", "--json", "--state", str(state)], capture_output=True, check=False
    )
    return done.returncode, json.loads(done.stdout)


def test_a_whole_gateway_tells_what_is_wrong_and_takes_its_configuration(
    broker: Broker, gateway_id: str, tmp_path: Path
) -> None:
    mark = tmp_path / "synchronized"
    clock = {"HEMVITAL_GATEWAY_CLOCK": "file", "HEMVITAL_GATEWAY_CLOCK_FILE": str(mark)}
    configuration = GatewayConfiguration(
        version=3,
        issued_at=datetime.now(UTC),
        devices=(AssignedDevice(id="F0:00:00:00:00:01"),),
        channel="beta",
    )
    with (
        Listener(broker, gateway_id) as listener,
        running(broker, gateway_id, tmp_path, **clock),
    ):
        listener.wait_for(lambda: listener.holds(Problem.CLOCK_UNTRUSTED), "an untrusted clock")
        mark.touch()
        listener.wait_for(lambda: not listener.holds(Problem.CLOCK_UNTRUSTED), "a trusted one")
        listener.say(Leaf.CONFIG, encode(configuration))
        listener.wait_for(lambda: listener.status.configuration == 3, "its version")
        listener.say(Leaf.CONFIG, b'{"version": 4}')
        listener.wait_for(lambda: listener.holds(Problem.CONFIGURATION_REFUSED), "the refusal")
        status = listener.status
        listener.wait_for(lambda: len(listener.events) >= 6, "its events")
        code, told = status_of(tmp_path / "state")

    assert (status.configuration, status.channel) == (3, "beta")
    assert status.is_clock_synchronised
    assert (status.started_at, status.boot_id, status.size_bytes) != (None, None, None)
    assert (code, told["is_running"], told["configuration"]) == (3, True, 3)
    # There is no system bus here, so the radio is truly deaf.
    kinds_now = {each["kind"] for each in told["conditions"]}
    assert kinds_now - {"radio_deaf"} == {"configuration_refused"}
    assert (tmp_path / "state" / "channel").read_text() == "beta\n"
    kinds = [
        (event.kind, event.condition)
        for event in listener.events
        if event.condition is not Problem.RADIO_DEAF
    ]
    assert kinds[:5] == [
        (Happening.STARTED, None),
        (Happening.BEGAN, Problem.CLOCK_UNTRUSTED),
        (Happening.ENDED, Problem.CLOCK_UNTRUSTED),
        (Happening.CONFIGURED, None),
        (Happening.BEGAN, Problem.CONFIGURATION_REFUSED),
    ]
