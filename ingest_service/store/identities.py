"""Identities: which observations exist and when, in a plain table whose key is unique."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

# Of FHIR's PHD identifier the first half of its SHA-256 is enough to find by.
_ADD: Final = """
INSERT INTO identity (id, record_id, effective_at, phd_digest)
SELECT id, record_id, effective_at,
       encode(substr(sha256(convert_to(phd_identifier, 'UTF8')), 1, 16), 'hex')::uuid
  FROM json_to_recordset(%s::json)
       AS row(id uuid, record_id uuid, effective_at timestamptz, phd_identifier text)
 ORDER BY id
"""

_SET_TIME: Final = """
UPDATE identity i
   SET effective_at = row.effective_at, phd_identifier = NULL,
       phd_digest = encode(
           substr(sha256(convert_to(row.phd_identifier, 'UTF8')), 1, 16), 'hex')::uuid
  FROM json_to_recordset(%s::json)
       AS row(id uuid, effective_at timestamptz, phd_identifier text)
 WHERE i.id = row.id
"""


class IdentityRow(msgspec.Struct, frozen=True, kw_only=True):
    """One observation's identity; it follows from its record's."""

    id: UUID
    record_id: UUID
    effective_at: datetime
    phd_identifier: str | None


async def add(connection: Connection, rows: Collection[IdentityRow]) -> None:
    """Store new identities; their records were found to be new before."""
    await connection.execute(_ADD, [packed(rows)])


async def set_times(connection: Connection, rows: Collection[IdentityRow]) -> None:
    """Move identities to their observations' better times."""
    await connection.execute(_SET_TIME, [packed(rows)])
