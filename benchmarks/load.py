"""Readings as many gateways would send them, made once and published as fast as asked."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from uuid import uuid4

from paho.mqtt.client import Client, ConnectFlags, MQTTMessageInfo, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from benchmarks import readings
from device_adapters.contract.messages import (
    SCHEMA_VERSION,
    Delivery,
    Device,
    encode,
    encode_message,
)
from device_adapters.contract.topics import Leaf, topic

_CONNECT_S = 10
_UNACKNOWLEDGED = 500  # bound on what paho holds; the broker's receive maximum is below it


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A client's certificate, key, and the authority it trusts."""

    authority: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return how to connect with it."""
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message ready to publish."""

    topic: str
    payload: bytes
    properties: Sequence[tuple[str, str]]


def messages(
    gateway_id: str,
    device_ids: Sequence[str],
    *,
    count: int,
    readings_each: int,
    when: Callable[[int], datetime],
    seed: int,
) -> Iterator[Outgoing]:
    """Make ``count`` messages of ``readings_each`` blood pressures within everyday limits.

    Args:
        gateway_id: Who sends them.
        device_ids: Whose readings they are, in turn.
        count: Messages.
        readings_each: Readings in each.
        when: Effective time of a reading by its number; a device's must differ by a second.
        seed: Of the values.
    """
    random, epoch, boot = Random(seed), uuid4(), uuid4()  # noqa: S311 - load, not a secret
    number = 0
    for _ in range(count):
        at = when(number)
        records: list[bytes] = []
        for _ in range(readings_each):
            number += 1
            device_id = device_ids[number % len(device_ids)]
            at = when(number)
            device = Device(id=device_id, manufacturer="Hemvital", model="Virtual cuff")
            records.append(encode(readings.pressure(device, at, boot, random)))
        delivery = Delivery(
            epoch=epoch,
            first=number - readings_each + 1,
            count=readings_each,
            schema=SCHEMA_VERSION,
            traceparent=f"00-{uuid4().hex}-{uuid4().hex[:16]}-01",
        )
        yield Outgoing(
            topic=topic(gateway_id, Leaf.READINGS),
            payload=encode_message(at, records),
            properties=delivery.to_properties(),
        )


class Publisher:
    """One gateway's connection that publishes with QoS 1 and waits for the broker."""

    def __init__(self, gateway_id: str, certificate: Certificate, host: str, port: int) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=gateway_id, protocol=MQTTv5)
        self._client.tls_set_context(certificate.context())  # pyright: ignore[reportUnknownMemberType] paho leaves it untyped
        self._client.max_queued_messages_set(_UNACKNOWLEDGED)
        self._connected = threading.Event()
        self._room = threading.Semaphore(_UNACKNOWLEDGED)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.connect(host, port)
        self._client.loop_start()
        if not self._connected.wait(_CONNECT_S):
            raise TimeoutError(f"broker did not take {gateway_id} in {_CONNECT_S} s")

    def publish(self, outgoing: Outgoing) -> MQTTMessageInfo:
        """Hand one message to the broker; blocks while too many are unacknowledged."""
        self._room.acquire()
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = list(outgoing.properties)
        return self._client.publish(outgoing.topic, outgoing.payload, 1, properties=properties)

    def close(self, deadline_s: float = 30) -> None:
        """Wait until the broker has acknowledged all, then disconnect.

        Raises:
            TimeoutError: If it has not in ``deadline_s``.
        """
        end = time.monotonic() + deadline_s
        for _ in range(_UNACKNOWLEDGED):
            if not self._room.acquire(timeout=max(0.0, end - time.monotonic())):
                raise TimeoutError(f"broker still owes acknowledgements after {deadline_s} s")
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if not reason.is_failure:
            self._connected.set()

    def _on_publish(
        self,
        _client: Client,
        _userdata: object,
        _mid: int,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._room.release()
