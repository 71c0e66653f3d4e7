"""Known devices, and whose their readings are: device or user slot to patient, from and to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from ingest_service.store.connections import Connection
from ingest_service.store.devices import Description

# Locked in order: an UPDATE alone takes its rows as it finds them.
_NOTE_FIRST: Final = """
WITH given AS MATERIALIZED (
    SELECT id, at FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) AS row(id, at)
), locked AS MATERIALIZED (
    SELECT a.id FROM assignment a JOIN given USING (id) ORDER BY a.id FOR NO KEY UPDATE OF a
)
UPDATE assignment a
   SET first_received_at = given.at
  FROM given JOIN locked USING (id)
 WHERE a.id = given.id AND a.first_received_at IS NULL
"""

_OF_DEVICES: Final = """
SELECT d.id, d.care_unit_id, d.manufacturer, d.model, d.serial, d.firmware,
       EXISTS (SELECT FROM quarantine q
                WHERE q.device_id = d.id AND q.reason = 'first_session'
                  AND q.resolved_at IS NULL),
       a.id, a.user_index, a.patient_id, lower(a.valid), upper(a.valid), a.first_received_at
  FROM device d
  LEFT JOIN assignment a ON a.device_id = d.id AND NOT isempty(a.valid)
 WHERE d.id = ANY(%s)
 ORDER BY d.id, a.id
"""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One patient's time with a device; without ``user_index`` it covers every slot.

    ``since`` is inclusive, ``until`` exclusive; ``None`` is open. ``first_received_at`` is when
    its device was first heard of in a new home; only kept where somebody else had it before.
    """

    id: UUID
    user_index: int | None
    patient_id: UUID
    since: datetime | None
    until: datetime | None
    first_received_at: datetime | None = None

    def covers(self, at: datetime) -> bool:
        """Tell whether the time lies within."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)

    def shares_slot_with(self, other: Assignment) -> bool:
        """Tell whether readings of one slot could be of either."""
        return None in {self.user_index, other.user_index} or self.user_index == other.user_index


Assignments = Mapping[str, tuple[Assignment, ...]]


@dataclass(slots=True)
class Devices:
    """Devices that are known: their assignments, maybe none, their units, and what they said.

    Of those in ``draining``, readings of a first session in a new home still wait for a person.
    """

    assignments: dict[str, tuple[Assignment, ...]] = field(
        default_factory=dict[str, tuple[Assignment, ...]]
    )
    units: dict[str, UUID] = field(default_factory=dict[str, UUID])
    descriptions: dict[str, Description] = field(default_factory=dict[str, Description])
    draining: set[str] = field(default_factory=set[str])


async def of_devices(connection: Connection, device_ids: Collection[str]) -> Devices:
    """Return those of these devices that are known."""
    cursor = await connection.execute(_OF_DEVICES, [list(device_ids)])
    found = Devices()
    for (
        device_id,
        unit_id,
        manufacturer,
        model,
        serial,
        firmware,
        is_draining,
        *assigned,
    ) in await cursor.fetchall():
        known = found.assignments.setdefault(device_id, ())
        found.units[device_id] = unit_id
        found.descriptions[device_id] = Description(manufacturer, model, serial, firmware)
        if is_draining:
            found.draining.add(device_id)
        if assigned[0] is not None:
            found.assignments[device_id] = (*known, Assignment(*assigned))
    return found


def resolve(
    assignments: Assignments, device_id: str, user_index: int | None, at: datetime
) -> Assignment | None:
    """Return the assignment that a reading of that slot and time falls under, or ``None``.

    A row for the slot goes before one for the whole device. A reading without a slot belongs to
    nobody unless the device is declared to have one user.
    """
    covering = [a for a in assignments.get(device_id, ()) if a.covers(at)]
    for wanted in (user_index, None):
        for assignment in covering:
            if assignment.user_index == wanted:
                return assignment
    return None


async def note_first(connection: Connection, times: Mapping[UUID, datetime]) -> None:
    """Write down when these assignments' devices were first heard of, where nothing stands yet."""
    values = {"ids": list(times.keys()), "times": list(times.values())}
    await connection.execute(_NOTE_FIRST, values)
