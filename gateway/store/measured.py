"""Readings that were made last, so that the rest before the next one can be told."""

from __future__ import annotations

import sqlite3
from typing import Final

from device_adapters.contract.messages import Measuring, ReadingRecord
from gateway.rest import Measured, ends_rest, is_rest_told, measured, person_of, rest_us

#: Of each device, person and kind. A memory that is read whole again passes through in its order,
#: so that each record still finds the one before it; all are looked at for each reading.
KEPT: Final = 30

_KNOWN: Final = """
SELECT record_id, generation, connection, boot_id, received_ns, shown_us, effective_us
  FROM measured
 WHERE device = ? AND person = ? AND kind = ?
 ORDER BY number
"""

_NOTE: Final = """
INSERT INTO measured (device, generation, person, kind, record_id, connection, boot_id,
                      received_ns, shown_us, effective_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""

_FORGET: Final = """
DELETE FROM measured
 WHERE number IN (SELECT number FROM measured WHERE device = ? AND person = ? AND kind = ?
                   ORDER BY number DESC LIMIT -1 OFFSET ?)
"""


def note(
    connection: sqlite3.Connection, journal: int, record: ReadingRecord, asked_s: float
) -> Measuring | None:
    """Note a reading inside the caller's transaction, and return how it was made.

    Args:
        connection: The transaction in which the record gets its number.
        journal: The journal entry it was made of.
        record: The reading.
        asked_s: How long the rest between two readings should be.

    Returns:
        The rest before it; None where it is not told (docs/explanation/clocks.md).
    """
    if not ends_rest(record):
        return None
    key = record.device.id, person_of(record), type(record.reading).__name__
    (visit,) = connection.execute(
        "SELECT connection FROM journal WHERE number = ?", (journal,)
    ).fetchone()
    one = measured(record, int(visit))
    others = [_measured(row) for row in connection.execute(_KNOWN, key)]
    rest = rest_us(one, others) if is_rest_told(record) else None
    if all(other.record_id != one.record_id for other in others):
        device, person, kind = key
        connection.execute(
            _NOTE,
            (
                device,
                one.generation,
                person,
                kind,
                one.record_id,
                one.connection,
                one.boot_id,
                one.received_ns,
                one.shown_us,
                one.effective_us,
            ),
        )
        if len(others) >= KEPT:
            connection.execute(_FORGET, (*key, KEPT))
    if rest is None:
        return None
    return Measuring(rest_s=rest / 1e6, is_too_close=rest < asked_s * 1e6)


def _measured(row: tuple[str, int, int, str, int, int | None, int | None]) -> Measured:
    record_id, generation, connection, boot_id, received_ns, shown_us, effective_us = row
    return Measured(
        record_id=record_id,
        generation=generation,
        connection=connection,
        boot_id=boot_id,
        received_ns=received_ns,
        shown_us=shown_us,
        effective_us=effective_us,
    )
