"""Legal holds: of these patients nothing is destroyed or forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.rows import args_row

from ingest_service.store.connections import Connection

_SET: Final = """
INSERT INTO legal_hold (patient_id, reason, decided_by, since)
SELECT id, %(reason)s, %(by)s, %(at)s
  FROM patient
 WHERE id = %(patient)s
RETURNING id
"""

_RELEASE: Final = """
UPDATE legal_hold
   SET released_at = %(at)s, released_by = %(by)s
 WHERE id = %(id)s AND released_at IS NULL
"""

_LIST: Final = """
SELECT id, patient_id, reason, decided_by, since, released_at, released_by
  FROM legal_hold
 WHERE (released_at IS NULL OR %(all)s)
   AND (%(patient)s::uuid IS NULL OR patient_id = %(patient)s)
 ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing of a patient may be destroyed, who decided it, and who ended it."""

    id: int
    patient_id: UUID
    reason: str
    decided_by: str
    since: datetime
    released_at: datetime | None
    released_by: str | None


async def put(
    connection: Connection, patient_id: UUID, *, reason: str, by: str, at: datetime
) -> int | None:
    """Hold a patient's record and return the hold's number, or ``None`` for no such patient.

    Waits for a destruction that is under way. A patient may be held for several reasons.
    """
    cursor = await connection.execute(
        _SET, {"patient": patient_id, "reason": reason, "by": by, "at": at}
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else None


async def release(connection: Connection, hold_id: int, *, by: str, at: datetime) -> bool:
    """End one hold; tells whether there was such a hold to end."""
    cursor = await connection.execute(_RELEASE, {"id": hold_id, "by": by, "at": at})
    return cursor.rowcount == 1


async def page(
    connection: Connection, *, patient_id: UUID | None = None, is_all: bool = False
) -> list[Hold]:
    """Return the holds that stand, of one patient or of all; with ``is_all`` also the ended."""
    async with connection.cursor(row_factory=args_row(Hold)) as cursor:
        await cursor.execute(_LIST, {"patient": patient_id, "all": is_all})
        return await cursor.fetchall()
