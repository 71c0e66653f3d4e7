"""Which patients have died, as somebody found out; it can be taken back."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from ingest_service.store.connections import Connection

_STANDING: Final = """
SELECT patient_id FROM death WHERE patient_id = ANY(%s) AND revoked_at IS NULL
"""

_TELL: Final = """
INSERT INTO death (id, patient_id, told_at, told_by, source)
VALUES (gen_random_uuid(), %(patient)s, %(at)s, %(by)s, %(source)s)
    ON CONFLICT (patient_id) WHERE revoked_at IS NULL DO NOTHING
"""

_REVOKE: Final = """
UPDATE death
   SET revoked_at = %(at)s, revoked_by = %(by)s, revoked_why = %(why)s
 WHERE patient_id = %(patient)s AND revoked_at IS NULL
"""


async def standing(connection: Connection, patients: Collection[UUID]) -> set[UUID]:
    """Return those of these patients who have died."""
    cursor = await connection.execute(_STANDING, [list(patients)])
    return {row[0] for row in await cursor.fetchall()}


async def tell(
    connection: Connection, patient_id: UUID, *, by: str, source: str, at: datetime
) -> bool:
    """Note that a patient has died; tells whether that is new."""
    values = {"patient": patient_id, "by": by, "source": source, "at": at}
    return (await connection.execute(_TELL, values)).rowcount == 1


async def revoke(
    connection: Connection, patient_id: UUID, *, by: str, why: str, at: datetime
) -> bool:
    """Note that it was a mistake; tells whether there was something to take back."""
    values = {"patient": patient_id, "by": by, "why": why, "at": at}
    return (await connection.execute(_REVOKE, values)).rowcount == 1
