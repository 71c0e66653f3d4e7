"""Three books of one run: what devices gave, what gateways wrote down, what the record holds."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

# A record is told by its device and its bytes, which hold its time: one a second at most.
Record = tuple[str, str]

_JOURNAL: Final = """
SELECT json_extract(facts, '$.device.id'), lower(hex(raw))
  FROM journal JOIN connection ON connection.number = journal.connection
"""

# Virtual devices keep true time; a reading may be as far off as its clock's resolution and the
# offset measured in a busy connection.
TIME_TOLERANCE: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One reading as the database has it."""

    record: Record
    patient_id: str
    effective_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs between the books, as counts; only `in_window` may be other than zero.

    ``in_window``: given and confirmed by BlueZ, but the gateway died before it was on disk.
    ``lost``: on the gateway's disk and not in the record. ``misplaced``: at another patient or
    time than the device's book says. ``held``: still in a cuff's memory and never given: its
    gateway did not come for it.
    """

    given: int
    stored: int
    doubled: int
    misplaced: int
    lost: int
    held: int
    in_window: int

    @property
    def is_sound(self) -> bool:
        """Tell whether every reading was fetched, and what a gateway has arrived, once."""
        return not (self.doubled or self.misplaced or self.lost or self.held)


def given(ledgers: Iterable[Path]) -> Mapping[Record, datetime]:
    """Return what devices gave, with the time at which each record was first given."""
    found: dict[Record, datetime] = {}
    for ledger in ledgers:
        for line in ledger.read_text().splitlines() if ledger.exists() else ():
            entry = json.loads(line)
            if entry["event"] == "given":
                found.setdefault(_record(entry), datetime.fromisoformat(entry["at"]))
    return found


def measured(ledgers: Iterable[Path]) -> Mapping[Record, datetime]:
    """Return when each record was measured, by the device's true clock."""
    return {
        _record(entry): datetime.fromisoformat(entry["at"])
        for ledger in ledgers
        for line in (ledger.read_text().splitlines() if ledger.exists() else ())
        if (entry := json.loads(line))["event"] == "measured"
    }


def remembered(memories: Iterable[tuple[str, Path]]) -> frozenset[Record]:
    """Return what is in devices' memories, each with its address: given records too, in some."""
    return frozenset(
        (device, base64.b64decode(raw).hex())
        for device, file in memories
        for raw in (json.loads(file.read_text())["records"] if file.exists() else ())
    )


def journalled(databases: Iterable[Path]) -> frozenset[Record]:
    """Return what gateways have on disk; read beside a running gateway."""
    found: set[Record] = set()
    for file in databases:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            found.update((device, raw) for device, raw in connection.execute(_JOURNAL))
    return frozenset(found)


def stored(lines: Iterable[str]) -> Sequence[Stored]:
    """Return what ``hemvital-ingest export readings`` printed."""
    return [
        Stored(
            record=(entry["device_id"], entry["raw"]),
            patient_id=entry["patient_id"],
            effective_at=datetime.fromisoformat(entry["effective_at"]).astimezone(UTC),
        )
        for entry in map(json.loads, lines)
    ]


def compare(
    *,
    given: Mapping[Record, datetime],
    measured: Mapping[Record, datetime],
    remembered: frozenset[Record],
    journalled: frozenset[Record],
    stored: Sequence[Stored],
    patient_of: Callable[[Record], str | None],
) -> Comparison:
    """Hold the books against each other; ``patient_of`` tells whose a record is."""
    counts = Counter(each.record for each in stored)
    return Comparison(
        given=len(given),
        stored=len(stored),
        doubled=sum(count - 1 for count in counts.values()),
        misplaced=sum(not _is_in_place(each, measured, patient_of) for each in stored),
        lost=len(journalled - counts.keys()),
        held=len(remembered - given.keys() - journalled),
        in_window=len(given.keys() - journalled),
    )


def _is_in_place(
    each: Stored,
    measured: Mapping[Record, datetime],
    patient_of: Callable[[Record], str | None],
) -> bool:
    if each.record not in measured or patient_of(each.record) != each.patient_id:
        return False
    return abs(measured[each.record] - each.effective_at) <= TIME_TOLERANCE


def _record(entry: Mapping[str, str]) -> Record:
    return entry["device"], entry["raw"]
