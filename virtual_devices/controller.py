"""A Bumble controller that behaves on the air as chips do.

Each override fills a gap of Bumble 0.0.236, to which the project is pinned.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from bumble import controller, hci, link, ll

_UNIT_S: Final = 0.625e-3  # advertising intervals are counted in this
_ESTABLISHED_WITHIN_S: Final = 0.1
_ACTIVE_SCANNING: Final = 1  # Core 5.4, Vol 4, Part E, 7.8.10


class Medium(Protocol):
    """What a controller asks of the air besides carrying its packets."""

    def rssi(self, advertiser: hci.Address) -> int:
        """Return how strongly an advertiser is heard, in dBm."""
        ...

    def is_joined(self, connection: controller.Connection) -> bool:
        """Tell whether the other end of a connection knows of it."""
        ...


@dataclass
class ScannableAdvertisement(ll.AdvInd):
    """An advertisement that carries the answer to a scan request, which Bumble never sends."""

    scan_response: bytes = b""


class Advertiser(controller.LegacyAdvertiser):
    """Advertises at the interval asked for (Bumble takes its units for milliseconds)."""

    def _on_timer_fired(self) -> None:
        self.send_advertising_data()
        self.timer_handle = asyncio.get_running_loop().call_later(
            self.advertising_interval_min * _UNIT_S, self._on_timer_fired
        )

    def send_advertising_data(self) -> None:
        """Send one advertisement with its scan response, if enabled."""
        if self.enabled:
            self.controller.send_advertising_pdu(
                ScannableAdvertisement(
                    self.address, self.advertising_data, scan_response=self.scan_response_data
                )
            )


class RadioController(controller.Controller):
    """A Bluetooth 4.2 controller: legacy advertising only, which is all that cuffs do."""

    le_features = controller.Controller.le_features & ~(
        hci.LeFeatureMask.LE_EXTENDED_ADVERTISING | hci.LeFeatureMask.LE_PERIODIC_ADVERTISING
    )
    le_acl_data_packet_length = 251  # one packet for one frame, as with Data Length Extension

    def __init__(self, name: str, *, medium: Medium, link: link.LocalLink) -> None:
        super().__init__(name, link=link)  # pyright: ignore[reportUnknownMemberType] - Bumble's
        self._medium = medium
        self.le_legacy_advertiser = Advertiser(self)

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_Command
    ) -> hci.HCI_StatusReturnParameters:
        """End the pending connection; Bumble keeps it, and refuses every later one.

        Source:
            Bluetooth Core 5.4, Vol 4, Part E, 7.8.13: a Connection Complete event with status
            Unknown Connection Identifier follows.
        """
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        # `send_hci_packet` queues, so one turn later is after the command's own completion.
        asyncio.get_running_loop().call_soon(
            self.send_hci_packet,
            hci.HCI_LE_Connection_Complete_Event(
                status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                connection_handle=0,
                role=hci.Role.CENTRAL,
                peer_address_type=pending.peer_address.address_type,
                peer_address=pending.peer_address,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            ),
        )
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_advertising_pdu(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        """Report an advertisement and its scan response, each with its own data and RSSI."""
        if not isinstance(pdu, ScannableAdvertisement):
            return
        if self.le_scan_enable:
            event = hci.HCI_LE_Advertising_Report_Event
            self._report(event.EventType.ADV_IND, pdu.advertiser_address, pdu.data)
            if self.le_scan_type == _ACTIVE_SCANNING:
                self._report(event.EventType.SCAN_RSP, pdu.advertiser_address, pdu.scan_response)
        if (
            self.pending_le_connection
            and self.pending_le_connection.peer_address == pdu.advertiser_address
            and pdu.advertiser_address not in self.le_connections
        ):
            self.create_le_connection(pdu.advertiser_address)

    def create_le_connection(self, peer_address: hci.Address) -> None:
        """Connect, and give up when the peer had just stopped advertising and never noticed."""
        super().create_le_connection(peer_address)
        asyncio.get_running_loop().call_later(
            _ESTABLISHED_WITHIN_S, self._drop_unless_joined, self.le_connections[peer_address]
        )

    def drop(self, connection: controller.Connection, reason: int) -> None:
        """End a connection for this side, unless it has ended already."""
        if self.le_connections.get(connection.peer_address) is connection:
            self.on_le_disconnected(connection, reason)

    def _drop_unless_joined(self, connection: controller.Connection) -> None:
        if not self._medium.is_joined(connection):
            self.drop(connection, hci.HCI_ErrorCode.CONNECTION_FAILED_TO_BE_ESTABLISHED_ERROR)

    def _report(
        self,
        event_type: hci.HCI_LE_Advertising_Report_Event.EventType,
        address: hci.Address,
        data: bytes,
    ) -> None:
        event = hci.HCI_LE_Advertising_Report_Event
        self.send_hci_packet(
            event(
                [
                    event.Report(
                        event_type=event_type,
                        address_type=address.address_type,
                        address=address,
                        data=data,
                        rssi=self._medium.rssi(address),
                    )
                ]
            )
        )
