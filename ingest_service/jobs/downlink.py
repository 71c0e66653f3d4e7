"""Messages to gateways that answer nothing: requests to send again, news, configurations."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from device_adapters.contract import messages, topics
from device_adapters.contract.messages import Receipt, Resend
from device_adapters.contract.topics import Leaf
from ingest_service.subscriber.broker import BrokerAddress

_KEEPALIVE_S: Final = 30
_SLOWEST_RECONNECT_S: Final = 15


class Downlink:
    """A connection to the broker that only publishes."""

    def __init__(self, address: BrokerAddress) -> None:
        self._address = address
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=address.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        tls = ssl.create_default_context(cafile=str(address.authority))
        tls.load_cert_chain(str(address.certificate), str(address.key))
        self._client.tls_set_context(tls)  # pyright: ignore[reportUnknownMemberType] half-typed
        self._client.reconnect_delay_set(1, _SLOWEST_RECONNECT_S)

    @property
    def trouble(self) -> str | None:
        """Return nothing while connected, else that it is not."""
        return None if self._client.is_connected() else "broker: not connected"

    def start(self) -> None:
        """Connect, and keep connecting, in a thread of paho's."""
        self._client.connect_async(self._address.host, self._address.port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()

    def ask(self, gateway_id: str, resend: Resend) -> bool:
        """Ask a gateway to send numbers again; tells whether the request left.

        One that is lost is repeated, since the hole stays.
        """
        topic = topics.mounted(gateway_id, Leaf.RESEND)
        info = self._client.publish(topic, messages.encode(resend), qos=1)
        return info.rc == MQTT_ERR_SUCCESS

    def tell(self, gateway_id: str, receipt: Receipt) -> bool:
        """Send a receipt that answers nothing; tells whether it left."""
        topic = topics.mounted(gateway_id, Leaf.RECEIPTS)
        info = self._client.publish(topic, messages.encode(receipt), qos=1)
        return info.rc == MQTT_ERR_SUCCESS

    async def configure(self, gateway_id: str, payload: bytes, *, within_s: float) -> bool:
        """Leave a configuration with the broker, retained; tells whether the broker took it."""
        topic = topics.mounted(gateway_id, Leaf.CONFIG)
        if not self._client.is_connected():
            return False  # else the library would queue it once more with each attempt
        info = self._client.publish(topic, payload, qos=1, retain=True)
        if info.rc != MQTT_ERR_SUCCESS:
            return False
        await asyncio.to_thread(info.wait_for_publish, within_s)
        return info.is_published()

    def stop(self) -> None:
        """Disconnect and wait for the thread."""
        self._client.disconnect()
        self._client.loop_stop()
