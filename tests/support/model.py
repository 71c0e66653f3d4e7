"""What ingest must hold after any sequence of deliveries and decisions, said as simply as can be.

The model knows each device record by its identity and keeps whose it is, whether it stands, which
value the last codec that read it gave, and when it was. It has no numbers, versions, batches,
locks or transactions: those are what is under test.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from device_adapters.contract.messages import ReadingRecord
from device_adapters.contract.readings import BloodPressure
from tests.support.ingest import Home

RED_ABOVE: Final = 180  # systolic, in the test's registration


@dataclass(slots=True)
class Held:
    """One record that is in somebody's record, or was."""

    patient_id: UUID
    systolic: int
    effective_at: datetime
    is_valid: bool = True
    attributions: int = 1


@dataclass(slots=True)
class Model:
    """What must be stored, and what must wait."""

    held: dict[UUID, Held] = field(default_factory=dict[UUID, Held])
    waiting: dict[UUID, ReadingRecord] = field(default_factory=dict[UUID, ReadingRecord])
    rejected: set[UUID] = field(default_factory=set[UUID])

    def deliver(self, record: ReadingRecord, owner: UUID | None) -> None:
        """Take a record that may have come before; without an owner it waits."""
        if record.record_id in self.held:
            return
        if owner is None:
            self.waiting.setdefault(record.record_id, record)
        else:
            self.hold(record, owner)

    def hold(self, record: ReadingRecord, owner: UUID) -> None:
        """Put a record into somebody's."""
        self.waiting.pop(record.record_id, None)
        self.held[record.record_id] = Held(owner, systolic(record), record.effective_at)

    def reassign(self, record_id: UUID, patient_id: UUID) -> bool:
        """Give a record to somebody; tells whether that is news."""
        held = self.held[record_id]
        if held.is_valid and held.patient_id == patient_id:
            return False
        held.patient_id, held.is_valid = patient_id, True
        held.attributions += 1
        return True


def systolic(record: ReadingRecord) -> int:
    """Return what a blood pressure record says."""
    assert isinstance(record.reading, BloodPressure)
    return int(str(record.reading.systolic))


def differences(home: Home, model: Model) -> list[str]:
    """Return in words where the database holds something else than the model; none is right."""
    observations, history = home.rows("observation"), home.rows("observation_history")
    records = {UUID(row["record_id"]): row for row in home.rows("device_record")}
    found: list[str] = []
    if set(records) != set(model.held):
        found.append(f"records {set(records) ^ set(model.held)} are stored or missing")
    for record_id, held in model.held.items():
        if record_id in records:
            found += _record(records[record_id], held, observations)
    found += _versions(observations, history, home.rows("observation_change"))
    found += _numbers(home)
    found += _quarantine(home, model)
    found += _alerts(home, observations)
    return found


def _record(row: dict[str, Any], held: Held, observations: list[dict[str, Any]]) -> list[str]:
    name = row["record_id"]
    found: list[str] = []
    mine = [each for each in observations if each["record_id"] == name]
    standing = [each for each in mine if each["status"] != "entered-in-error"]
    if len(mine) != held.attributions:
        found.append(f"{name}: {len(mine)} observations, {held.attributions} attributions")
    if bool(row["is_invalid"]) is held.is_valid or len(standing) != held.is_valid:
        found.append(f"{name}: valid is {held.is_valid}, {len(standing)} observations stand")
    if row["patient_id"] != str(held.patient_id):
        found.append(f"{name}: another patient's")
    for each in standing:
        said = (each["patient_id"], each["systolic"], datetime.fromisoformat(each["effective_at"]))
        if said != (str(held.patient_id), held.systolic, held.effective_at):
            found.append(f"{name}: the observation says {said}, the model {held}")
    return found


def _versions(
    observations: list[dict[str, Any]],
    history: list[dict[str, Any]],
    changes: list[dict[str, Any]],
) -> list[str]:
    """Compare: each version from the first to the current one is kept, and was told once."""
    kept = Counter((row["id"], row["version"]) for row in (*observations, *history))
    wanted = Counter(
        (row["id"], version) for row in observations for version in range(1, row["version"] + 1)
    )
    told = Counter((row["id"], row["version"]) for row in changes)
    found = [f"versions {kept - wanted} too many, {wanted - kept} missing"] * (kept != wanted)
    return found + [f"changes told {told - wanted}, untold {wanted - told}"] * (told != wanted)


def _numbers(home: Home) -> list[str]:
    """Compare: every number that was sent is receipted, and nothing else is."""
    sent = {(row["gateway_id"], row["epoch"], row["number"]) for row in home.rows("delivery")}
    received = {
        (row["gateway_id"], row["epoch"], number)
        for row in home.rows("gateway_epoch")
        for first, end in _ranges(row["received"])
        for number in range(first, end)
    }
    return [f"numbers {sent ^ received} are not both sent and receipted"] * (sent != received)


def _ranges(text: str) -> list[tuple[int, int]]:
    inner = text.strip("{}")
    if not inner:
        return []
    parts = inner.removeprefix("[").removesuffix(")").split("),[")
    return [(int(part.split(",")[0]), int(part.split(",")[1])) for part in parts]


def _quarantine(home: Home, model: Model) -> list[str]:
    waits = {
        UUID(row["record_id"])
        for row in home.rows("quarantine")
        if row["resolved_at"] is None and row["reason"] != "correction_without_record"
    }
    wanted = set(model.waiting)
    return [f"waiting: {waits - wanted} too many, {wanted - waits} missing"] * (waits != wanted)


def _alerts(home: Home, observations: list[dict[str, Any]]) -> list[str]:
    """Compare: each red reading that stands is in an open alert of its patient, and no other."""
    evidence = {
        (row["patient_id"], each["observation_id"]): each.get("is_withdrawn", False)
        for row in home.rows("alert")
        if row["state"] != "resolved"
        for each in row["readings"]
    }
    found: list[str] = []
    for row in observations:
        is_withdrawn = evidence.get((row["patient_id"], row["id"]))
        stands = row["status"] != "entered-in-error"
        if stands and row["systolic"] > RED_ABOVE and is_withdrawn is not False:
            found.append(f"{row['id']}: red, and in no open alert of its patient")
        if not stands and is_withdrawn is False:
            found.append(f"{row['id']}: taken back, and an open alert still rests on it")
    return found
