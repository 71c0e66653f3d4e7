"""MQTT 5 packets by hand, to send what no client library lets through."""

from __future__ import annotations

import socket
import ssl
from typing import Final

from tests.support.services import Broker

_WITHIN_S: Final = 10.0
_CONNECT, _PUBLISH_QOS_1, _DISCONNECT = 0x10, 0x32, 0xE0
_MAX_PACKET: Final = 270_336  # deploy/mosquitto/mosquitto.conf
_USER_PROPERTY: Final = 0x26


def text(value: bytes) -> bytes:
    """Return a string of MQTT: two bytes of length, then whatever it is."""
    return len(value).to_bytes(2, "big") + value


def publish(
    topic: bytes, payload: bytes, properties: bytes = b"", *, message_id: int = 7
) -> bytes:
    """Return a PUBLISH with QoS 1.

    Source:
        MQTT 5.0, 3.3.
    """
    body = text(topic) + message_id.to_bytes(2, "big") + _length(len(properties)) + properties
    return _packet(_PUBLISH_QOS_1, body + payload)


def user_property(name: bytes, value: bytes) -> bytes:
    """Return one user property."""
    return bytes([_USER_PROPERTY]) + text(name) + text(value)


def refusals(gateway_id: str) -> dict[str, bytes]:
    """Return packets for which the broker must end the connection, by what is wrong."""
    topic = f"hemvital/v1/{gateway_id}/readings".encode()
    return {
        "larger than the broker takes": publish(topic, bytes(_MAX_PACKET)),
        "wildcard in the topic": publish(b"hemvital/v1/+/readings", b"{}"),
        "hash in the topic": publish(b"hemvital/v1/#", b"{}"),
        "topic not UTF-8": publish(topic + b"\xff", b"{}"),
        "topic with NUL": publish(topic + b"\x00", b"{}"),
        "topic empty": publish(b"", b"{}"),
        "property not UTF-8": publish(topic, b"{}", user_property(b"epoch", b"\xff")),
        "property with NUL": publish(topic, b"{}", user_property(b"epoch", b"\x00")),
        "property with a surrogate": publish(topic, b"{}", user_property(b"\xed\xa0\x80", b"x")),
        "property cut short": publish(topic, b"", bytes([_USER_PROPERTY, 0, 9])),
        "message id nought": publish(topic, b"{}", message_id=0),
        "two bits of QoS": bytes([0x36]) + publish(topic, b"{}")[1:],
        "no packet": bytes([0x00, 0x00]),
    }


def is_cut_off(broker: Broker, gateway_id: str, packet: bytes) -> bool:
    """Tell whether the broker ends the connection without acknowledging, when it gets this."""
    context = ssl.create_default_context(cafile=str(broker.authority))
    identity = broker.gateway(gateway_id)
    context.load_cert_chain(str(identity.certificate), str(identity.key))
    with (
        socket.create_connection((broker.host, broker.port), _WITHIN_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        hello = text(b"MQTT") + bytes([5, 0x02, 0, 60, 0]) + text(gateway_id.encode())
        connection.sendall(_packet(_CONNECT, hello))
        if connection.recv(4096)[0] != 0x20:  # CONNACK
            raise AssertionError("the broker took no connection")
        answer = b""
        try:
            connection.sendall(packet)
            while part := connection.recv(4096):
                answer += part
        except OSError:
            pass  # cut off in the middle of what is too large
    return not answer or answer[0] == _DISCONNECT


def _packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _length(len(body)) + body


def _length(size: int) -> bytes:
    """Return a variable byte integer (MQTT 5.0, 1.5.5)."""
    encoded = bytearray()
    while True:
        size, low = divmod(size, 128)
        encoded.append(low | (0x80 if size else 0))
        if not size:
            return bytes(encoded)
