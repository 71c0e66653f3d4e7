"""A bare MQTT client for tests of the broker itself."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from deploy.local.certificates import Identity
from tests.support.services import Broker

# MQTT 5.0, 2.4 Reason Code.
SUCCESS: Final = 0x00
GRANTED_QOS_1: Final = 0x01
FAILURE: Final = 0x80  # and above
NOT_AUTHORISED: Final = 0x87

DEADLINE_S: Final = 10.0


class Door(Enum):
    """By which listener a client comes in."""

    GATEWAYS = auto()
    SERVICES = auto()


class Client:
    """A paho client whose answers are waited for."""

    def __init__(
        self, broker: Broker, door: Door, identity: Identity, client_id: str, will: str = ""
    ) -> None:
        self.connections: queue.Queue[int] = queue.Queue()
        self.disconnections: queue.Queue[int] = queue.Queue()
        self.answers: queue.Queue[int] = queue.Queue()
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._host = broker.host
        self._port = broker.services_port if door is Door.SERVICES else broker.port
        self._paho = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5
        )
        context = ssl.create_default_context(
            cafile=broker.services_authority if door is Door.SERVICES else broker.authority
        )
        context.load_cert_chain(identity.certificate, identity.key)
        self._paho.tls_set_context(context)  # pyright: ignore[reportUnknownMemberType] - paho leaves its type open
        if will:
            self._paho.will_set(will, b"{}", qos=1)
        self._paho.on_connect = self._on_connect
        self._paho.on_disconnect = self._on_disconnect
        self._paho.on_publish = self._on_publish
        self._paho.on_subscribe = self._on_subscribe
        self._paho.on_message = self._on_message

    @contextmanager
    def connected(
        self, *, session_s: int = 0, deadline_s: float = DEADLINE_S
    ) -> Generator[Client]:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = session_s
        self._paho.connect(
            self._host, self._port, clean_start=not session_s, properties=properties
        )
        self._paho.loop_start()
        try:
            assert self.connections.get(timeout=deadline_s) == SUCCESS
            yield self
        finally:
            self._paho.disconnect()
            self._paho.loop_stop()

    def publish(
        self, topic: str, payload: bytes = b"{}", *, deadline_s: float = DEADLINE_S
    ) -> int:
        self._paho.publish(topic, payload, qos=1)
        return self.answers.get(timeout=deadline_s)

    def subscribe(self, topic: str) -> int:
        self._paho.subscribe(topic, qos=1)
        return self.answers.get(timeout=DEADLINE_S)

    def _on_connect(
        self, _c: object, _u: object, _f: object, code: ReasonCode, _p: object
    ) -> None:
        self.connections.put(code.value)

    def _on_disconnect(
        self, _c: object, _u: object, _f: object, code: ReasonCode, _p: object
    ) -> None:
        self.disconnections.put(code.value)

    def _on_publish(self, _c: object, _u: object, _m: int, code: ReasonCode, _p: object) -> None:
        self.answers.put(code.value)

    def _on_subscribe(
        self, _c: object, _u: object, _m: int, codes: list[ReasonCode], _p: object
    ) -> None:
        self.answers.put(codes[0].value)

    def _on_message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        self.messages.put((message.topic, bytes(message.payload)))


@contextmanager
def gateway(
    broker: Broker,
    gateway_id: str = "gateway-1",
    *,
    client_id: str = "",
    session_s: int = 0,
    will: str = "",
) -> Generator[Client]:
    """Come in as a gateway; its client id is its own id unless another is given."""
    identity = broker.gateway(gateway_id)
    client = Client(broker, Door.GATEWAYS, identity, client_id or gateway_id, will)
    with client.connected(session_s=session_s):
        yield client


@contextmanager
def ingest(
    broker: Broker, *, client_id: str = "service:ingest:test", session_s: int = 0
) -> Generator[Client]:
    """Come in as ingest."""
    client = Client(broker, Door.SERVICES, broker.ingest, client_id)
    with client.connected(session_s=session_s):
        yield client
