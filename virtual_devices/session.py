"""One connection, seen from the device: who has subscribed, indicate and wait, hang up."""

# Bumble's GATT server leaves its futures and emitters untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from bumble import core, hci
from bumble.device import Connection, Device
from bumble.gatt import Characteristic

_HANG_UP_WITHIN_S: Final = 2.0


class LinkLostError(Exception):
    """The connection ended, or the other side stopped listening, before it confirmed."""


class Session:
    """A connection for as long as it lasts; ``on_end`` is called when it ends."""

    def __init__(
        self, device: Device, connection: Connection, *, on_end: Callable[[], None]
    ) -> None:
        self._server = device.gatt_server
        self._connection = connection
        self._on_end = on_end
        self._subscribed = asyncio.Event()
        self._ended = False
        if device.connections.get(connection.handle) is not connection:
            self._ended = True  # it was over before anybody looked
            return
        self._server.on(self._server.EVENT_CHARACTERISTIC_SUBSCRIPTION, self._on_subscription)
        connection.on(connection.EVENT_DISCONNECTION, self._on_disconnection)

    @property
    def is_over(self) -> bool:
        """Tell whether the connection has ended."""
        return self._ended

    def is_subscribed(self, characteristic: Characteristic[bytes]) -> bool:
        """Tell whether the other side wants this characteristic's values."""
        if self.is_over:
            return False
        return any(self._server.read_cccd(self._connection, characteristic))

    async def wait_subscribed(
        self, characteristic: Characteristic[bytes], *, within_s: float
    ) -> None:
        """Wait until the other side subscribes.

        Raises:
            LinkLostError: If it does not in time, or the connection ends.
        """
        try:
            async with asyncio.timeout(within_s):
                while not self.is_subscribed(characteristic):
                    if self.is_over:
                        raise LinkLostError("disconnected before a subscription")
                    self._subscribed.clear()
                    await self._subscribed.wait()
        except TimeoutError as error:
            raise LinkLostError(f"no subscription within {within_s} s") from error

    async def indicate(self, characteristic: Characteristic[bytes], value: bytes) -> None:
        """Indicate a value and wait until it is confirmed.

        Raises:
            LinkLostError: If nobody is subscribed, the connection ends first, or no
                confirmation comes within ATT's 30 seconds.
        """
        if not self.is_subscribed(characteristic):
            raise LinkLostError("nobody is subscribed")
        try:
            # Forced: Bumble itself would return silently had the subscription gone.
            await self._server.indicate_subscriber(
                self._connection, characteristic, value, force=True
            )
        except TimeoutError as error:
            raise LinkLostError("not confirmed") from error
        finally:
            if self.is_over:
                # Bumble leaves an entry for every connection that ended during an indication.
                self._server.on_disconnection(self._connection)

    async def notify(self, characteristic: Characteristic[bytes], value: bytes) -> None:
        """Send a value that nobody confirms, if the other side wants it."""
        if self.is_subscribed(characteristic):
            await self._server.notify_subscriber(self._connection, characteristic, value)

    async def hang_up(self) -> None:
        """End the connection, unless it has ended already."""
        if not self.is_over:
            with contextlib.suppress(core.BaseBumbleError, hci.HCI_Error, TimeoutError):
                async with asyncio.timeout(_HANG_UP_WITHIN_S):
                    await self._connection.disconnect()

    def abandon(self) -> None:
        """Count the connection as ended without a word to the other side."""
        self._ended = True

    def _on_subscription(self, *_: object) -> None:
        self._subscribed.set()

    def _on_disconnection(self, _reason: int) -> None:
        self._ended = True
        self._server.remove_listener(
            self._server.EVENT_CHARACTERISTIC_SUBSCRIPTION, self._on_subscription
        )
        self._subscribed.set()
        # Bumble lets a pending indication wait its 30 seconds out.
        pending: asyncio.Future[None] | None
        pending = self._server.pending_confirmations.get(self._connection)
        if pending is not None and not pending.done():
            pending.set_exception(LinkLostError("disconnected before the confirmation"))
        self._on_end()
