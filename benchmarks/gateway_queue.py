"""A week's readings in a gateway's file, made by the gateway's own journal and decoder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from benchmarks import readings
from deploy.local.home import TIMEZONE
from device_adapters import registry
from device_adapters.contract.messages import Device
from gateway.clock import Moment
from gateway.decoding import Decoder
from gateway.store.database import open_database
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox


class PastClock:
    """A synchronised clock that shows what it is told to."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self._boot_id = uuid4()

    @property
    def boot_id(self) -> UUID:
        """Return a boot that nobody else has."""
        return self._boot_id

    @property
    def doubt(self) -> str | None:
        """Nothing is wrong with it."""
        return None

    def read(self) -> Moment:
        """Return the moment that was told."""
        since = self.at - datetime(2020, 1, 1, tzinfo=UTC)
        return Moment(
            at=self.at,
            monotonic_ns=since // timedelta(microseconds=1) * 1000,
            is_synchronised=True,
        )


def fill(state: Path, devices: Sequence[str], *, records: int, until: datetime) -> None:
    """Make a gateway's file anew, with the readings of the week before ``until``.

    Args:
        state: The gateway's state directory; what is there goes.
        devices: Whose readings they are, in turn.
        records: How many.
        until: When the last one was received.
    """
    shutil.rmtree(state, ignore_errors=True)
    clock = PastClock(until)
    database = open_database(state, until)
    try:
        journal = Journal(database, clock)
        outbox = Outbox(database, now=lambda: clock.at)
        boot, random = uuid4(), Random(records)  # noqa: S311 - load, not a secret
        connections = {
            each: journal.connected("blood-pressure-service", Device(id=each)) for each in devices
        }
        apart = timedelta(days=7) / records
        # In one transaction: how it was filled is not what is measured.
        database.connection.execute("BEGIN")
        for number in range(records):
            device = devices[number % len(devices)]
            clock.at = until - (records - number) * apart
            made = readings.pressure(Device(id=device), clock.at, boot, random)
            journal.append(connections[device], readings.CUFF, made.reception.raw)
        database.connection.execute("COMMIT")
        journal.settle_all()
        decoder = Decoder(database, journal, outbox, registry.load(), ZoneInfo(TIMEZONE))
        while decoder.decode():
            pass
    finally:
        database.close()
