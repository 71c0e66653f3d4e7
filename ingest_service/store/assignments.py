"""Whose a device's readings are: device, or one user slot of it, to patient, from and to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from ingest_service.store.connections import Connection

_OF_DEVICES: Final = """
SELECT d.id, a.user_index, a.patient_id, lower(a.valid), upper(a.valid)
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


async def of_devices(connection: Connection, device_ids: Collection[str]) -> Assignments:
    """Return the assignments of each device that is known; a known one may have none."""
    cursor = await connection.execute(_OF_DEVICES, [list(device_ids)])
    found: dict[str, tuple[Assignment, ...]] = {}
    for device_id, user_index, patient_id, since, until in await cursor.fetchall():
        known = found.setdefault(device_id, ())
        if patient_id is not None:
            found[device_id] = (*known, Assignment(user_index, patient_id, since, until))
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
