"""What became of a batch: for receipts, metrics and the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from device_adapters.contract.messages import Receipt
from ingest_service.admission.incoming import Entry, Reason
from ingest_service.store.deliveries import Key, Received


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One record or message that went to the quarantine; ids only."""

    reason: Reason
    gateway_id: str
    care_unit_id: UUID | None
    number: int | None
    trace_id: str | None
    is_red: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Void:
    """A record that could not travel: its gateway has it, and says why we do not."""

    reason: str
    gateway_id: str
    number: int | None
    trace_id: str | None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of the records of a batch, counted, and what its gateways are to be told.

    ``foreign`` counts, by gateway, stored readings of devices of another unit than its own.
    """

    counts: Counter[str] = field(default_factory=Counter[str])
    refused: list[Refused] = field(default_factory=list[Refused])
    voids: list[Void] = field(default_factory=list[Void])
    receipts: list[tuple[str, Receipt]] = field(default_factory=list[tuple[str, Receipt]])
    trace_ids: list[str] = field(default_factory=list[str])
    foreign: Counter[str] = field(default_factory=Counter[str])
    alerts: int = 0


def receipts_of(
    received: Iterable[Received], conflicts: Iterable[Key]
) -> list[tuple[str, Receipt]]:
    """Return one receipt for each gateway's epoch."""
    reused: dict[tuple[str, UUID], list[int]] = {}
    for gateway_id, epoch, number in conflicts:
        reused.setdefault((gateway_id, epoch), []).append(number)
    return [
        (
            row.gateway_id,
            Receipt(
                incarnation=row.incarnation,
                epoch=row.epoch,
                ranges=row.ranges,
                conflicts=tuple(sorted(reused.get((row.gateway_id, row.epoch), ()))),
            ),
        )
        for row in received
    ]


def runs_of(entries: Iterable[Entry]) -> list[tuple[str, UUID, int, int]]:
    """Return the entries' numbers as runs (gateway, epoch, first, last)."""
    runs: list[tuple[str, UUID, int, int]] = []
    keys = sorted({key for entry in entries if (key := entry.key)})
    for gateway_id, epoch, number in keys:
        if runs and runs[-1][:2] == (gateway_id, epoch) and runs[-1][3] == number - 1:
            runs[-1] = (*runs[-1][:3], number)
        else:
            runs.append((gateway_id, epoch, number, number))
    return runs
