"""What patients usually measure, as far as a new reading lies far from it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from psycopg.rows import args_row

from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

# The newest values of each patient and code: they follow a patient whose level changes. Most
# readings lie near their median, and of those nothing comes back.
_FAR: Final = """
SELECT given.record_id, given.measure, given.value, usual.median, usual.spread
  FROM json_to_recordset(%(given)s::json)
       AS given(record_id uuid, patient_id uuid, code text, measure text, value numeric,
                least_distance numeric)
 CROSS JOIN LATERAL (
       SELECT count(*) AS count,
              percentile_disc(0.5) WITHIN GROUP (ORDER BY value) AS median,
              percentile_disc(0.75) WITHIN GROUP (ORDER BY value)
              - percentile_disc(0.25) WITHIN GROUP (ORDER BY value) AS spread
         FROM (SELECT CASE given.measure WHEN 'systolic' THEN o.systolic
                                         WHEN 'diastolic' THEN o.diastolic
                                         ELSE o.value END AS value
                 FROM observation o
                WHERE o.patient_id = given.patient_id
                  AND o.code = given.code
                  AND o.effective_at >= %(since)s
                  AND o.effective_at <= %(until)s
                  AND o.status <> 'entered-in-error'
                ORDER BY o.effective_at DESC, o.id DESC
                LIMIT %(most)s) AS newest
        WHERE value IS NOT NULL) AS usual
 WHERE usual.count >= %(fewest)s
   AND abs(given.value - usual.median) > given.least_distance
"""


class GivenValue(msgspec.Struct, frozen=True, kw_only=True):
    """A new value in its measure's canonical unit; ``least_distance`` is in the same."""

    record_id: UUID
    patient_id: UUID
    code: str
    measure: str
    value: Decimal
    least_distance: Decimal


@dataclass(frozen=True, slots=True)
class FarValue:
    """A value far from the patient's median; ``spread`` is the range of the middle half."""

    record_id: UUID
    measure: str
    value: Decimal
    median: Decimal
    spread: Decimal


async def far(
    connection: Connection,
    given: Collection[GivenValue],
    *,
    since: datetime,
    until: datetime,
    most: int,
    fewest: int,
) -> list[FarValue]:
    """Return those values that lie farther than their least distance from the usual ones.

    Args:
        connection: Inside the transaction that holds the patients' locks.
        given: New values, not stored yet.
        since: No older values are looked at.
        until: No later ones.
        most: How many of the newest values make what is usual.
        fewest: Who has fewer has no usual value.
    """
    async with connection.cursor(row_factory=args_row(FarValue)) as cursor:
        await cursor.execute(
            _FAR,
            {
                "given": packed(given),
                "since": since,
                "until": until,
                "most": most,
                "fewest": fewest,
            },
        )
        return await cursor.fetchall()
