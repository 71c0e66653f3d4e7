"""Remote configuration: what the server tells the gateway, taken over or refused.

What is refused changes nothing and is told with its reason; the last good configuration is kept
in the gateway's file and holds from the next start on, before the broker is reached.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol

import msgspec

from device_adapters.contract.configuration import (
    MAX_PAIRING_S,
    GatewayConfiguration,
    ScanMode,
    decode_configuration,
)
from device_adapters.contract.elements import ContractError
from device_adapters.contract.standing import Happening, Problem
from gateway.clock import Clock
from gateway.reporting import Reports
from gateway.store import configuration as store
from gateway.store.configuration import Kept
from gateway.store.database import Database

logger = logging.getLogger(__name__)

#: How far the server's clock may be ahead of ours before one of the two must be wrong.
AHEAD: Final = timedelta(hours=1)
CHANNEL_FILE: Final = "channel"

# It names a directory of a package archive: nothing that could be more than one plain name.
_CHANNEL: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class Listening(Protocol):
    """What configuration needs of the radio."""

    def configure(self, devices: Collection[str] | None, scan_mode: ScanMode) -> None:
        """Talk to these devices only (None: to any that an adapter serves), listening so."""
        ...


class Window(Protocol):
    """What configuration needs of the pairing window."""

    def open(self, for_s: float) -> None:
        """Let devices that are not configured pair for so long."""
        ...


class Configuring:
    """Holds the configuration that counts, and applies it.

    Args:
        database: Keeps the last good one.
        clock: Says how old one is, and whether that can be said.
        reports: Hears of what was refused and taken over.
        listening: The radio.
        window: Lets strange devices pair for a while.
        apply: Called with each configuration that counts, for all other parts.
        fallback: The only devices to talk to where no configuration says which; empty for any.
        directory: Where the channel's file is written.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        reports: Reports,
        *,
        listening: Listening,
        window: Window,
        apply: Callable[[GatewayConfiguration], None],
        fallback: Collection[str],
        directory: Path,
    ) -> None:
        self._database = database
        self._clock = clock
        self._reports = reports
        self._listening = listening
        self._window = window
        self._apply = apply
        self._fallback = tuple(fallback)
        self._directory = directory
        self._kept: Kept | None = None
        self._arrived_ns: int | None = None  # while the pairing window waits for a right clock
        self.current: GatewayConfiguration | None = None

    @property
    def devices(self) -> tuple[str, ...] | None:
        """Return the only devices to talk to, maybe none at all; None for any."""
        if self.current is None or self.current.devices is None:
            return self._fallback or None
        return tuple(device.id for device in self.current.devices)

    def start(self) -> None:
        """Apply what was kept; to be called once, before the radio listens."""
        try:
            self._kept = store.read(self._database)
            if self._kept is not None:
                self.current = decode_configuration(self._kept.body)
        except (sqlite3.Error, ContractError) as error:
            # The broker holds it too: it comes again with the next connection.
            logger.warning("kept configuration cannot be read", extra={"reason": str(error)})
        if self.current is not None:
            self._carry_out(self.current)

    def take(self, payload: bytes) -> None:
        """Take over what the server says, or refuse it and say why; never raises."""
        if not payload:
            logger.info("nothing is configured: what was goes on")
            return
        try:
            found = decode_configuration(payload)
            self._check(found)
        except ContractError as error:
            logger.warning("configuration refused", extra={"reason": str(error)})
            self._reports.begin(Problem.CONFIGURATION_REFUSED, detail=str(error))
            return
        self._reports.end(Problem.CONFIGURATION_REFUSED)
        if found != self.current:
            self._take_over(found, payload)

    def settle(self) -> None:
        """Open the pairing window that waited for the clock; called now and then."""
        if self._arrived_ns is not None and self.current is not None:
            self._open_window(self.current, self._arrived_ns)

    def _check(self, found: GatewayConfiguration) -> None:
        kept, now = self._kept, self._clock.read()
        if kept is not None and found.version < kept.version:
            raise ContractError(
                f"version: {found.version} is older than {kept.version}, which goes on"
            )
        if self._is_kept(found) and not self._may_follow(found):
            raise ContractError(f"version: {found.version} came before with other contents")
        ids = [device.id for device in found.devices or ()]
        if twice := next((each for each in ids if ids.count(each) > 1), None):
            raise ContractError(f"devices: {twice} is there twice")
        if not _CHANNEL.fullmatch(found.channel):
            raise ContractError("channel: not small letters, digits and hyphens, at most 32")
        if now.is_synchronised and found.issued_at - now.at > AHEAD:
            raise ContractError(
                f"issued_at: {found.issued_at:%Y-%m-%d %H:%M} is more than an hour ahead of"
                f" the gateway's {now.at:%Y-%m-%d %H:%M} UTC"
            )

    def _may_follow(self, found: GatewayConfiguration) -> bool:
        """Tell whether contents may come under the version that is there already.

        The same again; the same with its pairing window shut, as the server tells it once that
        has passed, and as it was before, from a broker that forgot the last minute; and what was
        issued later: a server that was put back from an older copy counts on from there, and
        may use a number again.
        """
        if self.current is None or self._is_later(found):
            return True
        if found.pairing_until is not None and self.current.pairing_until is not None:
            return found == self.current
        shut = msgspec.structs.replace(self.current, pairing_until=None)
        return msgspec.structs.replace(found, pairing_until=None) == shut

    def _is_later(self, found: GatewayConfiguration) -> bool:
        return self.current is not None and found.issued_at > self.current.issued_at

    def _is_kept(self, found: GatewayConfiguration) -> bool:
        return self._kept is not None and self._kept.version == found.version

    def _take_over(self, found: GatewayConfiguration, payload: bytes) -> None:
        now = self._clock.read()
        # Its window opens once: not for a version that was here before the last start.
        is_new = not self._is_kept(found) or self._is_later(found)
        self._arrived_ns = now.monotonic_ns if is_new else None
        self._kept, self.current = Kept(version=found.version, body=payload), found
        try:
            store.put(self._database, self._kept, now.at)
        except sqlite3.Error as error:
            # It holds all the same. Only the window does not open: after a restart nobody
            # would know that it has been open.
            self._arrived_ns = None
            logger.warning("configuration could not be kept", extra={"reason": str(error)})
        logger.info("configured", extra={"version": found.version})
        self._reports.note(Happening.CONFIGURED, detail=f"version {found.version}")
        self._carry_out(found)
        self.settle()

    def _carry_out(self, found: GatewayConfiguration) -> None:
        self._listening.configure(self.devices, found.scan_mode)
        self._apply(found)
        self._write_channel(found.channel)

    def _open_window(self, found: GatewayConfiguration, arrived_ns: int) -> None:
        now = self._clock.read()
        waited_s = (now.monotonic_ns - arrived_ns) / 1e9
        if found.pairing_until is None or waited_s >= MAX_PAIRING_S:
            self._arrived_ns = None
            return
        if not now.is_synchronised:
            return  # whether somebody stands beside the gateway now cannot be told
        self._arrived_ns = None
        # A window longer than allowed counts from when it was asked for: a configuration that
        # waited at the broker for a gateway that was away opens nothing.
        left_s = min(
            (found.pairing_until - now.at).total_seconds(),
            (found.issued_at - now.at).total_seconds() + MAX_PAIRING_S,
            MAX_PAIRING_S - waited_s,
        )
        if left_s > 0:
            self._window.open(left_s)

    def _write_channel(self, channel: str) -> None:
        file = self._directory / CHANNEL_FILE
        try:
            if file.exists() and file.read_text(encoding="ascii") == f"{channel}\n":
                return
            fresh = file.with_suffix(".new")
            fresh.write_text(f"{channel}\n", encoding="ascii")
            fresh.replace(file)
        except (OSError, UnicodeError) as error:
            logger.warning("channel could not be written", extra={"reason": str(error)})
