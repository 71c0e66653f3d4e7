"""What gateways say of themselves, from the broker; callbacks run in paho's thread and hand over.

Statuses are subscribed to without acknowledgement: what the broker retains comes at each
connection, so that nothing of the past has to be queued for us, which would look like the
present. Events are history: they are queued for us, and acknowledged once they are stored.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_adapters.contract import topics
from device_adapters.contract.topics import Leaf
from ingest_service.subscriber.broker import BrokerAddress

logger = logging.getLogger(__name__)

_KEEPALIVE_S: Final = 30
_SLOWEST_RECONNECT_S: Final = 15
_SESSION_EXPIRY_S: Final = 24 * 3600
#: The broker sends no more events than these unacknowledged.
RECEIVE_MAXIMUM: Final = 200


@dataclass(frozen=True, slots=True)
class Note:
    """One status or event as it came, and the connection that it may be acknowledged on."""

    generation: int
    message_id: int
    topic: str
    payload: bytes
    received_at: datetime
    is_retained: bool

    @property
    def is_status(self) -> bool:
        """Tell whether it came on a topic for statuses; else it is an event."""
        return self.topic.endswith(f"/{Leaf.STATUS}")


class Uplink:
    """A subscription, not shared, to every gateway's statuses and events.

    ``since`` is the time from which statuses have come without a break, ``None`` while they
    cannot.
    """

    def __init__(
        self,
        address: BrokerAddress,
        put: Callable[[Note], None],
        clock: Callable[[], datetime],
    ) -> None:
        self.since: datetime | None = None
        self._address = address
        self._put = put
        self._clock = clock
        self._generation = 0
        self._turn = threading.Lock()  # the generation, and acknowledgements that rest on it
        self._session = Properties(PacketTypes.CONNECT)
        self._session.ReceiveMaximum = RECEIVE_MAXIMUM
        self._session.SessionExpiryInterval = _SESSION_EXPIRY_S
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=address.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=True,
        )
        tls = ssl.create_default_context(cafile=str(address.authority))
        tls.load_cert_chain(str(address.certificate), str(address.key))
        self._client.tls_set_context(tls)  # pyright: ignore[reportUnknownMemberType] half-typed
        self._client.reconnect_delay_set(1, _SLOWEST_RECONNECT_S)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    @property
    def trouble(self) -> str | None:
        """Return nothing while statuses can come, else that they cannot."""
        return None if self.since else "broker: statuses of gateways do not come"

    def start(self) -> None:
        """Connect, and keep connecting, in a thread of paho's."""
        self._client.connect_async(
            self._address.host,
            self._address.port,
            keepalive=_KEEPALIVE_S,
            clean_start=False,  # events that the session still holds come first
            properties=self._session,
        )
        self._client.loop_start()

    def acknowledge(self, notes: Iterable[Note]) -> None:
        """Acknowledge events of the present connection; see `Broker.acknowledge`."""
        with self._turn:
            for note in notes:
                if note.message_id and note.generation == self._generation:
                    self._client.ack(note.message_id, 1)

    def stop(self) -> None:
        """Disconnect and wait for the thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self,
        client: Client,
        _userdata: Any,  # noqa: ANN401 paho's signature
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            logger.warning("the broker refuses us", extra={"reason": str(reason)})
            return
        with self._turn:
            self._generation += 1
        # Always: a broker that lost its disk has lost the subscription too.
        client.subscribe([(topics.every(Leaf.STATUS), 0), (topics.every(Leaf.EVENTS), 1)])

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,  # noqa: ANN401 paho's signature
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._turn:
            self._generation += 1
        self.since = None
        logger.info("statuses of gateways do not come now", extra={"reason": str(reason)})

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: Any,  # noqa: ANN401 paho's signature
        _message_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            logger.error("the broker refuses the subscription", extra={"reason": refused[0]})
            return
        self.since = self._clock()
        logger.info("listening to gateways")

    def _on_message(
        self,
        _client: Client,
        _userdata: Any,  # noqa: ANN401 paho's signature
        message: MQTTMessage,
    ) -> None:
        self._put(
            Note(
                self._generation,
                message.mid,
                message.topic,
                bytes(message.payload),
                self._clock(),
                message.retain,
            )
        )
