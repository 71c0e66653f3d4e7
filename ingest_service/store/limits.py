"""Limits that clinicians approved for one patient each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from psycopg.rows import args_row

from ingest_service.store.connections import Connection

_IN_FORCE: Final = """
SELECT patient_id, measure, red_low, yellow_low, yellow_high, red_high
  FROM limit_set
 WHERE patient_id = ANY(%s) AND valid @> %s::timestamptz
"""


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One patient's limits for one measure, in that measure's canonical unit."""

    patient_id: UUID
    measure: str
    red_low: Decimal | None
    yellow_low: Decimal | None
    yellow_high: Decimal | None
    red_high: Decimal | None


async def in_force(
    connection: Connection, patients: Collection[UUID], at: datetime
) -> list[LimitRow]:
    """Return the limits in force at that time."""
    async with connection.cursor(row_factory=args_row(LimitRow)) as cursor:
        await cursor.execute(_IN_FORCE, [list(patients), at])
        return await cursor.fetchall()
