"""How fast what waited for a week leaves a gateway, beside a bare publisher of the same bytes."""

from __future__ import annotations

import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import psycopg
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks.gateway_home import BenchHome, wait_for
from benchmarks.gateway_queue import fill
from benchmarks.load import Certificate
from deploy.local.certificates import INGEST
from deploy.local.footprint import Footprint, footprint
from deploy.local.mosquitto import HOST
from deploy.local.platform import Platform
from device_adapters.contract.topics import Leaf, mounted, topic
from gateway.publisher import WINDOW
from gateway.status import read_status
from gateway.store.database import FILE_NAME

_WEEK: Final = timedelta(days=7)
_ROUNDS: Final = 3
_CONNECT_S: Final = 10.0
_TAKES_S: Final = 300.0
_QUIET_S: Final = 1.0
_UNSENT: Final = "SELECT 1 FROM outbox WHERE sent_us IS NULL LIMIT 1"
_STORED: Final = "SELECT count(*) FROM device_record WHERE device_id = ANY(%s)"

# A message as it came: its payload and its user properties.
_Message = tuple[bytes, Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Seconds, each the median of the rounds.

    ``bare_s`` and ``gateway_s``: from a subscriber's first message to its last, nobody answering.
    ``bare_stored_s`` and ``receipted_s``: the same with a real worker, until the database has
    all, and until the gateway has the receipts. ``cpu_s`` is the gateway's, in the latter.
    """

    records: int
    messages: int
    payload_bytes: int
    bare_s: float
    gateway_s: float
    bare_stored_s: float
    receipted_s: float
    cpu_s: float
    rss_kib: int

    @property
    def ratio(self) -> float:
        """Gateway's time ÷ the bare publisher's, at a broker that only hands on."""
        return self.gateway_s / self.bare_s

    @property
    def stored_ratio(self) -> float:
        """The same with a worker that stores and answers."""
        return self.receipted_s / self.bare_stored_s


@dataclass(slots=True)
class Subscriber:
    """What a service hears of one gateway."""

    taken: list[_Message] = field(default_factory=list[_Message])
    times_s: list[float] = field(default_factory=list[float])

    @property
    def lasted_s(self) -> float:
        """From the first message to the last."""
        return self.times_s[-1] - self.times_s[0]

    @property
    def is_quiet(self) -> bool:
        """Tell whether nothing more comes."""
        return bool(self.times_s) and time.monotonic() - self.times_s[-1] > _QUIET_S

    def take(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        """Keep a message; paho calls this."""
        self.times_s.append(time.monotonic())
        properties = list(getattr(message.properties, "UserProperty", ()))
        self.taken.append((bytes(message.payload), properties))


class DrainBench:
    """Both candidates on one broker, round by round.

    Each round has a week of its own: a reading that is known already is stored in no time.
    """

    def __init__(self, platform: Platform, home: BenchHome, *, records: int) -> None:
        self._platform = platform
        self._home = home
        self._records = records

    def run(self, newest: datetime) -> Result:
        """Measure all rounds."""
        ours_s, bare_s = list[float](), list[float]()
        receipted_s, stored_s, ends = list[float](), list[float](), list[Footprint]()
        messages: Sequence[_Message] = ()
        with self._home.on_air():
            for number in range(_ROUNDS):
                # Two weeks a round: what a worker has stored once costs it nothing a second time.
                until = newest - 2 * number * _WEEK
                messages, took_s = self._gateway_to_nobody(until)
                ours_s.append(took_s)
                bare_s.append(self._bare_to_nobody(messages))
                took_s, end = self._gateway_to_worker()
                receipted_s.append(took_s)
                ends.append(end)
                others, took_s = self._gateway_to_nobody(until - _WEEK)
                ours_s.append(took_s)
                stored_s.append(self._bare_to_worker(others))
        return Result(
            records=self._records,
            messages=len(messages),
            payload_bytes=sum(len(payload) for payload, _ in messages),
            gateway_s=statistics.median(ours_s),
            bare_s=statistics.median(bare_s),
            receipted_s=statistics.median(receipted_s),
            bare_stored_s=statistics.median(stored_s),
            cpu_s=statistics.median(each.cpu_s for each in ends),
            rss_kib=max(each.rss_kib for each in ends),
        )

    def _gateway_to_nobody(self, until: datetime) -> tuple[Sequence[_Message], float]:
        """Drain a week to a subscriber that gives no receipts; the gateway keeps it all."""
        fill(self._home.state, self._home.addresses, records=self._records, until=until)
        with self._subscribed() as subscriber, self._home.gateway(drain_s="0"):
            wait_for(
                lambda: self._is_all_sent() and subscriber.is_quiet,
                "all arrived",
                deadline_s=_TAKES_S,
            )
        return subscriber.taken, subscriber.lasted_s

    def _bare_to_nobody(self, messages: Sequence[_Message]) -> float:
        with self._subscribed() as subscriber:
            self._publish(messages)
            wait_for(
                lambda: len(subscriber.taken) >= len(messages), "all arrived", deadline_s=_TAKES_S
            )
        return subscriber.lasted_s

    def _gateway_to_worker(self) -> tuple[float, Footprint]:
        """Drain the week that the gateway has kept to a worker."""
        with (
            self._home.ingest(),
            self._subscribed() as subscriber,
            self._home.gateway() as gateway,
        ):
            wait_for(
                lambda: not read_status(self._home.state).undelivered,
                "all receipted",
                deadline_s=_TAKES_S,
            )
            return time.monotonic() - subscriber.times_s[0], footprint(gateway.number)

    def _bare_to_worker(self, messages: Sequence[_Message]) -> float:
        owner = self._platform.services.database.dsn("hemvital_owner")
        with (
            psycopg.connect(owner, autocommit=True) as database,
            self._home.ingest(),
            self._subscribed() as subscriber,
        ):
            wanted = self._stored(database) + self._records
            self._publish(messages)
            wait_for(lambda: self._stored(database) >= wanted, "all stored", deadline_s=_TAKES_S)
            return time.monotonic() - subscriber.times_s[0]

    def _stored(self, database: psycopg.Connection) -> int:
        row = database.execute(_STORED, [list(self._home.addresses)]).fetchone()
        return row[0] if row else 0

    def _is_all_sent(self) -> bool:
        with closing(sqlite3.connect(self._home.state / FILE_NAME)) as database:
            return database.execute(_UNSENT).fetchone() is None

    @contextmanager
    def _subscribed(self) -> Generator[Subscriber]:
        services = self._platform.services
        identity = services.certificates.service(INGEST)
        certificate = Certificate(
            authority=services.certificates.services.certificate,
            certificate=identity.certificate,
            key=identity.key,
        )
        client = _client("service:bench-subscriber", certificate)
        subscriber, ready = Subscriber(), threading.Event()
        client.on_message = subscriber.take
        client.on_subscribe = _setting(ready)
        client.connect(HOST, services.broker.services_port)
        client.subscribe(mounted(self._home.gateway_id, Leaf.READINGS), 1)
        client.loop_start()
        try:
            if not ready.wait(_CONNECT_S):
                raise TimeoutError("the broker did not let the subscriber in")
            yield subscriber
        finally:
            client.disconnect()
            client.loop_stop()

    def _publish(self, messages: Sequence[_Message]) -> None:
        """Publish as a gateway would that had nothing else to do: QoS 1, its window."""
        services = self._platform.services
        identity = services.certificates.gateway(self._home.gateway_id)
        certificate = Certificate(
            authority=services.certificates.gateways.certificate,
            certificate=identity.certificate,
            key=identity.key,
        )
        client = _client(self._home.gateway_id, certificate)
        client.max_inflight_messages_set(WINDOW)
        connected = threading.Event()
        client.on_connect = _setting(connected)
        client.connect(HOST, services.broker.port)
        client.loop_start()
        try:
            if not connected.wait(_CONNECT_S):
                raise TimeoutError("the broker did not let the bare publisher in")
            name = topic(self._home.gateway_id, Leaf.READINGS)
            handed = [
                client.publish(name, payload, 1, properties=_properties(pairs))
                for payload, pairs in messages
            ]
            for each in handed:
                each.wait_for_publish(_TAKES_S)
        finally:
            client.disconnect()
            client.loop_stop()


def _client(name: str, certificate: Certificate) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
    client.tls_set_context(certificate.context())  # pyright: ignore[reportUnknownMemberType] paho leaves it untyped
    return client


def _setting(event: threading.Event) -> Callable[..., None]:
    def note(*_: object) -> None:
        event.set()

    return note


def _properties(pairs: Sequence[tuple[str, str]]) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = list(pairs)
    return properties
