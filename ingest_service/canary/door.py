"""One visit of the canary at the gateways' door: connect, send, wait for the receipt, leave.

A connection of its own for each reading: what is tried each minute is the whole door, with its
certificates and the list of those that were revoked.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_adapters.contract.elements import ContractError
from device_adapters.contract.messages import MAX_BROKER_BYTES, decode_receipt
from device_adapters.contract.topics import Leaf, topic

_NO_SUBSCRIBER: Final = 0x10


class Reached(StrEnum):
    """How far a reading came."""

    NOWHERE = "nowhere"  # no connection, or the broker refuses
    BROKER = "broker"  # the broker took it; nobody says that it is stored
    DATABASE = "database"  # its receipt came


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where gateways come in, and who the canary is there."""

    host: str
    port: int
    authority: Path
    certificate: Path
    key: Path
    gateway_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One reading with its number, and how the canary stands."""

    epoch: UUID
    number: int
    payload: bytes
    properties: Sequence[tuple[str, str]]
    status: bytes


@dataclass(frozen=True, slots=True)
class Visit:
    """What became of one reading, and why not more."""

    reached: Reached
    why: str | None = None


class _Stay:
    """What paho's thread tells; its callbacks only set."""

    def __init__(self, receipts: str, parcel: Parcel) -> None:
        self.subscribed = threading.Event()
        self.answered = threading.Event()
        self.refusal: str | None = None
        self.taken: str | None = None
        self.is_status_out = False
        self.has_receipt = False
        self._receipts, self._epoch, self._number = receipts, parcel.epoch, parcel.number

    @property
    def result(self) -> Visit:
        """Return how far the reading came, as far as is known now."""
        if self.has_receipt:
            return Visit(Reached.DATABASE)
        if self.refusal:
            return Visit(Reached.NOWHERE, f"the broker refuses: {self.refusal}")
        if self.taken is None:
            return Visit(Reached.NOWHERE, "the broker does not confirm")
        return Visit(Reached.BROKER, self.taken)

    def on_connect(
        self,
        client: Client,
        _userdata: Any,  # noqa: ANN401 paho's signature
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self.refusal = str(reason)
            self.subscribed.set()
        else:
            client.subscribe(self._receipts, qos=1)

    def on_subscribe(
        self,
        _client: Client,
        _userdata: Any,  # noqa: ANN401 paho's signature
        _message_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self.refusal = f"subscription: {reasons[0]}"
        self.subscribed.set()

    def on_publish(
        self,
        _client: Client,
        _userdata: Any,  # noqa: ANN401 paho's signature
        _message_id: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self.is_status_out is False:
            self.is_status_out = True  # QoS 0: paho tells that it left, and it left first
            return
        if reason.is_failure:
            self.refusal = str(reason)
            self.answered.set()
        elif reason.value == _NO_SUBSCRIBER:
            self.taken = "no ingest worker is subscribed"
            self.answered.set()
        else:
            self.taken = "no receipt came"

    def on_message(
        self,
        _client: Client,
        _userdata: Any,  # noqa: ANN401 paho's signature
        message: MQTTMessage,
    ) -> None:
        if len(message.payload) > MAX_BROKER_BYTES:
            return
        try:
            receipt = decode_receipt(bytes(message.payload))
        except ContractError:
            return
        ranges = receipt.ranges if receipt.epoch == self._epoch else ()
        if any(first <= self._number <= last for first, last in ranges):
            self.has_receipt = True
            self.answered.set()


def visit(door: Door, parcel: Parcel, *, within_s: float) -> Visit:
    """Send one reading and wait for its receipt, for at most ``within_s`` seconds; blocks.

    Never raises for what the broker or the network does: that is what it is here to find out.
    """
    stay = _Stay(topic(door.gateway_id, Leaf.RECEIPTS), parcel)
    deadline = time.monotonic() + within_s
    try:
        client = _client(door, stay)
        client.connect(door.host, door.port, clean_start=True)
    except (OSError, ssl.SSLError, ValueError) as error:
        return Visit(Reached.NOWHERE, f"{type(error).__name__}: {error}")
    client.loop_start()
    try:
        if not stay.subscribed.wait(max(deadline - time.monotonic(), 0)):
            return Visit(Reached.NOWHERE, "the broker does not answer")
        if not stay.refusal:
            _send(client, door, parcel)
            stay.answered.wait(max(deadline - time.monotonic(), 0))
        return stay.result
    finally:
        client.disconnect()
        client.loop_stop()


def _send(client: Client, door: Door, parcel: Parcel) -> None:
    """Say how the canary stands and hand the reading over; paho sends what it keeps."""
    client.publish(topic(door.gateway_id, Leaf.STATUS), parcel.status, qos=0, retain=True)
    given = Properties(PacketTypes.PUBLISH)
    given.UserProperty = list(parcel.properties)
    client.publish(topic(door.gateway_id, Leaf.READINGS), parcel.payload, 1, properties=given)


def _client(door: Door, stay: _Stay) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=door.gateway_id,
        protocol=MQTTProtocolVersion.MQTTv5,
    )
    tls = ssl.create_default_context(cafile=str(door.authority))
    tls.load_cert_chain(str(door.certificate), str(door.key))
    client.tls_set_context(tls)  # pyright: ignore[reportUnknownMemberType] half-typed
    client.connect_timeout = 5.0
    client.on_connect = stay.on_connect
    client.on_subscribe = stay.on_subscribe
    client.on_publish = stay.on_publish
    client.on_message = stay.on_message
    return client
