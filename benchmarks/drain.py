"""The floor: a client that does nothing but acknowledge, on the same broker at the same QoS."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from benchmarks.load import Certificate
from device_adapters.contract.topics import READINGS_SHARED


def main(argv: Sequence[str] | None = None) -> int:
    """Acknowledge until SIGTERM; tell when subscribed, and each ``--report`` messages."""
    arguments = _parser().parse_args(argv)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: ended.set())
    client = Client(
        CallbackAPIVersion.VERSION2, client_id="service:bare", protocol=MQTTv5, manual_ack=True
    )
    identity = Certificate(
        authority=arguments.ca, certificate=arguments.certificate, key=arguments.key
    )
    client.tls_set_context(identity.context())  # pyright: ignore[reportUnknownMemberType] paho leaves it untyped
    taken = 0

    def subscribe(
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        client.subscribe(READINGS_SHARED, 1)
        print("subscribed", flush=True)

    def acknowledge(client: Client, _userdata: object, message: MQTTMessage) -> None:
        nonlocal taken
        client.ack(message.mid, message.qos)
        taken += 1
        if taken % arguments.report == 0:
            print(taken, flush=True)

    client.on_connect = subscribe
    client.on_message = acknowledge
    properties = Properties(PacketTypes.CONNECT)
    properties.ReceiveMaximum = arguments.receive_maximum
    client.connect(arguments.host, arguments.port, properties=properties)
    client.loop_start()
    ended.wait()  # until it is told
    client.disconnect()
    client.loop_stop()
    print(f"{taken} in all", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drain", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--receive-maximum", type=int, default=500)
    parser.add_argument("--report", type=int, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
