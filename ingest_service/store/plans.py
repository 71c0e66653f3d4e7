"""Measurement plans and units' hours."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.plans import hours
from ingest_service.plans.hours import Hours, Opening, ResponseTimes, Week
from ingest_service.plans.plan import Plan
from ingest_service.store.connections import Connection

_IN_FORCE: Final = """
SELECT patient_id, id, version, body
  FROM plan
 WHERE patient_id = ANY(%(patients)s) AND valid @> %(at)s::timestamptz
 ORDER BY patient_id, programme
"""

_HOURS: Final = """
SELECT DISTINCT ON (care_unit_id) care_unit_id, body
  FROM care_unit_hours
 WHERE care_unit_id = ANY(%s)
 ORDER BY care_unit_id, version DESC
"""

_OFFICE: Final = (Opening(start="08:00", end="16:00"),)
# Until a unit says otherwise.
DEFAULT_HOURS: Final = Hours(
    zone="Europe/Stockholm",
    weekly=Week(
        monday=_OFFICE, tuesday=_OFFICE, wednesday=_OFFICE, thursday=_OFFICE, friday=_OFFICE
    ),
    respond_within_min=ResponseTimes(red=30, yellow=240, blue=960),
    finish_within_min=60,
    holiday_country="SE",
)


@lru_cache(maxsize=20_000)
def _decoded(plan_id: UUID, version: int, body: str) -> Plan:
    return msgspec.json.decode(body, type=Plan)


async def in_force(
    connection: Connection, patients: Collection[UUID], at: datetime
) -> dict[UUID, Plan]:
    """Return the plan by which each of these patients is judged at that time."""
    cursor = await connection.execute(_IN_FORCE, {"patients": list(patients), "at": at})
    return {row[0]: _decoded(row[1], row[2], row[3]) for row in await cursor.fetchall()}


async def hours_of(connection: Connection, units: Collection[UUID]) -> dict[UUID, Hours]:
    """Return these units' hours."""
    cursor = await connection.execute(_HOURS, [list(units)])
    own = {row[0]: hours.decode(row[1].encode()) for row in await cursor.fetchall()}
    return {unit: own.get(unit, DEFAULT_HOURS) for unit in units}
