"""What patients measured, compact and oldest first: what rules look back on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from psycopg.rows import args_row

from ingest_service.store.connections import Connection

# As JSON text: hundreds of rows of one patient cost Python a tenth of what they do as rows. The
# outer bounds, constants to the planner, keep all other chunks closed.
_READINGS: Final = """
SELECT given.patient_id, found.readings::text
  FROM unnest(%(patients)s::uuid[], %(codes)s::text[], %(since)s::timestamptz[])
       AS given(patient_id, code, since)
 CROSS JOIN LATERAL (
       SELECT json_agg(json_build_array(id, code, effective_at, last_updated, value, systolic,
                                        diastolic, is_irregular, is_doubtful, may_be_another,
                                        flags)
                       ORDER BY effective_at, id) AS readings
         FROM (SELECT o.id, o.code, o.effective_at, o.last_updated, o.value, o.systolic,
                      o.diastolic, o.is_irregular, o.is_doubtful, o.may_be_another, o.flags
                 FROM observation o
                WHERE o.patient_id = given.patient_id
                  AND o.code = given.code
                  AND o.effective_at >= given.since
                  AND o.effective_at BETWEEN %(first)s AND %(until)s
                  AND o.status <> 'entered-in-error'
                ORDER BY o.effective_at DESC, o.id DESC
                LIMIT %(most)s) AS newest) AS found
 WHERE found.readings IS NOT NULL
"""


# Those that were taken back too: an average says of each reading what became of it.
_PRESSURES: Final = """
SELECT id, record_id, effective_at, systolic, diastolic, status = 'entered-in-error'
  FROM observation
 WHERE patient_id = %(patient)s
   AND code = '85354-9'
   AND effective_at >= %(since)s
   AND effective_at < %(until)s
   AND systolic IS NOT NULL
   AND diastolic IS NOT NULL
 ORDER BY effective_at, id
 LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Pressure:
    """A blood pressure in mm[Hg] as it is stored now."""

    id: UUID
    record_id: UUID
    effective_at: datetime
    systolic: Decimal
    diastolic: Decimal
    is_taken_back: bool


class Past(msgspec.Struct, frozen=True, array_like=True):
    """An observation as it was stored last; no value at all is a failed attempt.

    Without ``flags`` nothing was said of it, or an older release stored it.
    """

    id: UUID
    code: str
    effective_at: datetime
    last_updated: datetime
    value: Decimal | None
    systolic: Decimal | None
    diastolic: Decimal | None
    is_irregular: bool
    is_doubtful: bool
    may_be_another: bool
    flags: tuple[str, ...] | None


_DECODER: Final = msgspec.json.Decoder(list[Past])


async def readings(
    connection: Connection,
    wanted: Mapping[tuple[UUID, str], datetime],
    *,
    until: datetime,
    most: int,
) -> list[tuple[UUID, list[Past]]]:
    """Return what was measured, oldest first, by patient and code in any order.

    Args:
        connection: Inside the transaction that holds the patients' locks.
        wanted: Of which patient and LOINC code, since when, inclusive.
        until: Inclusive.
        most: At most this many of each patient and code, the newest.
    """
    if not wanted:
        return []
    cursor = await connection.execute(
        _READINGS,
        {
            "patients": [patient_id for patient_id, _ in wanted],
            "codes": [code for _, code in wanted],
            "since": list(wanted.values()),
            "first": min(wanted.values()),
            "until": until,
            "most": most,
        },
    )
    return [(row[0], _DECODER.decode(row[1])) for row in await cursor.fetchall()]


async def pressures(
    connection: Connection, patient_id: UUID, *, since: datetime, until: datetime, most: int
) -> list[Pressure]:
    """Return a patient's blood pressures from ``since`` to before ``until``, oldest first."""
    async with connection.cursor(row_factory=args_row(Pressure)) as cursor:
        await cursor.execute(
            _PRESSURES,
            {"patient": patient_id, "since": since, "until": until, "most": most},
        )
        return await cursor.fetchall()
