"""An ingest worker as a process of its own, and a gateway's connection beside it."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from device_adapters.contract import topics
from device_adapters.contract.messages import Receipt, Resend, decode_receipt, decode_resend
from device_adapters.contract.topics import Leaf
from ingest_service.admission.incoming import Incoming
from tests.support import mqtt
from tests.support.ingest import GATEWAY
from tests.support.services import Broker, Database

_UPLINK: Final = "service:ingest:ingest-jobs.uplink"


@dataclass(slots=True)
class Gateway:
    """A gateway's connection: publishes and keeps the receipts that come."""

    database: Database
    receipts: list[Receipt] = field(default_factory=list[Receipt])
    requests: list[Resend] = field(default_factory=list[Resend])
    _client: Client = field(init=False)
    _subscribed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        broker = Broker(services=self.database.services)
        identity = broker.gateway(GATEWAY)
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=GATEWAY, protocol=MQTTProtocolVersion.MQTTv5
        )
        tls = ssl.create_default_context(cafile=str(broker.authority))
        tls.load_cert_chain(str(identity.certificate), str(identity.key))
        self._client.tls_set_context(tls)  # pyright: ignore[reportUnknownMemberType] half-typed
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._listen
        self._client.on_subscribe = self._note_subscription
        self._client.on_message = self._take

    def __enter__(self) -> Self:
        broker = Broker(services=self.database.services)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, message: Incoming, *, qos: int = 1) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = list(message.properties)
        topic = topics.topic(message.gateway_id, Leaf.READINGS)
        self._client.publish(topic, message.payload, qos=qos, properties=properties)

    def received(self) -> set[int]:
        """Return every number that a receipt named."""
        ranges = [r for receipt in list(self.receipts) for r in receipt.ranges]
        return {number for first, last in ranges for number in range(first, last + 1)}

    def _listen(self, client: Client, *_: object) -> None:
        client.subscribe(
            [(topics.topic(GATEWAY, leaf), 1) for leaf in (Leaf.RECEIPTS, Leaf.RESEND)]
        )

    def _note_subscription(self, *_: object) -> None:
        self._subscribed.set()

    def _take(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if message.topic.endswith("receipts"):
            self.receipts.append(decode_receipt(bytes(message.payload)))
        else:
            self.requests.append(decode_resend(bytes(message.payload)))


@dataclass(slots=True)
class Worker:
    """A worker's process and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        text = self.log.read_text(encoding="utf-8")
        written = text[: text.rfind("\n") + 1]  # of a line that is being written the rest comes
        return [json.loads(line) for line in written.splitlines()]

    def size(self) -> int:
        """Return the log's, in bytes."""
        return self.log.stat().st_size

    def port(self) -> int:
        return next(line["port"] for line in self.lines() if line["message"] == "serving")

    def get(self, path: str) -> tuple[int, str]:
        try:
            url = f"http://127.0.0.1:{self.port()}{path}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@contextmanager
def working(database: Database, log: Path, **settings: str) -> Generator[Worker]:
    worker = started(database, log, **settings)
    try:
        wait_until(lambda: any(line["message"] == "subscribed" for line in worker.lines()))
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait(timeout=10)


@contextmanager
def keeping_time(database: Database, log: Path, **settings: str) -> Generator[Worker]:
    """Run the jobs' process, ready."""
    jobs = started(
        database,
        log,
        command="jobs",
        JOBS_DATABASE=database.dsn("hemvital_jobs"),
        JOBS_HTTP_PORT="0",
        **settings,
    )
    try:
        wait_until(lambda: any(line["message"] == "serving" for line in jobs.lines()))
        wait_until(lambda: jobs.get("/readyz") == (200, "ready"))
        yield jobs
    finally:
        jobs.process.kill()
        jobs.process.wait(timeout=10)
        # The broker would keep its session for a day, and hear in its name what nobody hears.
        broker = Broker(services=database.services)
        with mqtt.Client(broker, mqtt.Door.SERVICES, broker.ingest, _UPLINK).connected():
            pass


def started(database: Database, log: Path, *, command: str = "run", **settings: str) -> Worker:
    """Start a worker, or the jobs, without waiting; whoever starts it ends it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
    environment |= broker_environment(Broker(services=database.services))
    environment |= {
        "HEMVITAL_INGEST_DATABASE": database.dsn("hemvital_ingest"),
        "HEMVITAL_INGEST_HTTP_PORT": "0",
    }
    environment |= {f"HEMVITAL_INGEST_{name}": value for name, value in settings.items()}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "ingest_service.command", command],
            env=environment,
            stderr=stderr,
        )
    return Worker(process, log)


def broker_environment(broker: Broker) -> dict[str, str]:
    """Return how ingest's programs come in by the services' door."""
    return {
        "HEMVITAL_INGEST_BROKER_HOST": broker.host,
        "HEMVITAL_INGEST_BROKER_PORT": str(broker.services_port),
        "HEMVITAL_INGEST_BROKER_AUTHORITY": str(broker.services_authority),
        "HEMVITAL_INGEST_BROKER_CERTIFICATE": str(broker.ingest.certificate),
        "HEMVITAL_INGEST_BROKER_KEY": str(broker.ingest.key),
    }


def wait_until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
