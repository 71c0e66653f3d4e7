"""The outbox: encoded records, numbered 1, 2, 3 … in their epoch, until the server has them.

A record's bytes never change once it has a number: a number that comes twice with other bytes is
how the server finds out that a journal was lost. The table is also the schedule: a row is due at
a moment of the monotonic clock, 0 is at once. What only says "sent" or "delivered" need not
survive a power cut: without it a record is sent again, which does no harm.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID, uuid4

from device_adapters.contract.messages import MAX_SENT_BYTES, ContractError, Receipt, Resend
from gateway.store.database import Database, from_us, is_full, to_us

_Result = TypeVar("_Result")

KEPT: Final = timedelta(days=30)
FIRST_RESEND_NS: Final = 30 * 10**9
LAST_RESEND_NS: Final = 15 * 60 * 10**9

# What a message holds beside its records: the time, brackets, a comma each.
ENVELOPE_BYTES: Final = 128
MAX_RECORD_BYTES: Final = MAX_SENT_BYTES - ENVELOPE_BYTES

# What is changed in one go: an indication that comes meanwhile waits for its end.
SLICE: Final = 100

_MAX_INTEGER: Final = 2**63 - 1
_DOUBLINGS: Final = 5  # 30 s doubled five times is beyond 15 min

# Further away than any timer lies what belongs to an earlier boot, whose count began elsewhere.
_DUE: Final = """
SELECT epoch, number, record, trace_id, attempts, sent_us IS NOT NULL
  FROM outbox
 WHERE delivered_us IS NULL AND (due_ns <= ?1 OR due_ns > ?1 + ?3)
 ORDER BY epoch, number
 LIMIT ?2
"""

_ANEW: Final = """
UPDATE outbox SET due_ns = 0, attempts = 0
 WHERE delivered_us IS NULL AND (due_ns <> 0 OR attempts <> 0)
"""

# Only what was sent can have been received: after a journal was put back from a copy, the
# server's ranges cover numbers that this gateway has not used again yet.
_DELIVERED: Final = """
UPDATE outbox SET delivered_us = ?
 WHERE epoch = ? AND number BETWEEN ? AND ? AND delivered_us IS NULL AND sent_us IS NOT NULL
"""

_UNDELIVERED_UP_TO: Final = """
SELECT max(number) FROM (
       SELECT number FROM outbox
        WHERE epoch = ? AND number BETWEEN ? AND ? AND delivered_us IS NULL
        ORDER BY number LIMIT ?)
"""

_WAITING: Final = """
SELECT epoch, number FROM outbox
 WHERE delivered_us IS NULL AND (epoch, number) > (?, ?)
 ORDER BY epoch, number LIMIT ?
"""

_SOON: Final = """
UPDATE outbox SET attempts = 0, due_ns = min(due_ns, ?)
 WHERE epoch = ? AND number = ? AND sent_us IS NOT NULL
"""

_KEPT_UP_TO: Final = """
SELECT max(number) FROM (
       SELECT number FROM outbox WHERE epoch = ? AND number BETWEEN ? AND ?
        ORDER BY number LIMIT ?)
"""

_AGAIN: Final = """
UPDATE outbox SET delivered_us = NULL, due_ns = 0, attempts = 0
 WHERE epoch = ? AND number BETWEEN ? AND ?
"""

_SOME_AGAIN: Final = """
UPDATE outbox SET delivered_us = NULL, due_ns = 0, attempts = 0
 WHERE rowid IN (SELECT rowid FROM outbox WHERE delivered_us IS NOT NULL LIMIT ?)
"""

_OLDEST_DELIVERED: Final = """
SELECT rowid, journal FROM outbox
 WHERE delivered_us < ? ORDER BY delivered_us LIMIT ?
"""

# Entries of which no record was made: nothing was in them.
_BARREN: Final = """
SELECT number, is_decoded = 1 AND received_us < ?
       AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.journal = journal.number)
  FROM journal WHERE number > ? ORDER BY number LIMIT ?
"""

_EMPTY: Final = """
SELECT number, is_settled = 1
       AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.connection = connection.number)
       AND number < (SELECT max(number) FROM connection)
  FROM connection WHERE number > ? ORDER BY number LIMIT ?
"""

_TO_RENUMBER: Final = """
SELECT number FROM outbox
 WHERE epoch = ? AND (delivered_us IS NULL OR number IN (SELECT value FROM json_each(?)))
 ORDER BY number
