"""Cut a gateway's connection off: a session of its name is opened by the services' door.

The gateways' door names each session after its certificate, and a broker ends the older of two
sessions of one name. Once the broker refuses the certificate, the gateway does not come back. The
session is opened without what waits in it and ends with its connection, so nothing stays.
"""

from __future__ import annotations

import queue
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

_DEADLINE_S: Final = 10.0


class CutOffError(Exception):
    """The broker's door for services did not let us in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesDoor:
    """Where the broker's door for services is, and who we are there."""

    host: str
    port: int
    authority: Path
    certificate: Path
    key: Path

    def cut_off(self, gateway_id: str) -> None:
        """End the gateway's session at the broker, with all that waits in it.

        Raises:
            OSError: If the broker cannot be reached, or a file not be read.
            CutOffError: If it refuses us, or does not answer.
        """
        answers: queue.Queue[ReasonCode] = queue.Queue()

        def connected(
            _client: mqtt.Client,
            _data: object,
            _flags: mqtt.ConnectFlags,
            reason: ReasonCode,
            _properties: object,
        ) -> None:
            answers.put(reason)

        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, gateway_id, protocol=MQTTProtocolVersion.MQTTv5
        )
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.certificate, self.key)
        client.tls_set_context(context)  # pyright: ignore[reportUnknownMemberType] - paho leaves its type open
        client.on_connect = connected
        client.connect(self.host, self.port, clean_start=True)
        client.loop_start()
        try:
            reason = answers.get(timeout=_DEADLINE_S)
        except queue.Empty as error:
            raise CutOffError("the broker's door for services does not answer") from error
        finally:
            client.disconnect()
            client.loop_stop()
        if reason.is_failure:
            raise CutOffError(f"the broker's door for services refused: {reason}")
