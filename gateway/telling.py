"""Telling the server how the gateway stands: the retained status, and events one by one."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import msgspec

from device_adapters.contract import messages
from device_adapters.contract.messages import MAX_SENT_BYTES
from device_adapters.contract.standing import MAX_DEVICES, DeviceStanding, GatewayStatus
from gateway.clock import Clock
from gateway.configuration import Configuring
from gateway.credentials import CertificateFacts
from gateway.standing import Standing
from gateway.store import said
from gateway.store.database import FILE_NAME, Database
from gateway.store.events import Events
from gateway.store.outbox import Outbox
from gateway.store.said import Said

logger = logging.getLogger(__name__)

_SOON_S: Final = 1.0  # several things that change together are told together
_SAY_NS: Final = 15 * 10**9  # what only people read need not wear the card


class Publisher(Protocol):
    """What telling needs of the broker's client."""

    @property
    def is_connected(self) -> bool:
        """Tell whether the broker has accepted the connection."""
        ...

    problem: str | None

    def publish_status(self, status: GatewayStatus) -> None:
        """Tell, retained, how the gateway stands."""
        ...

    def publish_event(self, number: int, payload: bytes) -> bool:
        """Hand over an event; false if that is not possible now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a gateway that know how it stands, asked each time it is told."""

    outbox: Outbox
    standing: Standing
    events: Events
    configuring: Configuring
    is_listening: Callable[[], bool]
    devices: Callable[[], Sequence[DeviceStanding]]
    certificate: Callable[[], CertificateFacts | None]
    pairing_left_s: Callable[[], float]


class Telling:
    """Publishes the status when asked and soon after a change, and events until they are taken.

    Args:
        database: Keeps what only the running gateway knows, for ``hemvital-gateway status``.
        clock: Gives the times.
        publisher: The broker's client.
        parts: What is asked.
        directory: Where the gateway's file is.
        software: Name and version.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        publisher: Publisher,
        parts: Parts,
        *,
        directory: Path,
        software: str,
    ) -> None:
        self._database = database
        self._clock = clock
        self._publisher = publisher
        self._parts = parts
        self._file = directory / FILE_NAME
        self._software = software
        self._loop = asyncio.get_running_loop()
        self._soon: asyncio.TimerHandle | None = None
        self._asked: int | None = None  # the event whose answer is awaited
        self._said: Said | None = None
        self._said_ns = 0
        self._started = clock.read()

    def soon(self) -> None:
        """Tell within a second: something has changed."""
        if self._soon is None:
            self._soon = self._loop.call_later(_SOON_S, self._tell_soon)

    def connected(self) -> None:
        """Tell at once: the broker has been reached."""
        self._asked = None  # an answer that was on its way will not come
        self.tell()

    def event_answered(self, number: int, is_taken: bool) -> None:
        """Take the broker's word on an event: the next one goes, or this one a minute later."""
        if number != self._asked:
            return
        if not is_taken:
            return  # nobody listens: the next status comes with the next attempt
        self._asked = None
        try:
            self._parts.events.taken(number)
        except sqlite3.Error as error:
            logger.warning("event could not be marked", extra={"reason": str(error)})
            return
        self._send_event()

    def tell(self) -> None:
        """Publish the status, and an event if one waits; also called every minute."""
        self._asked = None
        if self._publisher.is_connected:
            try:
                self._publisher.publish_status(self.status())
            except sqlite3.Error as error:
                logger.warning("status could not be told", extra={"reason": str(error)})
            self._send_event()
        self._say()

    def status(self) -> GatewayStatus:
        """Return how the gateway stands, never longer than a message may be.

        Raises:
            sqlite3.Error: If the file cannot be read.
        """
        parts, now, queue = self._parts, self._clock.read(), self._parts.outbox.standing()
        configuration, certificate = parts.configuring.current, parts.certificate()
        status = GatewayStatus(
            is_online=True,
            at=now.at,
            software=self._software,
            channel=None if configuration is None else configuration.channel,
            boot_id=self._clock.boot_id,
            started_at=self._started_at(),
            is_clock_synchronised=now.is_synchronised,
            is_listening=parts.is_listening(),
            epoch=queue.epoch,
            last_number=queue.last_number,
            undelivered=queue.undelivered,
            oldest_undelivered_at=queue.oldest_undelivered_at,
            size_bytes=_size(self._file),
            configuration=None if configuration is None else configuration.version,
            certificate_ends_at=None if certificate is None else certificate.not_after,
            conditions=parts.standing.conditions,
            devices=tuple(parts.devices()[:MAX_DEVICES]),
        )
        return _fitting(status)

    def _tell_soon(self) -> None:
        self._soon = None
        self.tell()

    def _started_at(self) -> datetime:
        now = self._clock.read()
        # By the clock of today: at the start it may not have been right.
        return self._started.rebased(now).at if now.is_synchronised else self._started.at

    def _send_event(self) -> None:
        if self._asked is not None or not self._publisher.is_connected:
            return
        try:
            waiting = self._parts.events.oldest()
        except sqlite3.Error as error:
            logger.warning("events cannot be read", extra={"reason": str(error)})
            return
        # One at a time: events must not take the readings' places in the client's window.
        if waiting is not None and self._publisher.publish_event(waiting.number, waiting.body):
            self._asked = waiting.number

    def _say(self) -> None:
        now, parts = self._clock.read(), self._parts
        certificate, left_s = parts.certificate(), parts.pairing_left_s()
        new = Said(
            software=self._software,
            boot_id=self._clock.boot_id,
            started_at=self._started_at().replace(microsecond=0),
            is_clock_synchronised=now.is_synchronised,
            is_listening=parts.is_listening(),
            is_broker_connected=self._publisher.is_connected,
            broker_problem=self._publisher.problem,
            pairing_until=(
                (now.at + timedelta(seconds=left_s)).replace(second=0, microsecond=0)
                if left_s > 0
                else None
            ),
            certificate_ends_at=None if certificate is None else certificate.not_after,
        )
        is_early = self._said is not None and now.monotonic_ns - self._said_ns < _SAY_NS
        if new == self._said or is_early:
            return
        try:
            said.put(self._database, new, now.at)
        except sqlite3.Error as error:
            logger.warning("state could not be written", extra={"reason": str(error)})
            return
        self._said, self._said_ns = new, now.monotonic_ns


def _fitting(status: GatewayStatus) -> GatewayStatus:
    """Return the status without its conditions' details where it would be too long with them."""
    if len(messages.encode(status)) <= MAX_SENT_BYTES:
        return status
    bare = tuple(msgspec.structs.replace(each, detail=None) for each in status.conditions)
    return msgspec.structs.replace(status, conditions=bare)


def _size(file: Path) -> int | None:
    try:
        parts = [file, file.with_name(f"{file.name}-wal")]
        return sum(part.stat().st_size for part in parts if part.exists())
    except OSError:
        return None