"""

_RENUMBER: Final = """
UPDATE outbox SET epoch = ?, number = ?, sent_us = NULL, attempts = 0, due_ns = 0,
                  delivered_us = NULL
 WHERE epoch = ? AND number = ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records of consecutive numbers of one epoch, to go in one message."""

    sequence: int
    epoch: UUID
    first: int
    records: tuple[bytes, ...]
    trace_id: str
    attempts: int
    is_repeated: bool

    @property
    def last(self) -> int:
        """Return the last record's number."""
        return self.first + len(self.records) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipted:
    """What a receipt changed."""

    delivered: int
    renumbered: int
    is_other_incarnation: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the outbox stands."""

    epoch: UUID
    last_number: int
    undelivered: int
    oldest_undelivered_at: datetime | None
    last_receipt_at: datetime | None


class Outbox:
    """Numbered records in the gateway's file.

    Args:
        database: The gateway's open file.
        now: The wall clock, for what people read; nothing is decided by it but what is too old.
        new_id: Makes epochs' ids.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._database = database
        self._now = now
        self._new_id = new_id
        with database.transaction() as connection:
            if connection.execute("SELECT 1 FROM epoch").fetchone() is None:
                self._start_epoch(connection, "journal created")
        try:
            with database.transaction(is_durable=False) as connection:
                connection.execute(_ANEW)
        except sqlite3.Error as error:
            # A long queue may find no room: each record then waits for the timer it had.
            if not is_full(error):
                raise

    @property
    def epoch(self) -> UUID:
        """Return the epoch in which new records get their numbers."""
        return self._current(self._database.connection)[1]

    def add(
        self, connection: sqlite3.Connection, record: bytes, trace_id: str, journal: int | None
    ) -> int:
        """Number one encoded record inside the caller's transaction and return its number.

        Args:
            connection: A transaction open for writing: the journal entry is marked in it too.
            record: The encoded record, at most `MAX_RECORD_BYTES`.
            trace_id: The reading's trace.
            journal: The journal entry it was made of, if it is a reading.
        """
        sequence, number = connection.execute(
            "UPDATE epoch SET last_number = last_number + 1"
            " WHERE sequence = (SELECT max(sequence) FROM epoch) RETURNING sequence, last_number"
        ).fetchone()
        connection.execute(
            "INSERT INTO outbox (epoch, number, journal, record, trace_id, queued_us)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (sequence, number, journal, record, trace_id, to_us(self._now())),
        )
        return int(number)

    def due(self, now_ns: int, *, max_records: int, max_bytes: int) -> Batch | None:
        """Return the oldest records that should be sent now, as many as one message takes."""
        rows = self._database.connection.execute(
            _DUE, (now_ns, max_records, LAST_RESEND_NS)
        ).fetchall()
        if not rows:
            return None
        sequence, first, _, trace_id, attempts, is_repeated = rows[0]
        records: list[bytes] = []
        room = max_bytes - ENVELOPE_BYTES
        for index, (row_sequence, number, record, *_) in enumerate(rows):
            room -= len(record) + 1
            is_next = row_sequence == sequence and number == first + index
            if not is_next or (room < 0 and records):
                break
            records.append(record)
        (epoch,) = self._database.connection.execute(
            "SELECT id FROM epoch WHERE sequence = ?", (sequence,)
        ).fetchone()
        return Batch(
            sequence=sequence,
            epoch=UUID(epoch),
            first=first,
            records=tuple(records),
            trace_id=trace_id,
            attempts=attempts,
            is_repeated=bool(is_repeated),
        )

    def sent(self, batch: Batch, now_ns: int) -> None:
        """Note that a batch was handed to the broker's client, and when it is due again."""
        wait_ns = min(FIRST_RESEND_NS << min(batch.attempts, _DOUBLINGS), LAST_RESEND_NS)
        with self._database.transaction(is_durable=False) as connection:
            connection.execute(
                "UPDATE outbox SET sent_us = ?, attempts = attempts + 1, due_ns = ?"
                " WHERE epoch = ? AND number BETWEEN ? AND ?",
                (to_us(self._now()), now_ns + wait_ns, batch.sequence, batch.first, batch.last),
            )

    def hasten(self, due_ns: int) -> None:
        """Make what was sent and has no receipt due at ``due_ns`` at the latest.

        Its timer begins anew after that: what it had waited for may have come back.
        """
        _whole(self.hastening(due_ns))

    def hastening(self, due_ns: int) -> Generator[None]:
        """Do as `hasten`, in slices: between them others may use the file."""
        last = (0, 0)
        while rows := self._database.connection.execute(_WAITING, (*last, SLICE)).fetchall():
            with self._database.transaction(is_durable=False) as connection:
                connection.executemany(_SOON, [(due_ns, *row) for row in rows])
            last = rows[-1]
            yield

    def next_due_ns(self) -> int | None:
        """Return when the next record is due, or None if everything was delivered."""
        (due,) = self._database.connection.execute(
            "SELECT min(due_ns) FROM outbox WHERE delivered_us IS NULL"
        ).fetchone()
        return due

    def receipt(self, receipt: Receipt) -> Receipted:
        """Note what the server has dealt with.

        Conflicts come first: the server's ranges cover those numbers too, for other bytes. They
        and all that the epoch has not delivered get numbers in a newer epoch. Another database
        than before knows nothing: everything still kept is sent to it again, save what this
        receipt says it has.

        Raises:
            ContractError: If a range is none.
        """
        return _whole(self.receiving(receipt))

    def receiving(self, receipt: Receipt) -> Generator[None, None, Receipted]:
        """Do as `receipt`, in slices: between them others may use the file.

        The other database's name is noted when all was made due again, so that a gateway that
        dies in between begins anew with the next receipt.
        """
        ranges = _merged(receipt.ranges)
        database = self._database
        is_other = self._is_other(receipt.incarnation)
        while is_other:
            with database.transaction(is_durable=False) as connection:
                changed = connection.execute(_SOME_AGAIN, (SLICE,)).rowcount
            if not changed:
                yield from self.hastening(0)
                break
            yield
        with database.transaction(is_durable=bool(receipt.conflicts)) as connection:
            self._note_incarnation(connection, receipt.incarnation)
            sequence = _sequence(connection, receipt.epoch)
            if sequence is None:
                return Receipted(delivered=0, renumbered=0, is_other_incarnation=is_other)
            renumbered = self._renumber(connection, sequence, receipt.conflicts)
        delivered = 0
        for slice_ in self._slices(sequence, ranges, _UNDELIVERED_UP_TO):
            with database.transaction(is_durable=False) as connection:
                now_us = to_us(self._now())
                for first, last in slice_:
                    delivered += connection.execute(
                        _DELIVERED, (now_us, sequence, first, last)
                    ).rowcount
            yield
        return Receipted(delivered=delivered, renumbered=renumbered, is_other_incarnation=is_other)

    def resend(self, request: Resend) -> int:
        """Make what the server misses due at once; return how many of it are still kept.

        Raises:
            ContractError: If a range is none.
        """
        return _whole(self.resending(request))

    def resending(self, request: Resend) -> Generator[None, None, int]:
        """Do as `resend`, in slices: between them others may use the file."""
        ranges = _merged(request.ranges)
        sequence = _sequence(self._database.connection, request.epoch)
        if sequence is None:
            return 0
        kept = 0
        for slice_ in self._slices(sequence, ranges, _KEPT_UP_TO):
            with self._database.transaction(is_durable=False) as connection:
                for first, last in slice_:
                    kept += connection.execute(_AGAIN, (sequence, first, last)).rowcount
            yield
        return kept

    def _slices(
        self, sequence: int, ranges: Sequence[tuple[int, int]], up_to: str
    ) -> Generator[Sequence[tuple[int, int]]]:
        """Cut ranges into slices of at most `SLICE` records and as many ranges."""
        slice_: list[tuple[int, int]] = []
        for first, last in ranges:
            start = first
            while start <= last:
                (end,) = self._database.connection.execute(
                    up_to, (sequence, start, last, SLICE)
                ).fetchone()
                if end is None:
                    break
                slice_.append((start, end))
                if end - start + 1 >= SLICE or len(slice_) >= SLICE:
                    yield slice_
                    slice_ = []
                start = end + 1
        if slice_:
            yield slice_

    def standing(self) -> Standing:
        """Return how the outbox stands."""
        return standing(self._database.connection)

    @property
    def has_delivered(self) -> bool:
        """Tell whether there is anything that may be forgotten."""
        found = self._database.connection.execute(
            "SELECT 1 FROM outbox WHERE delivered_us IS NOT NULL LIMIT 1"
        )
        return found.fetchone() is not None

    def prune(self) -> int:
        """Forget what was delivered long ago, with its journal entries; return how many."""
        return _whole(self.pruning())

    def pruning(self) -> Generator[None, None, int]:
        """Do as `prune`, in slices: between them others may use the file."""
        before = to_us(self._now() - KEPT)
        pruned = 0
        while count := self.forget(before):
            pruned += count
            yield
        yield from self._sweep("journal", _BARREN, (before,))
        yield from self._sweep("connection", _EMPTY, ())
        return pruned

    def forget(self, before_us: int = _MAX_INTEGER) -> int:
        """Forget the oldest `SLICE` records that were delivered before a time, with their entries.

        What has not been delivered stays, however old.
        """
        with self._database.transaction(is_durable=False) as connection:
            rows = connection.execute(_OLDEST_DELIVERED, (before_us, SLICE)).fetchall()
            connection.executemany(
                "DELETE FROM outbox WHERE rowid = ?", [(row,) for row, _ in rows]
            )
            connection.executemany(
                "DELETE FROM journal WHERE number = ? AND is_decoded = 1",
                [(journal,) for _, journal in rows if journal is not None],
            )
        return len(rows)

    def _sweep(self, table: str, query: str, bound: tuple[int, ...]) -> Generator[None]:
        number = 0
        while rows := self._database.connection.execute(query, (*bound, number, SLICE)).fetchall():
            number = rows[-1][0]
            if useless := [(each,) for each, is_useless in rows if is_useless]:
                with self._database.transaction(is_durable=False) as connection:
                    connection.executemany(
                        f"DELETE FROM {table} WHERE number = ?",  # noqa: S608 one of two of ours
                        useless,
                    )
            yield

    def _current(self, connection: sqlite3.Connection) -> tuple[int, UUID]:
        sequence, epoch = connection.execute(
            "SELECT sequence, id FROM epoch ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        return sequence, UUID(epoch)

    def _start_epoch(self, connection: sqlite3.Connection, reason: str) -> None:
        connection.execute(
            "INSERT INTO epoch (id, started_us, reason) VALUES (?, ?, ?)",
            (str(self._new_id()), to_us(self._now()), reason),
        )

    def _is_other(self, incarnation: UUID) -> bool:
        row = self._database.connection.execute("SELECT id FROM incarnation").fetchone()
        return row is not None and row[0] != str(incarnation)

    def _note_incarnation(self, connection: sqlite3.Connection, incarnation: UUID) -> None:
        connection.execute("DELETE FROM incarnation")
        connection.execute(
            "INSERT INTO incarnation (id, last_receipt_us) VALUES (?, ?)",
            (str(incarnation), to_us(self._now())),
        )

    def _renumber(
        self, connection: sqlite3.Connection, sequence: int, conflicts: Iterable[int]
    ) -> int:
        named = [number for number in conflicts if 0 < number <= _MAX_INTEGER]
        marks = f"[{','.join(map(str, named))}]"
        # A receipt may come twice: by then its numbers have moved on, and nothing is left to do.
        is_ours = connection.execute(
            "SELECT 1 FROM outbox WHERE epoch = ? AND sent_us IS NOT NULL"
            " AND number IN (SELECT value FROM json_each(?))",
            (sequence, marks),
        ).fetchone()
        if not named or is_ours is None:
            return 0
        moved = connection.execute(_TO_RENUMBER, (sequence, marks)).fetchall()
        if sequence == self._current(connection)[0]:
            self._start_epoch(connection, "the server knows these numbers for other records")
        current, _ = self._current(connection)
        (last,) = connection.execute(
            "UPDATE epoch SET last_number = last_number + ? WHERE sequence = ?"
            " RETURNING last_number",
            (len(moved), current),
        ).fetchone()
        connection.executemany(
            _RENUMBER,
            [
                (current, number, sequence, old)
                for number, (old,) in enumerate(moved, start=last - len(moved) + 1)
            ],
        )
        return len(moved)


def standing(connection: sqlite3.Connection) -> Standing:
    """Return how an outbox stands, also from another process."""
    epoch, last_number = connection.execute(
        "SELECT id, last_number FROM epoch ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    undelivered, oldest = connection.execute(
        "SELECT count(*), min(queued_us) FROM outbox WHERE delivered_us IS NULL"
    ).fetchone()
    receipt = connection.execute("SELECT last_receipt_us FROM incarnation").fetchone()
    return Standing(
        epoch=UUID(epoch),
        last_number=last_number,
        undelivered=undelivered,
        oldest_undelivered_at=None if oldest is None else from_us(oldest),
        last_receipt_at=None if receipt is None else from_us(receipt[0]),
    )


def _whole(steps: Generator[None, None, _Result]) -> _Result:
    """Take all steps at once and return their result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _sequence(connection: sqlite3.Connection, epoch: UUID) -> int | None:
    row = connection.execute("SELECT sequence FROM epoch WHERE id = ?", (str(epoch),)).fetchone()
    return None if row is None else int(row[0])


def _merged(ranges: Iterable[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Return the ranges in order and without overlap: each row is then walked once, however many.

    Raises:
        ContractError: If one is none.
    """
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if not 1 <= first <= last <= _MAX_INTEGER:
            raise ContractError(f"range {first}-{last}: not one of a gateway's numbers")
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged
