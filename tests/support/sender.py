"""Gateways that publish whatever they are told to, and hear what becomes of it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Self
from uuid import UUID

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_adapters.contract.messages import decode_receipt
from tests.support.hostile import REUSED, Message
from tests.support.services import Broker

_WITHIN_S: Final = 30.0
_AGAIN_S: Final = 5.0
_WINDOW: Final = 100

Range = tuple[int, int]


class Sender:
    """One gateway's connection; it sends again what has no receipt, as gateways do."""

    def __init__(self, broker: Broker, gateway_id: str) -> None:
        self.gateway_id = gateway_id
        self.disconnections = 0
        self.conflicts: set[tuple[UUID, int]] = set()
        self._broker = broker
        self._ranges: dict[UUID, list[Range]] = {}
        self._answers: dict[int, int] = {}
        self._is_listening = False
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=gateway_id, protocol=MQTTProtocolVersion.MQTTv5
        )
        identity = broker.gateway(gateway_id)
        tls = ssl.create_default_context(cafile=str(broker.authority))
        tls.load_cert_chain(str(identity.certificate), str(identity.key))
        self._client.tls_set_context(tls)  # pyright: ignore[reportUnknownMemberType] half-typed
        self._client.max_inflight_messages_set(_WINDOW)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._listen
        self._client.on_subscribe = self._note_listening
        self._client.on_disconnect = self._note_disconnection
        self._client.on_publish = self._note_answer
        self._client.on_message = self._take

    def __enter__(self) -> Self:
        self._client.connect(self._broker.host, self._broker.port)
        self._client.loop_start()
        _wait(lambda: self._is_listening, "the gateway could not listen")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, messages: Sequence[Message]) -> list[int]:
        """Publish these and return the broker's answer to each; nought where none is due."""
        self._answers.clear()
        sent = [self._publish(message, message.qos) for message in messages]
        _wait(lambda: len(self._answers) == len(sent), "the broker did not answer all")
        return [self._answers[message_id] for message_id in sent]

    def until_receipted(self, messages: Sequence[Message]) -> int:
        """Send again what has no receipt, until all has; return how many messages that was."""
        again = 0
        deadline = time.monotonic() + 4 * _WITHIN_S
        missing = [message for message in messages if not self.is_receipted(message)]
        while missing:
            assert time.monotonic() < deadline, f"no receipt: {missing[0].kind}, {len(missing)}"
            with suppress(AssertionError):
                _wait(partial(self._are_receipted, missing), "no receipts", _AGAIN_S)
            missing = [message for message in missing if not self.is_receipted(message)]
            for message in missing:
                self._publish(message, 1)
            again += len(missing)
        return again

    def is_receipted(self, message: Message) -> bool:
        """Tell whether receipts cover every number of the message, or name it as reused."""
        if message.epoch is None:
            return True
        if REUSED in message.ends:
            return (message.epoch, message.first) in self.conflicts
        ranges = self._ranges.get(message.epoch, ())
        first, last = message.numbers[0], message.numbers[-1]
        return any(low <= first and last <= high for low, high in ranges)

    def _are_receipted(self, messages: Sequence[Message]) -> bool:
        return all(self.is_receipted(message) for message in messages)

    def _publish(self, message: Message, qos: int) -> int:
        properties = Properties(PacketTypes.PUBLISH)
        if message.properties:
            properties.UserProperty = list(message.properties)
        return self._client.publish(
            message.topic, message.payload, qos, retain=message.retain, properties=properties
        ).mid

    # paho calls these in its thread, with more than is needed here.

    def _listen(self, client: Client, *_: Any) -> None:
        client.subscribe(f"hemvital/v1/{self.gateway_id}/receipts", qos=1)

    def _note_listening(self, *_: Any) -> None:
        self._is_listening = True

    def _note_disconnection(self, *_: Any) -> None:
        self.disconnections += 1

    def _note_answer(
        self, _client: Client, _data: object, message_id: int, code: ReasonCode, _properties: Any
    ) -> None:
        self._answers[message_id] = code.value

    def _take(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        receipt = decode_receipt(bytes(message.payload))
        self.conflicts.update((receipt.epoch, number) for number in receipt.conflicts)
        known = self._ranges.get(receipt.epoch, [])
        self._ranges[receipt.epoch] = _merged([*known, *receipt.ranges])


def _merged(ranges: Sequence[Range]) -> list[Range]:
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _wait(is_so: Callable[[], bool], what: str, seconds: float = _WITHIN_S) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)
