"""What becomes of each record of a batch, while it is being decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from device_adapters.contract.messages import ReadingRecord, TimeCorrection, encode
from ingest_service.admission import writing
from ingest_service.admission.incoming import Entry, Refusal


class Result(StrEnum):
    """What became of a number; all of them are receipted."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    VOID = "void"
    TIME_CORRECTION = "time_correction"


@dataclass(slots=True)
class Fate:
    """One record and what becomes of it.

    ``is_released`` marks a reading that comes from the quarantine: it has no number to claim.
    """

    entry: Entry
    result: Result = Result.QUARANTINED
    refusal: Refusal | None = None
    is_released: bool = field(default=False, kw_only=True)

    def refuse(self, refusal: Refusal) -> None:
        """Send it to the quarantine."""
        self.result, self.refusal = Result.QUARANTINED, refusal


@dataclass(slots=True)
class ReadingFate(Fate):
    """One reading and what becomes of it.

    ``record`` and ``encoded`` are what will be stored: a correction that came first is in them.
    ``waiting`` are quarantine entries that end with its admission.
    """

    record: ReadingRecord = field(kw_only=True)
    encoded: bytes = field(kw_only=True)
    patient_id: UUID | None = None
    waiting: list[int] = field(default_factory=list[int])

    def correct(self, correction: TimeCorrection) -> None:
        """Give the reading its better time before it is stored."""
        self.record = writing.corrected(self.record, correction)
        self.encoded = encode(self.record)


def fate_of(entry: Entry) -> Fate:
    """Return an entry's fate as far as the entry alone decides it."""
    if isinstance(entry.record, ReadingRecord) and entry.refusal is None:
        return ReadingFate(entry, record=entry.record, encoded=entry.encoded)
    return Fate(entry, refusal=entry.refusal)
