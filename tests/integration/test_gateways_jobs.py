"""The jobs' process and the real broker: gateways are heard, configured and shown."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from device_adapters.contract.configuration import GatewayConfiguration, decode_configuration
from device_adapters.contract.messages import encode
from device_adapters.contract.standing import (
    Condition,
    DeviceStanding,
    GatewayEvent,
    GatewayStatus,
    Happening,
    Problem,
)
from tests.support.ingest import CUFF, GATEWAY, Home, registered
from tests.support.services import Broker, Database
from tests.support.worker import keeping_time, wait_until

pytestmark = [pytest.mark.timescale, pytest.mark.broker, pytest.mark.timeout(120)]

_TOPIC = f"hemvital/v1/{GATEWAY}"


class Said:
    """A gateway's connection as it tells how it stands and hears what to do."""

    def __init__(self, database: Database) -> None:
        broker = Broker(services=database.services)
        identity = broker.gateway(GATEWAY)
        self.heard: list[GatewayConfiguration] = []
        self._subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=GATEWAY, protocol=MQTTProtocolVersion.MQTTv5
        )
        tls = ssl.create_default_context(cafile=str(broker.authority))
        tls.load_cert_chain(str(identity.certificate), str(identity.key))
        self._client.tls_set_context(tls)  # pyright: ignore[reportUnknownMemberType] half-typed
        will = encode(GatewayStatus(is_online=False))
        self._client.will_set(f"{_TOPIC}/status", will, qos=1, retain=True)
        self._client.on_message = self._take
        self._client.on_subscribe = lambda *_: self._subscribed.set()  # pyright: ignore[reportUnknownLambdaType] paho's
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        self._client.subscribe(f"{_TOPIC}/config", qos=1)
        assert self._subscribed.wait(10)

    def tell(self, leaf: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(f"{_TOPIC}/{leaf}", payload, 1, retain).wait_for_publish(10)

    def status(self, **changes: Any) -> None:
        given: dict[str, Any] = {
            "is_online": True,
            "at": datetime.now(UTC),
            "software": "1.2.0",
            "is_clock_synchronised": True,
            "is_listening": True,
            "undelivered": 0,
            "devices": (DeviceStanding(id=CUFF, seen_at=datetime.now(UTC)),),
        }
        self.tell("status", encode(GatewayStatus(**(given | changes))), retain=True)

    def die(self) -> None:
        """Break the connection as a power cut does: the broker tells the will."""
        self._client.loop_stop()
        socket = self._client.socket()
        assert socket is not None
        socket.close()

    def _take(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.heard.append(decode_configuration(bytes(message.payload)))


@contextmanager
def standing(own: Database, log: Path) -> Generator[Said]:
    with keeping_time(own, log):
        yield Said(own)


def ingest(own: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
    return subprocess.run(
        [sys.executable, "-m", "ingest_service.command", "gateways", *arguments],
        env=environment
        | {
            "HEMVITAL_INGEST_DATABASE": own.dsn("hemvital_ingest"),
            "HEMVITAL_INGEST_OPERATOR_DATABASE": own.dsn("hemvital_operator"),
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


async def placed(own: Database) -> Home:
    home = await registered(own)
    home.execute("UPDATE device SET gateway_id = %s WHERE id = %s", GATEWAY, CUFF)
    return home


async def test_a_gateway_is_heard_configured_shown_and_missed(
    own: Database, tmp_path: Path
) -> None:
    home = await placed(own)
    never = ingest(own, "list").stdout

    with standing(own, tmp_path / "jobs.log") as gateway:
        gateway.tell("status", b'{"is_online":"Doe"}', retain=True)
        unread = "a gateway says what cannot be read"
        wait_until(lambda: unread in (tmp_path / "jobs.log").read_text(encoding="utf-8"))
        refused = Condition(
            kind=Problem.DEVICE_REFUSED,
            since=datetime.now(UTC) - timedelta(hours=5),
            device_id=CUFF,
            detail="pairing was refused",
        )
        gateway.status(conditions=(refused,))
        event = GatewayEvent(
            id=uuid4(), at=datetime.now(UTC), is_clock_synchronised=True, kind=Happening.STARTED
        )
        for _ in range(2):
            gateway.tell("events", encode(event))
        wait_until(lambda: home.count("gateway_event") == 1)
        wait_until(lambda: home.count("gateway_condition") == 1)
        wait_until(lambda: home.count("gateway_listener") == 1)
        told = ingest(own, "show", GATEWAY)
        online = ingest(own, "list").stdout

        made = ingest(
            own,
            *("configure", GATEWAY, "--from-assignments", "--pairing-minutes", "5"),
            *("--decided-by", "a nurse"),
        )
        wait_until(lambda: len(gateway.heard) == 1)
        gateway.status(configuration=1)
        wait_until(lambda: home.count("gateway_status WHERE configuration = 1") == 1)
        whole = json.loads(ingest(own, "show", GATEWAY, "--json").stdout)

        gateway.die()
        wait_until(lambda: home.count("gateway_status WHERE NOT is_online") == 1)
        away = ingest(own, "list").stdout

    assert "not known: this server does not hear gateways" in never
    assert online.startswith("gateway-1  online, since 20")
    assert told.returncode == 0, told.stderr
    assert "device seen but refused, since 20" in told.stdout
    assert "(pairing was refused)" in told.stdout
    assert f"  {CUFF}  assigned, no reading" in told.stdout
    assert ": started" in told.stdout
    assert made.stdout.startswith("gateway-1: version 1 (1 device(s), pairing until 20")
    [heard] = gateway.heard
    assert heard.devices is not None
    assert [device.id for device in heard.devices] == [CUFF]
    assert whole["configuration_reported"] == whole["configuration_issued"] == 1
    [device] = [one for one in whole["devices"] if one["id"] == CUFF]
    assert device["why"][0]["cause"] == "did_not_measure"
    assert away.startswith("gateway-1  gateway offline, since 20")
    log = (tmp_path / "jobs.log").read_text(encoding="utf-8")
    assert "Doe" not in log


async def test_a_deaf_server_calls_nobody_away_and_hears_at_once_when_it_is_back(
    own: Database, tmp_path: Path
) -> None:
    home = await placed(own)
    gateway = Said(own)
    gateway.status()  # nobody listens; the broker keeps it
    with keeping_time(own, tmp_path / "jobs.log") as jobs:
        wait_until(lambda: home.count("gateway_status") == 1)
        wait_until(lambda: "hemvital_gateways_registered 1.0" in jobs.get("/metrics")[1])
        metrics = jobs.get("/metrics")[1]
        wait_until(lambda: "online" in ingest(own, "list").stdout)
    home.execute("UPDATE gateway_listener SET last_at = last_at - interval '1 hour'")

    listed = ingest(own, "list").stdout

    assert 'hemvital_gateways_with_condition{condition="battery_low"} 0.0' in metrics
    assert GATEWAY not in metrics
    assert listed.startswith("gateway-1  not known: this server does not hear gateways")
    gateway.die()


async def test_a_command_tells_in_one_sentence_what_is_wrong(own: Database) -> None:
    await placed(own)

    stranger = ingest(own, "show", "x")
    wrong = ingest(
        own, "configure", GATEWAY, "--rest-s", "-1", "--decided-by", "a nurse", "--any-device"
    )

    assert (stranger.returncode, stranger.stderr) == (1, "No gateway 'x' is registered.\n")
    assert wrong.returncode == 1
    assert "rest_s" in wrong.stderr
    assert "Traceback" not in wrong.stderr
