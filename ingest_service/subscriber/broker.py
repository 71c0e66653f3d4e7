"""The connection to the broker; its callbacks run in paho's thread, hand over and return."""

from __future__ import annotations

import logging
import queue
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_adapters.contract import messages, topics
from device_adapters.contract.messages import ContractError, Receipt
from device_adapters.contract.topics import Leaf
from ingest_service.subscriber.inbox import Inbox, Letter

logger = logging.getLogger(__name__)

_KEEPALIVE_S: Final = 30
_SLOWEST_RECONNECT_S: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where the services' door of the broker is and who we are to it: the certificate decides."""

    host: str
    port: int
    authority: Path
    certificate: Path
    key: Path
    name: str

    @property
    def client_id(self) -> str:
        """What the session is called.

        With a colon: a gateway's session is called by the gateway's id, which never holds one, so
        no gateway, whatever it is called, can take this session over.
        """
        return f"service:ingest:{self.name}"


class Broker:
    """A worker's share of ``readings``, acknowledged by hand.

    ``trouble`` is nothing while messages can come, else why they cannot; ``has_left`` tells that
    there is no subscription, so that none will come.
    """

    def __init__(
        self,
        address: BrokerAddress,
        inbox: Inbox,
        *,
        receive_maximum: int,
        session_expiry_s: int,
        clock: Callable[[], datetime],
    ) -> None:
        self.trouble: str | None = "broker: not connected yet"
        self.has_left = True
        self._address = address
        self._inbox = inbox
        self._clock = clock
        self._generation = 0
        self._turn = threading.Lock()  # the generation, and acknowledgements that rest on it
        self._session = Properties(PacketTypes.CONNECT)
        self._session.ReceiveMaximum = receive_maximum
        self._session.SessionExpiryInterval = session_expiry_s
        self._client = _client(address)
        self._client.reconnect_delay_set(1, _SLOWEST_RECONNECT_S)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_unsubscribe = self._on_unsubscribe
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect, and keep connecting, in a thread of paho's."""
        self._client.connect_async(
            self._address.host,
            self._address.port,
            keepalive=_KEEPALIVE_S,
            clean_start=False,  # what the session still holds comes first
            properties=self._session,
        )
        self._client.loop_start()

    def publish(self, gateway_id: str, receipt: Receipt) -> None:
        """Send a receipt at most once: the next one repeats it, and a gateway asks by sending."""
        try:
            topic = topics.mounted(gateway_id, Leaf.RECEIPTS)
        except ContractError:
            return  # nobody can be listening there
        self._client.publish(topic, messages.encode(receipt), qos=0)

    def acknowledge(self, letters: Iterable[Letter]) -> None:
        """Acknowledge messages of the present connection.

        A message id of an earlier connection may stand for a new message, not yet stored. One
        that was sent with QoS 0 has none, and a broker that is told so ends the connection.
        """
        with self._turn:
            for letter in letters:
                if letter.message_id and letter.generation == self._generation:
                    self._client.ack(letter.message_id, 1)

    def leave(self) -> None:
        """Give the share back, so that the others get what comes from now on."""
        self._client.unsubscribe(topics.READINGS_SHARED)

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
            self.trouble = f"broker: {reason}"
            logger.warning("the broker refuses us", extra={"reason": str(reason)})
            return
        with self._turn:
            self._generation += 1
        # Always: a broker that lost its disk has lost the subscription, and a worker that does
        # not subscribe again is connected and deaf.
        client.subscribe(topics.READINGS_SHARED, qos=1)

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
        self._inbox.forget()
        self.trouble = "broker: connection lost"
        self.has_left = True
        logger.info("disconnected from the broker", extra={"reason": str(reason)})

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: Any,  # noqa: ANN401 paho's signature
        _message_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self.has_left = False
        refused = [str(reason) for reason in reasons if reason.is_failure]
        self.trouble = f"broker: subscription refused: {refused[0]}" if refused else None
        if refused:
            logger.error("the broker refuses the subscription", extra={"reason": refused[0]})
        else:
            logger.info("subscribed", extra={"topic": topics.READINGS_SHARED})

    def _on_unsubscribe(
        self,
        _client: Client,
        _userdata: Any,  # noqa: ANN401 paho's signature
        _message_id: int,
        _reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self.has_left = True

    def _on_message(
        self,
        _client: Client,
        _userdata: Any,  # noqa: ANN401 paho's signature
        message: MQTTMessage,
    ) -> None:
        properties = message.properties
        self._inbox.put(
            Letter(
                self._generation,
                message.mid,
                message.topic,
                getattr(properties, "UserProperty", []),
                bytes(message.payload),
                self._clock(),
            )
        )


def release(address: BrokerAddress, *, within_s: float) -> bool:
    """End a session that nobody comes back for, so that the broker shares out what comes next.

    What the broker had queued for it goes with it: it has no receipt, so its gateways send it
    again. A worker that does run loses its connection for a moment and comes back.

    Returns:
        Whether there was a session.

    Raises:
        OSError: If the broker cannot be had in time, or refuses us.
    """
    answers: queue.SimpleQueue[tuple[bool, ReasonCode]] = queue.SimpleQueue()
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = 0  # it ends with this connection
    session.ReceiveMaximum = 1
    client = _client(address)

    def answered(
        _client: Client,
        _userdata: Any,  # noqa: ANN401 paho's signature
        flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        answers.put((flags.session_present, reason))

    client.on_connect = answered
    client.connect(address.host, address.port, clean_start=False, properties=session)
    client.loop_start()
    try:
        had_session, reason = answers.get(timeout=within_s)
    except queue.Empty:
        raise TimeoutError(f"the broker did not answer within {within_s:.0f} s") from None
    finally:
        client.disconnect()
        client.loop_stop()
    if reason.is_failure:
        raise ConnectionError(f"the broker refuses us: {reason}")
    return had_session


def _client(address: BrokerAddress) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=address.client_id,
        protocol=MQTTProtocolVersion.MQTTv5,
        manual_ack=True,
    )
    tls = ssl.create_default_context(cafile=str(address.authority))
    tls.load_cert_chain(str(address.certificate), str(address.key))
    client.tls_set_context(tls)  # pyright: ignore[reportUnknownMemberType] half-typed
    return client
