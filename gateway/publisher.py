"""The broker's client: MQTT 5 with mutual TLS, in paho's own thread.

paho's callbacks hand over to the event loop and return; they never raise and never block. What
paho has not got acknowledged it sends again by itself after a reconnect; how much it may hold is
bounded, so that what waits waits on the disk.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv5,
)
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_adapters.contract import messages
from device_adapters.contract.messages import MAX_SENT_BYTES, SCHEMA_VERSION, Delivery
from device_adapters.contract.standing import GatewayStatus
from device_adapters.contract.topics import Leaf, topic
from gateway.credentials import Credentials
from gateway.refusals import REFUSED
from gateway.settings import Settings
from gateway.store.outbox import Batch

logger = logging.getLogger(__name__)

WINDOW: Final = 16
DOWNLINK_WAITING: Final = 64  # each may be as long as the next line says: 16 MiB in all
DOWNLINK_BYTES: Final = 256 * 1024

_DOWN: Final = (Leaf.RECEIPTS, Leaf.RESEND, Leaf.CONFIG)
_KEEPALIVE_S: Final = 30
_RECONNECT_S: Final = (1, 30)
_SESSION_S: Final = 24 * 3600  # how long the broker keeps receipts for a gateway that is away
_PACKET_OVERHEAD: Final = 1024  # topic and properties, when the broker limits whole packets
_NO_SUBSCRIBER: Final = 0x10
_TAKEN_OVER: Final = 0x8E


@dataclass(frozen=True, slots=True)
class Downlink:
    """A message from the server; what it says is not looked at here."""

    leaf: Leaf
    payload: bytes


class MqttPublisher:
    """One gateway's connection to its broker; made and used in the event loop.

    Args:
        settings: Broker's address, certificates and the gateway's id.

    Raises:
        OSError: If a certificate file cannot be read.
        ssl.SSLError: If one is none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._on_change: Callable[[], None] = _nothing
        self._on_connected: Callable[[], None] = _nothing
        self._on_refused: Callable[[str], None] = _ignore
        self._on_event: Callable[[int, bool], None] = _ignore
        self._events: dict[int, int] = {}  # their numbers by paho's
        self._loop = asyncio.get_running_loop()
        self._topics = {leaf: topic(settings.id, leaf) for leaf in Leaf}
        self._is_connected = False
        self._max_bytes = MAX_SENT_BYTES
        self._socket_error: str | None = None
        self.problem: str | None = "not connected yet"
        self.downlink: asyncio.Queue[Downlink] = asyncio.Queue(DOWNLINK_WAITING)
        self._credentials = Credentials(
            authority=settings.broker_authority,
            certificate=settings.broker_certificate,
            key=settings.broker_key,
        )
        self._client = self._new_client()

    @property
    def is_connected(self) -> bool:
        """Tell whether the broker has accepted the connection."""
        return self._is_connected

    @property
    def max_bytes(self) -> int:
        """Return how long a message may be: our own limit, or the broker's if that is lower."""
        return self._max_bytes

    def start(
        self,
        *,
        on_change: Callable[[], None],
        on_connected: Callable[[], None],
        on_refused: Callable[[str], None] | None = None,
        on_event: Callable[[int, bool], None] | None = None,
    ) -> None:
        """Begin to connect; tried again until it succeeds.

        Args:
            on_change: Called in the event loop when something may be sent that could not before.
            on_connected: Called in the event loop after each connect.
            on_refused: Called there with the words of whatever kept the broker from being had.
            on_event: Called there with an event's number, and whether somebody takes it.
        """
        self._on_change, self._on_connected = on_change, on_connected
        self._on_refused, self._on_event = on_refused or _ignore, on_event or _ignore
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _SESSION_S
        # paho collects a whole packet before anybody can look at its length.
        properties.MaximumPacketSize = DOWNLINK_BYTES + _PACKET_OVERHEAD
        self._client.connect_async(
            self._settings.broker_host,
            self._settings.broker_port,
            keepalive=_KEEPALIVE_S,
            clean_start=False,
            properties=properties,
        )
        self._client.loop_start()

    def publish(self, batch: Batch, payload: bytes) -> bool:
        """Hand a message to the client; false if it is not connected or holds enough already."""
        if not self._is_connected:
            return False
        delivery = Delivery(
            epoch=batch.epoch,
            first=batch.first,
            count=len(batch.records),
            schema=SCHEMA_VERSION,
            traceparent=f"00-{batch.trace_id}-{secrets.token_hex(8)}-01",
        )
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = delivery.to_properties()
        info = self._client.publish(
            self._topics[Leaf.READINGS], payload, qos=1, properties=properties
        )
        # Any other result means that paho keeps it and sends it when it can.
        return info.rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE

    def publish_status(self, status: GatewayStatus) -> None:
        """Tell, retained, how the gateway stands.

        QoS 0: nobody may be listening, the next status comes soon, and a missing acknowledgement
        must not take a reading's place.
        """
        if self._is_connected:
            self._client.publish(
                self._topics[Leaf.STATUS], messages.encode(status), qos=0, retain=True
            )

    def publish_event(self, number: int, payload: bytes) -> bool:
        """Hand an event to the client; false if that is not possible now.

        Whether somebody takes it comes to ``on_event``, or nothing comes: a connection that ends
        takes the question with it.
        """
        if not self._is_connected:
            return False
        info = self._client.publish(self._topics[Leaf.EVENTS], payload, qos=1)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return False
        self._events[info.mid] = number
        return True

    def renew(self) -> None:
        """Connect anew if the certificate's files have changed: with the renewed one."""
        if not self._is_connected or not self._credentials.are_renewed:
            return
        connected = self._client.socket()
        if isinstance(connected, socket.socket):
            logger.info("connecting anew with a renewed certificate")
            with suppress(OSError):
                # The method of the plain socket: the one of ssl first forgets that it encrypts.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    async def stop(self, deadline_s: float) -> None:
        """Leave the broker and end the thread, for at most ``deadline_s`` seconds."""
        self._client.disconnect()
        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.to_thread(self._client.loop_stop)
        except TimeoutError:
            logger.warning("broker's client did not stop in time")

    def _new_client(self) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=self._settings.id, protocol=MQTTv5)
        # paho leaves the parameter without a type.
        client.tls_set_context(self._credentials.context)  # pyright: ignore[reportUnknownMemberType]
        client.max_inflight_messages_set(WINDOW)
        client.max_queued_messages_set(WINDOW)
        client.reconnect_delay_set(*_RECONNECT_S)
        client.will_set(
            self._topics[Leaf.STATUS],
            messages.encode(GatewayStatus(is_online=False)),
            qos=1,
            retain=True,
        )
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_log = self._on_log
        return client

    # What follows runs in paho's thread, up to `_hand_over`.

    def _on_pre_connect(self, _client: Client, _userdata: object) -> None:
        self._credentials.load()

    def _on_connect(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._socket_error = f"{REFUSED}{reason}"  # `_on_disconnect` is told less
            logger.warning("broker refused the connection", extra={"reason": str(reason)})
            return
        self.problem = self._socket_error = None
        # Every time, whatever the broker says of the session: one that was restarted without it
        # would leave the gateway connected and deaf.
        client.subscribe([(self._topics[leaf], 1) for leaf in _DOWN])
        limit = getattr(properties, "MaximumPacketSize", None)
        self._hand_over(partial(self._connected, limit))

    def _on_connect_fail(self, _client: Client, _userdata: object) -> None:
        # paho calls this while it handles the error, and does not hand it over.
        self.problem = str(sys.exc_info()[1])
        logger.warning("broker cannot be reached", extra={"reason": self.problem})
        self._hand_over(partial(self._refused, self.problem))

    def _on_log(self, _client: Client, _userdata: object, level: int, text: str) -> None:
        # The only place where paho says that the broker has refused our certificate: in TLS 1.3
        # that comes after the handshake, and `_on_disconnect` is told "Unspecified error".
        if level == LogLevel.MQTT_LOG_ERR and not (self._socket_error or "").startswith(REFUSED):
            self._socket_error = text

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        said = f"{REFUSED}{reason}" if reason.value == _TAKEN_OVER else str(reason)
        self.problem, self._socket_error = self._socket_error or said, None
        logger.info("broker's connection ended", extra={"reason": self.problem})
        self._hand_over(partial(self._disconnected, self.problem))

    def _on_publish(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._hand_over(partial(self._acknowledged, mid, reason))

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        leaf = next((leaf for leaf in _DOWN if self._topics[leaf] == message.topic), None)
        if leaf is None or len(message.payload) > DOWNLINK_BYTES:
            logger.warning("message from the server ignored", extra={"topic": message.topic})
            return
        self._hand_over(partial(self._take, Downlink(leaf, bytes(message.payload))))

    def _hand_over(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop has ended before this thread
            logger.debug("broker's client outlived the event loop")

    # What follows runs in the event loop.

    def _connected(self, max_packet_bytes: int | None) -> None:
        self._is_connected = True
        self._events.clear()
        self._max_bytes = min(MAX_SENT_BYTES, (max_packet_bytes or 2**32) - _PACKET_OVERHEAD)
        logger.info("broker connected")
        self._on_connected()
        self._on_change()

    def _disconnected(self, problem: str) -> None:
        self._is_connected = False
        self._on_refused(problem)
        self._on_change()

    def _refused(self, problem: str) -> None:
        self._on_refused(problem)

    def _acknowledged(self, mid: int, reason: ReasonCode) -> None:
        is_taken = not reason.is_failure and reason.value != _NO_SUBSCRIBER
        # In the loop, and so behind `publish_event`'s note of the number.
        number = self._events.pop(mid, None)
        if number is not None:
            self._on_event(number, is_taken)
        elif not is_taken:
            # An acknowledgement proves nothing, a refusal neither: the receipt decides, the
            # timer sends again. It is said, so that somebody can mend it.
            logger.warning("broker did not take a message", extra={"reason": str(reason)})
        if reason.is_failure:
            self._on_refused(f"{REFUSED}{reason}")
        self._on_change()

    def _take(self, message: Downlink) -> None:
        try:
            self.downlink.put_nowait(message)
        except asyncio.QueueFull:
            # Receipts are cumulative and given again, requests repeated: nothing is lost.
            logger.warning("too many messages from the server", extra={"leaf": message.leaf})


def _ignore(*_: object) -> None:
    """Stand in for a callback that nobody gave."""


def _nothing() -> None:
    """Stand in for a callback until the client is started."""
