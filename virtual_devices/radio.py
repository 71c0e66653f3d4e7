"""The air: one shared link, and a server that gives each HCI (H4) socket a controller on it.

What Bumble's `LocalLink` lacks is added here: a supervision timeout when a process dies, one
signal strength per device, and a link on which a peer that is gone is silence, not an error.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from bumble import controller, core, hci, link, ll
from bumble.transport.common import StreamPacketSource

from virtual_devices.controller import RadioController

logger = logging.getLogger(__name__)

_MAX_UNREAD_BYTES: Final = 1 << 20
DEFAULT_RSSI_DBM: Final = -60


class Air(link.LocalLink):
    """Carries packets between controllers.

    Args:
        supervision_s: How long after a process died its peers notice (supervision timeout).
        rssi_dbm: How strongly single advertisers are heard, by address ``F0:00:00:00:00:01``.
    """

    controllers: set[controller.Controller]

    def __init__(
        self, *, supervision_s: float = 2.0, rssi_dbm: Mapping[str, int] | None = None
    ) -> None:
        super().__init__()
        self._supervision_s = supervision_s
        self._rssi_dbm = dict(rssi_dbm or {})

    def rssi(self, advertiser: hci.Address) -> int:
        """Return how strongly an advertiser is heard, in dBm."""
        return self._rssi_dbm.get(advertiser.to_string(False), DEFAULT_RSSI_DBM)

    def is_joined(self, connection: controller.Connection) -> bool:
        """Tell whether the other end of a connection knows of it."""
        return self._other_end(connection.self_address, connection.peer_address) is not None

    def leave(self, gone: controller.Controller) -> None:
        """Take a controller off the air as if it died: its peers notice after the timeout."""
        self.controllers.discard(gone)
        gone.le_legacy_advertiser.stop()
        for connection in gone.le_connections.values():
            end = self._other_end(connection.self_address, connection.peer_address)
            if end is not None:
                asyncio.get_running_loop().call_later(
                    self._supervision_s,
                    partial(end[0].drop, end[1], hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR),
                )

    def send_acl_data(
        self,
        sender_controller: controller.Controller,
        destination_address: hci.Address,
        transport: core.PhysicalTransport,
        data: bytes,
    ) -> None:
        """Carry data to the other end of the sender's connection, or lose it."""
        connection = sender_controller.le_connections.get(destination_address)
        if connection is None:
            return
        end = self._other_end(connection.self_address, destination_address)
        if end is not None:
            asyncio.get_running_loop().call_soon(
                end[0].on_link_acl_data, connection.self_address, transport, data
            )

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Carry a link-layer packet to the other end of a connection, or lose it."""
        end = self._other_end(sender_address, receiver_address)
        if end is not None:
            asyncio.get_running_loop().call_soon(end[0].on_ll_control_pdu, sender_address, packet)

    def _other_end(
        self, self_address: hci.Address, peer_address: hci.Address
    ) -> tuple[RadioController, controller.Connection] | None:
        for candidate in self.controllers:
            connection = candidate.le_connections.get(self_address)
            if (
                connection is not None
                and connection.self_address == peer_address
                and isinstance(candidate, RadioController)
            ):
                return candidate, connection
        return None


class _HciSocket(StreamPacketSource):
    """One accepted socket: a controller for as long as it lasts."""

    def __init__(self, air: Air, name: str) -> None:
        super().__init__()
        self._air = air
        self._controller = RadioController(name, medium=air, link=air)
        self.set_packet_sink(self._controller)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the controller's packets out of this socket."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._controller.set_packet_sink(self)
        logger.info("controller attached", extra={"controller": self._controller.name})

    def on_packet(self, packet: bytes) -> None:
        """Write one packet to the host; one that does not read loses its controller."""
        if self._transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            self._transport.abort()
        else:
            self._transport.write(packet)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Take the controller off the air."""
        self._controller.set_packet_sink(None)
        self._air.leave(self._controller)
        logger.info("controller lost", extra={"controller": self._controller.name})


async def serve(air: Air, path: Path) -> asyncio.Server:
    """Accept hosts on a Unix socket, each with a controller of its own.

    A socket left by a server that was killed is replaced.

    Raises:
        OSError: If the socket cannot be made there.
    """
    numbers = itertools.count(1)
    return await asyncio.get_running_loop().create_unix_server(
        lambda: _HciSocket(air, f"controller-{next(numbers)}"), path
    )
