"""What is known of each device between its visits: when it was heard, visited, how full it is.

In memory first, since devices advertise several times a second and an SD card wears; the file
follows every few minutes and at the end.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from device_adapters.contract.standing import MAX_DEVICES, DeviceStanding
from gateway.store.database import Database, from_us, to_us

logger = logging.getLogger(__name__)

_FLUSH_EVERY: Final = timedelta(minutes=5)

_READ: Final = """
SELECT device, adapter, seen_us, visited_us, given_us, battery_percent, battery_us
  FROM standing
 ORDER BY seen_us DESC
 LIMIT ?
"""
_WRITE: Final = """
INSERT OR REPLACE INTO standing
       (device, adapter, seen_us, visited_us, given_us, battery_percent, battery_us)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_FORGET: Final = "DELETE FROM standing WHERE device = ?"


@dataclass(slots=True, kw_only=True)
class _Entry:
    adapter: str | None = None
    seen_at: datetime | None = None
    visited_at: datetime | None = None
    given_at: datetime | None = None
    battery_percent: int | None = None
    battery_at: datetime | None = None


class DeviceBook:
    """Keeps the standing of as many devices as a status can name.

    A device more makes it forget the one that was not heard for longest.

    Args:
        database: Where it is kept.
        now: The gateway's own time, right or not.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._entries: dict[str, _Entry] = {}
        self._changed: set[str] = set()
        self._forgotten: set[str] = set()
        self._flushed_at = now()
        self._load()

    def heard(self, address: str, adapter: str) -> None:
        """Note that a device that an adapter serves advertised."""
        entry = self._entry(address)
        entry.adapter, entry.seen_at = adapter, self._now()
        self._note(address)

    def visited(self, address: str, *, has_given: bool) -> None:
        """Note that a visit ended well, and whether it brought a record that was new."""
        entry = self._entry(address)
        entry.visited_at = self._now()
        if has_given:
            entry.given_at = entry.visited_at
        self._note(address)

    def battery(self, address: str, percent: int) -> None:
        """Note how full a device's battery is, as it says."""
        entry = self._entry(address)
        entry.battery_percent, entry.battery_at = percent, self._now()
        self._note(address)

    def forget(self, address: str) -> None:
        """Drop a device that does not belong here any more."""
        if self._entries.pop(address, None) is not None:
            self._changed.discard(address)
            self._forgotten.add(address)
            self.flush()

    def standings(self) -> Sequence[DeviceStanding]:
        """Return what is known, by address."""
        return [
            DeviceStanding(
                id=address,
                adapter=entry.adapter,
                seen_at=entry.seen_at,
                visited_at=entry.visited_at,
                given_at=entry.given_at,
                battery_percent=entry.battery_percent,
                battery_at=entry.battery_at,
            )
            for address, entry in sorted(self._entries.items())
        ]

    def flush(self) -> None:
        """Write what has changed; on a disk that refuses it stays in memory. Never raises."""
        self._flushed_at = self._now()
        try:
            with self._database.transaction(is_durable=False) as connection:
                connection.executemany(_FORGET, [(address,) for address in self._forgotten])
                connection.executemany(_WRITE, [self._row(each) for each in self._changed])
        except sqlite3.Error as error:
            logger.warning("devices' standing not kept", extra={"reason": str(error)})
            return
        self._changed.clear()
        self._forgotten.clear()

    def _load(self) -> None:
        for row in self._database.connection.execute(_READ, (MAX_DEVICES,)):
            self._entries[row[0]] = _Entry(
                adapter=row[1],
                seen_at=_time(row[2]),
                visited_at=_time(row[3]),
                given_at=_time(row[4]),
                battery_percent=row[5],
                battery_at=_time(row[6]),
            )

    def _entry(self, address: str) -> _Entry:
        entry = self._entries.get(address)
        if entry is None:
            if len(self._entries) >= MAX_DEVICES:
                self._forget_one()
            entry = self._entries[address] = _Entry()
            self._forgotten.discard(address)
        return entry

    def _forget_one(self) -> None:
        unheard = [address for address, each in self._entries.items() if each.seen_at is None]
        oldest = unheard[0] if unheard else min(self._entries, key=self._seen_us)
        del self._entries[oldest]
        self._changed.discard(oldest)
        self._forgotten.add(oldest)

    def _seen_us(self, address: str) -> int:
        seen_at = self._entries[address].seen_at
        return to_us(seen_at) if seen_at else 0

    def _note(self, address: str) -> None:
        self._changed.add(address)
        # A clock that was set back must not stop the flushing.
        if abs(self._now() - self._flushed_at) >= _FLUSH_EVERY:
            self.flush()

    def _row(self, address: str) -> tuple[object, ...]:
        entry = self._entries[address]
        return (
            address,
            entry.adapter,
            _us(entry.seen_at),
            _us(entry.visited_at),
            _us(entry.given_at),
            entry.battery_percent,
            _us(entry.battery_at),
        )


def _us(time: datetime | None) -> int | None:
    return None if time is None else to_us(time)


def _time(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)
