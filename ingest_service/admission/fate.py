"""What becomes of each record of a batch, while it is being decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from device_adapters.contract.messages import ReadingRecord, TimeCorrection, TimeQuality, encode
from ingest_service.admission import writing
from ingest_service.admission.incoming import Entry, Refusal
from ingest_service.store.quarantine import Ending, Waiting

#: How waiting ends when a better time came.
BY_CORRECTION: Final = Ending("time_correction", "gateway")
#: How waiting ends when the same record came again and could be stored.
STORED_SINCE: Final = Ending("stored", "gateway")


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

    ``origin`` is the quarantine's entry that it comes from, if it does: then it has no number to
    claim. ``is_part`` tells that the entry is a whole message and this one record of it.
    ``endings`` are the entries that end with its admission, and how.
    """

    entry: Entry
    result: Result = Result.QUARANTINED
    refusal: Refusal | None = None
    origin: Waiting | None = field(default=None, kw_only=True)
    is_part: bool = field(default=False, kw_only=True)
    endings: dict[int, Ending] = field(default_factory=dict[int, Ending], kw_only=True)

    def refuse(self, refusal: Refusal) -> None:
        """Send it to the quarantine."""
        self.result, self.refusal = Result.QUARANTINED, refusal

    @property
    def waits_on(self) -> bool:
        """Tell whether it is in the quarantine already, and for the same reason as now."""
        return (
            self.refusal is not None
            and self.origin is not None
            and not self.is_part
            and (
                self.refusal.reason == self.origin.reason
                or self.endings[self.origin.id] == BY_CORRECTION
            )
        )


@dataclass(slots=True)
class ReadingFate(Fate):
    """One reading and what becomes of it.

    ``record`` and ``encoded`` are what will be stored: a correction that came first is in them.
    ``verdict`` is what screening said: whose it is, or why it waits. ``is_decided`` tells that a
    person said whose it is, ``is_rejected`` that one said before that it is nobody's,
    ``may_be_another`` that it lies far from what that patient usually measures.
    """

    record: ReadingRecord = field(kw_only=True)
    encoded: bytes = field(kw_only=True)
    verdict: UUID | Refusal | None = None
    patient_id: UUID | None = None
    is_decided: bool = False
    is_rejected: bool = False
    may_be_another: bool = False

    def correct(self, correction: TimeCorrection) -> None:
        """Give the reading its better time before it is stored."""
        self.set_time(correction.effective_at, correction.time_quality)

    def set_time(self, effective_at: datetime, quality: TimeQuality) -> None:
        """Give the reading this time before it is stored."""
        self.record = writing.timed(self.record, effective_at, quality)
        self.encoded = encode(self.record)


def fate_of(entry: Entry, *, origin: Waiting | None = None, ending: Ending | None = None) -> Fate:
    """Return an entry's fate as far as the entry alone decides it.

    Args:
        entry: One record.
        origin: Where it waited, if it did.
        ending: How waiting ends with its admission.
    """
    endings = {origin.id: ending} if origin and ending else {}
    if isinstance(entry.record, ReadingRecord) and entry.refusal is None:
        return ReadingFate(
            entry, record=entry.record, encoded=entry.encoded, origin=origin, endings=endings
        )
    return Fate(entry, refusal=entry.refusal, origin=origin, endings=endings)
