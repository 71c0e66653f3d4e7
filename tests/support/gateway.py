"""A gateway's other side: an ingest that only keeps and receipts, and the gateway as a process."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID, uuid4

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from device_adapters.contract.identity import digest
from device_adapters.contract.messages import (
    Delivery,
    ReadingRecord,
    Receipt,
    Resend,
    decode_delivery,
    decode_message,
    decode_record,
    encode,
)
from device_adapters.contract.topics import Leaf, mounted
from tests.support.services import Broker

_WITHIN_S: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One record as it came."""

    delivery: Delivery
    number: int
    record: bytes
    at: datetime


@dataclass(slots=True)
class FakeIngest:
    """Keeps what one gateway sends, by epoch and number, and answers with receipts.

    It keeps to the protocol: same number and other bytes are a conflict, ranges are cumulative.
    """

    broker: Broker
    gateway_id: str
    answers: bool = True
    incarnation: UUID = field(default_factory=uuid4)
    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    known: dict[UUID, dict[int, bytes]] = field(default_factory=dict[UUID, dict[int, bytes]])
    statuses: list[bytes] = field(default_factory=list[bytes])
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _client: Client = field(init=False)

    def __post_init__(self) -> None:
        context = ssl.create_default_context(cafile=str(self.broker.services_authority))
        identity = self.broker.ingest
        context.load_cert_chain(str(identity.certificate), str(identity.key))
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=f"ingest-{uuid4()}", protocol=MQTTv5
        )
        self._client.tls_set_context(context)  # pyright: ignore[reportUnknownMemberType]
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = self._note_subscribed
        self._client.on_message = self._take
        self._client.reconnect_delay_set(1, 1)
        self._is_subscribed = threading.Event()

    _is_subscribed: threading.Event = field(init=False)

    def __enter__(self) -> Self:
        self._client.connect(self.broker.host, self.broker.services_port)
        self._client.loop_start()
        assert self._is_subscribed.wait(_WITHIN_S), "ingest could not subscribe"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def records(self) -> list[bytes]:
        """Each record once, in the order of epochs' first arrivals and numbers."""
        return [known[number] for known in self.known.values() for number in sorted(known)]

    @property
    def readings(self) -> list[ReadingRecord]:
        """The readings among the records."""
        decoded = [decode_record(record) for record in self.records]
        return [record for record in decoded if isinstance(record, ReadingRecord)]

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something that arrives makes the condition true, or fail."""
        with self._changed:
            is_met = self._changed.wait_for(condition, _WITHIN_S)
        assert is_met, f"not within {_WITHIN_S} s: {what}; {len(self.records)} records"

    def say(self, leaf: Leaf, payload: bytes | Receipt | Resend) -> None:
        """Send something down to the gateway."""
        raw = payload if isinstance(payload, bytes) else encode(payload)
        self._client.publish(mounted(self.gateway_id, leaf), raw, qos=1)

    def receipt(self, epoch: UUID, conflicts: Sequence[int] = ()) -> Receipt:
        """Return what the ingest has of an epoch."""
        numbers = sorted(self.known.get(epoch, {}))
        return Receipt(
            incarnation=self.incarnation,
            epoch=epoch,
            ranges=tuple((number, number) for number in numbers),
            conflicts=tuple(conflicts),
        )

    # paho calls these in its thread, with more than is needed here.

    def _subscribe(self, *_: Any) -> None:
        names = [mounted(self.gateway_id, leaf) for leaf in (Leaf.READINGS, Leaf.STATUS)]
        self._client.subscribe([(name, 1) for name in names])

    def _note_subscribed(self, *_: Any) -> None:
        self._is_subscribed.set()

    def _take(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with self._changed:
            if message.topic.endswith(Leaf.STATUS):
                self.statuses.append(bytes(message.payload))
            else:
                self._take_readings(message)
            self._changed.notify_all()

    def _take_readings(self, message: MQTTMessage) -> None:
        delivery = decode_delivery(getattr(message.properties, "UserProperty", ()))
        records = decode_message(bytes(message.payload), delivery)
        known = self.known.setdefault(delivery.epoch, {})
        conflicts: list[int] = []
        for number, record in zip(delivery.numbers, records, strict=True):
            self.arrivals.append(
                Arrival(delivery=delivery, number=number, record=record, at=datetime.now(UTC))
            )
            if digest(known.setdefault(number, record)) != digest(record):
                conflicts.append(number)
        if self.answers:
            self.say(Leaf.RECEIPTS, self.receipt(delivery.epoch, conflicts))


def gateway_environment(broker: Broker, gateway_id: str, state: Path) -> dict[str, str]:
    """Return the settings of a gateway on the test's broker, and nothing else of its kind."""
    identity = broker.gateway(gateway_id)
    return {
        "HEMVITAL_GATEWAY_ID": gateway_id,
        "HEMVITAL_GATEWAY_STATE": str(state),
        "HEMVITAL_GATEWAY_BROKER_HOST": broker.host,
        "HEMVITAL_GATEWAY_BROKER_PORT": str(broker.port),
        "HEMVITAL_GATEWAY_BROKER_AUTHORITY": str(broker.authority),
        "HEMVITAL_GATEWAY_BROKER_CERTIFICATE": str(identity.certificate),
        "HEMVITAL_GATEWAY_BROKER_KEY": str(identity.key),
        "HEMVITAL_GATEWAY_CLOCK": "trusted",
        "HEMVITAL_GATEWAY_HTTP_PORT": "0",
    }


class GatewayProcess:
    """``hemvital-gateway run`` as a process of its own; ``within`` is what starts it."""

    def __init__(
        self, environment: Mapping[str, str], log: Path, within: Sequence[str] = ()
    ) -> None:
        program = Path(sys.executable).with_name("hemvital-gateway")
        self.log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*within, str(program), "run"], env={**os.environ, **environment}, stderr=errors
            )

    @property
    def pid(self) -> int:
        """Return the process's id."""
        return self._process.pid

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait(_WITHIN_S)

    def stop(self) -> int:
        """Ask it to end and return its exit code; fail if it does not in time."""
        self._process.terminate()
        try:
            return self._process.wait(_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_WITHIN_S)
            raise AssertionError(f"did not end on SIGTERM; log:\n{self.text()}") from None

    def text(self) -> str:
        """Return its log so far."""
        return self.log.read_text(encoding="utf-8")

    def wait_for_log(self, part: str) -> None:
        """Wait until its log holds something, or fail."""
        deadline = time.monotonic() + _WITHIN_S
        while part not in self.text():
            assert time.monotonic() < deadline, f"no {part!r} in the log:\n{self.text()}"
            assert self._process.poll() is None, f"ended by itself:\n{self.text()}"
            time.sleep(0.02)
