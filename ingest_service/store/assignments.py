"""Known devices, and whose their readings are: device or user slot to patient, from and to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from ingest_service.store.connections import Connection
from ingest_service.store.devices import Description

_OF_DEVICES: Final = """
SELECT d.id, d.care_unit_id, d.manufacturer, d.model, d.serial, d.firmware,
       a.user_index, a.patient_id, lower(a.valid), upper(a.valid)
  FROM device d
  LEFT JOIN assignment a ON a.device_id = d.id AND NOT isempty(a.valid)
 WHERE d.id = ANY(%s)
 ORDER BY d.id, a.id
"""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One patient's time with a device; without ``user_index`` it covers every slot.

    ``since`` is inclusive, ``until`` exclusive; ``None`` is open.
    """

    user_index: int | None
    patient_id: UUID
    since: datetime | None
    until: datetime | None

    def covers(self, at: datetime) -> bool:
        """Tell whether the time lies within."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


Assignments = Mapping[str, tuple[Assignment, ...]]


@dataclass(slots=True)
class Devices:
    """Devices that are known: their assignments, maybe none, their units, and what they said."""

    assignments: dict[str, tuple[Assignment, ...]] = field(
        default_factory=dict[str, tuple[Assignment, ...]]
    )
    units: dict[str, UUID] = field(default_factory=dict[str, UUID])
    descriptions: dict[str, Description] = field(default_factory=dict[str, Description])


async def of_devices(connection: Connection, device_ids: Collection[str]) -> Devices:
    """Return those of these devices that are known."""
    cursor = await connection.execute(_OF_DEVICES, [list(device_ids)])
    found = Devices()
    for (
        device_id,
        unit_id,
        *description,
        user_index,
        patient_id,
        since,
        until,
    ) in await cursor.fetchall():
        known = found.assignments.setdefault(device_id, ())
        found.units[device_id] = unit_id
        found.descriptions[device_id] = Description(*description)
        if patient_id is not None:
            assignment = Assignment(user_index, patient_id, since, until)
            found.assignments[device_id] = (*known, assignment)
    return found


def resolve(
    assignments: Assignments, device_id: str, user_index: int | None, at: datetime
) -> UUID | None:
    """Return whose a reading of that slot and time is, or ``None``.

    A row for the slot goes before one for the whole device. A reading without a slot belongs to
    nobody unless the device is declared to have one user.
    """
    covering = [a for a in assignments.get(device_id, ()) if a.covers(at)]
    for wanted in (user_index, None):
        for assignment in covering:
            if assignment.user_index == wanted:
                return assignment.patient_id
    return None
