"""The journal: what a device sent, on disk before anything else is done with it.

BlueZ has confirmed an indication before the gateway sees it, and the device may have deleted the
record by then. So `Journal.append` is called in the radio's callback and returns when the bytes
are on the disk; what they mean is found out afterwards.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from device_adapters.contract.messages import Device
from gateway.clock import Clock, Moment
from gateway.effective_time import FIRST_YEAR
from gateway.store.database import Database, from_us, is_full, to_us

_APPEND: Final = """
INSERT INTO journal (connection, characteristic, raw, received_us, monotonic_ns, boot_id,
                     is_synchronised, trace_id, is_corrected)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?7)
"""

_PENDING: Final = """
SELECT journal.number, adapter, facts, characteristic, raw, received_us, monotonic_ns, boot_id,
       is_synchronised, trace_id, epoch
  FROM journal JOIN connection ON connection.number = journal.connection
 WHERE is_decoded = 0 AND is_settled = 1
 ORDER BY journal.number
 LIMIT ?
"""


class DeviceClock(msgspec.Struct, frozen=True, kw_only=True):
    """A device's clock as it was read: what it showed (home's wall clock, no zone), and when."""

    shown: datetime
    read: Moment


class ConnectionFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a connection's device; a reading is understood with it."""

    device: Device
    reset_generation: int = 0
    clock: DeviceClock | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One value that a device sent, with all that is needed to understand it."""

    number: int
    adapter: str
    facts: ConnectionFacts
    characteristic: str
    raw: bytes
    received: Moment
    boot_id: UUID
    trace_id: str
    epoch: UUID | None = None  # names its record, where it was salvaged


class Journal:
    """Raw values in the order of their arrival; equal bytes twice are two entries."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._boot_id = str(clock.boot_id)
        self._late: deque[Callable[[sqlite3.Connection], None]] = deque()

    def connected(self, adapter: str, device: Device) -> int:
        """Note a new connection and return its number, before anything is asked of the device."""

        def note(connection: sqlite3.Connection) -> int:
            facts = ConnectionFacts(
                device=device, reset_generation=_generation(connection, device.id)
            )
            row = connection.execute(
                "INSERT INTO connection (adapter, facts) VALUES (?, ?) RETURNING number",
                (adapter, msgspec.json.encode(facts).decode()),
            ).fetchone()
            return int(row[0])

        return self._database.keep(note)

    def append(self, connection: int, characteristic: str, value: bytes) -> str:
        """Keep one value and return its trace id; it is on the disk when this returns.

        Raises:
            sqlite3.Error: If it could not be kept: the disk is full or broken.
        """
        moment = self._clock.read()
        trace_id = secrets.token_hex(16)
        entry = (
            connection,
            characteristic,
            value,
            to_us(moment.at),
            moment.monotonic_ns,
            self._boot_id,
            moment.is_synchronised,
            trace_id,
        )
        try:
            self._database.connection.execute(_APPEND, entry)
        except sqlite3.Error as error:
            # The device has been told that it was received: it must find room once more.
            if not (is_full(error) and self._database.make_room()):
                raise
            self._database.connection.execute(_APPEND, entry)
        return trace_id

    def settle(self, connection: int, device: Device, clock: DeviceClock | None) -> None:
        """Note what was learnt of a connection's device: its entries can be understood now.

        The clock tells whether the device has lost it since it was last measured; from then on
        its records are another generation. On a full disk it is noted later, by `settle_late`.
        """

        def note(database: sqlite3.Connection) -> None:
            generation = _generation(database, device.id)
            if clock is not None:
                row = database.execute(
                    "SELECT clock_shown FROM device WHERE id = ?", (device.id,)
                ).fetchone()
                before = datetime.fromisoformat(row[0]) if row and row[0] else None
                generation += has_lost_clock(before, clock.shown)
                database.execute(
                    "INSERT INTO device (id, reset_generation, clock_shown) VALUES (?, ?, ?)"
                    " ON CONFLICT (id) DO UPDATE SET reset_generation = excluded.reset_generation,"
                    " clock_shown = excluded.clock_shown",
                    (device.id, generation, clock.shown.isoformat()),
                )
            facts = ConnectionFacts(device=device, reset_generation=generation, clock=clock)
            database.execute(
                "UPDATE connection SET facts = ?, is_settled = 1 WHERE number = ?",
                (msgspec.json.encode(facts).decode(), connection),
            )

        self._late.append(note)
        self.settle_late()

    def settle_late(self) -> None:
        """Note what could not be noted because the disk was full, as far as there is room now."""
        while self._late:
            try:
                self._database.keep(self._late[0])
            except sqlite3.Error as error:
                if not is_full(error):
                    raise
                return
            self._late.popleft()

    def settle_all(self) -> None:
        """Settle what a crash left open; to be called before the first connection."""

        def settle(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE connection SET is_settled = 1 WHERE is_settled = 0")

        self._database.keep(settle)

    def pending(self, limit: int) -> Sequence[Entry]:
        """Return the oldest entries that nobody has decoded yet, of settled connections."""
        return [_entry(row) for row in self._database.connection.execute(_PENDING, (limit,))]


def has_lost_clock(before: datetime | None, shown: datetime) -> bool:
    """Tell from two readings of a device's clock whether the device was reset in between."""
    if before is None:
        return False
    was_set, is_set = before.year >= FIRST_YEAR, shown.year >= FIRST_YEAR
    return (was_set and not is_set) or before - shown > timedelta(days=1)


def _generation(connection: sqlite3.Connection, device_id: str) -> int:
    row = connection.execute(
        "SELECT reset_generation FROM device WHERE id = ?", (device_id,)
    ).fetchone()
    return int(row[0]) if row else 0


def _entry(row: tuple[Any, ...]) -> Entry:
    number, adapter, facts, characteristic, raw, received_us, monotonic_ns, boot, sync, *rest = row
    trace_id, epoch = rest
    return Entry(
        number=number,
        adapter=adapter,
        facts=msgspec.json.decode(facts, type=ConnectionFacts),
        characteristic=characteristic,
        raw=raw,
        received=Moment(
            at=from_us(received_us), monotonic_ns=monotonic_ns, is_synchronised=bool(sync)
        ),
        boot_id=UUID(boot),
        trace_id=trace_id,
        epoch=None if epoch is None else UUID(epoch),
    )
