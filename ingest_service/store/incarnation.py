"""Which life of this database this is; receipts name it."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from ingest_service.store.connections import Connection

_RENEW: Final = """
UPDATE incarnation SET id = gen_random_uuid(), since = clock_timestamp() RETURNING id
"""


async def renew(connection: Connection) -> UUID:
    """Give the database a new life, as after a restore: gateways send again what they keep."""
    cursor = await connection.execute(_RENEW)
    row = await cursor.fetchone()
    if row is None:
        raise LookupError("incarnation: the row that every database has is missing")
    new: UUID = row[0]
    return new
