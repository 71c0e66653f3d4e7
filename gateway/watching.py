"""Looks every few seconds for what nobody tells: a clock, a queue, a device, a certificate.

How long something has lasted is told by the count since boot wherever that reaches: a clock that
jumps neither raises nor hides anything.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from device_adapters.contract.configuration import GatewayConfiguration
from device_adapters.contract.standing import DeviceStanding, Problem
from gateway.clock import Clock, Moment
from gateway.credentials import CertificateFacts, read_facts
from gateway.refusals import explain
from gateway.standing import Standing
from gateway.store import configuration as store
from gateway.store import waiting
from gateway.store.database import Database
from gateway.store.waiting import Longest

logger = logging.getLogger(__name__)

#: Before a device is missed, the radio has to have listened for so long since the start: most
#: devices are heard once a day, and a gateway that was without power has heard none.
LISTENED_NS: Final = 3600 * 10**9
_FACTS_NS: Final = 60 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From when on something counts as wrong; the configuration says it."""

    not_seen: timedelta = timedelta(hours=72)
    queue: timedelta = timedelta(minutes=60)


def limits(configuration: GatewayConfiguration) -> Limits:
    """Return the limits of a configuration."""
    return Limits(
        not_seen=timedelta(hours=configuration.not_seen_after_h),
        queue=timedelta(minutes=configuration.queue_growing_after_min),
    )


class Watch:
    """Begins and ends the conditions that are a matter of time.

    Args:
        database: Where the queue is.
        clock: The gateway's.
        standing: Hears what is wrong.
        certificate: The gateway's certificate; what is known of it stands beside it.
        broker: The broker's name, for people.
        devices: Returns the configured devices, none for any.
        standings: Returns what is known of each device.
        is_listening: Tells whether the radio listens.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        standing: Standing,
        *,
        certificate: Path,
        broker: str,
        devices: Callable[[], Collection[str]],
        standings: Callable[[], Sequence[DeviceStanding]],
        is_listening: Callable[[], bool],
    ) -> None:
        self.limits = Limits()
        self._database = database
        self._clock = clock
        self._standing = standing
        self._certificate = certificate
        self._broker = broker
        self._devices = devices
        self._standings = standings
        self._is_listening = is_listening
        self._facts: CertificateFacts | None = None
        self._facts_ns = -_FACTS_NS
        self._looked_ns: int | None = None
        self._listened_ns = 0
        self._awaited: Mapping[str, datetime] = {}

    @property
    def certificate(self) -> CertificateFacts | None:
        """Return what is known of the gateway's certificate."""
        now_ns = self._clock.read().monotonic_ns
        if now_ns - self._facts_ns >= _FACTS_NS:
            self._facts, self._facts_ns = read_facts(self._certificate), now_ns
        return self._facts

    def look(self) -> None:
        """Look at everything once."""
        now = self._clock.read()
        self._look_at_clock(now)
        self._look_at_certificate(now)
        self._note_listening(now)
        try:
            self._look_at_queue(now)
            self._look_at_devices(now)
        except sqlite3.Error as error:
            logger.warning("cannot look at what waits", extra={"reason": str(error)})
        self._standing.settle()

    def refused(self, problem: str) -> None:
        """Take what kept the broker from being had; a missing network is no refusal."""
        cause = explain(
            problem,
            broker=self._broker,
            now=self._clock.read(),
            certificate=self.certificate,
        )
        if cause is not None:
            self._standing.begin(Problem.BROKER_REFUSES, detail=cause)

    def connected(self) -> None:
        """Take note that the broker has accepted the connection."""
        self._standing.end(Problem.BROKER_REFUSES)

    def _look_at_clock(self, now: Moment) -> None:
        if now.is_synchronised:
            self._standing.end(Problem.CLOCK_UNTRUSTED)
        else:
            self._standing.begin(Problem.CLOCK_UNTRUSTED, detail=self._clock.doubt)

    def _look_at_certificate(self, now: Moment) -> None:
        facts = self.certificate
        if not now.is_synchronised:
            return  # it was ending or not when that could last be told
        if facts is not None and (ending := facts.ending(now)):
            self._standing.begin(Problem.CERTIFICATE_ENDING, detail=ending)
        else:
            self._standing.end(Problem.CERTIFICATE_ENDING)

    def _look_at_queue(self, now: Moment) -> None:
        longest = waiting.longest(self._database.connection)
        waited = None if longest is None else waited_at_least(longest, now, self._clock.boot_id)
        if waited is None or waited < self.limits.queue:
            self._standing.end(Problem.QUEUE_GROWING)
            return
        minutes = self.limits.queue // timedelta(minutes=1)
        self._standing.begin(
            Problem.QUEUE_GROWING,
            detail=f"readings wait for the server for more than {minutes} min",
            since=now.at - waited,
        )

    def _note_listening(self, now: Moment) -> None:
        if self._is_listening() and self._looked_ns is not None:
            self._listened_ns += now.monotonic_ns - self._looked_ns
        self._looked_ns = now.monotonic_ns

    def _look_at_devices(self, now: Moment) -> None:
        devices = self._devices()
        self._standing.end_devices(Problem.DEVICE_NOT_SEEN, but=devices)
        if not now.is_synchronised:
            return
        if set(devices) != set(self._awaited):
            self._awaited = store.await_devices(self._database, devices, now.at)
        if self._standing.holds(Problem.RADIO_DEAF):
            return
        seen = {each.id: each.seen_at for each in self._standings()}
        hours = self.limits.not_seen // timedelta(hours=1)
        for device, awaited in self._awaited.items():
            heard = seen.get(device)
            last = awaited if heard is None else max(awaited, heard)
            if now.at - last < self.limits.not_seen:
                self._standing.end(Problem.DEVICE_NOT_SEEN, device_id=device)
            elif self._listened_ns >= LISTENED_NS:
                self._standing.begin(
                    Problem.DEVICE_NOT_SEEN,
                    device_id=device,
                    detail=f"not heard for more than {hours} h",
                    since=last,
                )


def waited_at_least(longest: Longest, now: Moment, boot_id: UUID) -> timedelta:
    """Return how long a reading has waited, as far as that can be told for sure.

    By the count since boot. A reading of an earlier boot has waited for all of this one; how long
    before that is told by the wall clock, where it was right then and is now.
    """
    if longest.boot_id == boot_id:
        waited_ns = now.monotonic_ns - longest.received.monotonic_ns
        return timedelta(microseconds=waited_ns // 1000)
    since_boot = timedelta(microseconds=now.monotonic_ns // 1000)
    if longest.received.is_synchronised and now.is_synchronised:
        return max(since_boot, now.at - longest.received.at)
    return since_boot
