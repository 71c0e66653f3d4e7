"""The records of one transaction, and what has been learnt of them so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self
from uuid import UUID

from device_adapters.contract.messages import TimeCorrection
from ingest_service.admission.fate import Fate, ReadingFate, fate_of
from ingest_service.admission.incoming import Entry
from ingest_service.admission.judging import Stored
from ingest_service.admission.outcome import Outcome
from ingest_service.admission.withdrawing import Gone
from ingest_service.store.assignments import Devices
from ingest_service.store.deliveries import Key
from ingest_service.store.patients import Patient
from ingest_service.store.records import KnownRecord


@dataclass(slots=True, kw_only=True)
class Batch:
    """What the steps of an admission hand on to each other.

    ``fates`` has one for each number, and for each reading that a correction sets free;
    ``repeats`` are entries whose number came before. ``units`` are the known gateways' care
    units, ``known`` the stored readings that corrections are for, ``delivered`` who else than the
    first delivered them, ``devices`` and ``patients`` what holds under the patients' locks,
    ``stored`` what there is to judge, ``gone`` what stood at another time before.
    """

    entries: Sequence[Entry]
    now: datetime
    fates: list[Fate] = field(default_factory=list[Fate])
    repeats: list[Entry] = field(default_factory=list[Entry])
    units: dict[str, UUID] = field(default_factory=dict[str, UUID])
    known: dict[UUID, KnownRecord] = field(default_factory=dict[UUID, KnownRecord])
    delivered: set[tuple[str, UUID]] = field(default_factory=set[tuple[str, UUID]])
    devices: Devices = field(default_factory=Devices)
    patients: dict[UUID, Patient] = field(default_factory=dict[UUID, Patient])
    conflicts: list[Key] = field(default_factory=list[Key])
    stored: list[Stored] = field(default_factory=list[Stored])
    gone: list[Gone] = field(default_factory=list[Gone])
    outcome: Outcome = field(default_factory=Outcome)

    @classmethod
    def of(cls, entries: Sequence[Entry], now: datetime) -> Self:
        """Return a batch in which each number stands once, and the others are repeats."""
        batch = cls(entries=entries, now=now)
        seen: set[Key] = set()
        for entry in entries:
            if entry.key in seen:
                batch.repeats.append(entry)
                continue
            if entry.key is not None:
                seen.add(entry.key)
            batch.fates.append(fate_of(entry))
        return batch

    @property
    def gateway_ids(self) -> set[str]:
        """Return whose records these are, repeats too."""
        known = {fate.entry.gateway_id for fate in self.fates}
        return known | {entry.gateway_id for entry in self.repeats}

    def readings(self) -> list[ReadingFate]:
        """Return the readings that nothing speaks against so far."""
        return [f for f in self.fates if isinstance(f, ReadingFate) and f.refusal is None]

    def admitted(self) -> list[tuple[ReadingFate, UUID]]:
        """Return the readings that passed, and whose they are."""
        return [(fate, fate.patient_id) for fate in self.readings() if fate.patient_id]

    def corrections(self) -> list[tuple[Fate, TimeCorrection]]:
        """Return the time corrections that nothing speaks against so far."""
        return [
            (fate, fate.entry.record)
            for fate in self.fates
            if isinstance(fate.entry.record, TimeCorrection) and fate.refusal is None
        ]
