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
INSERT INTO identity (id, record_id, effective_at, attribution, phd_digest)
SELECT id, record_id, effective_at, attribution,
       encode(substr(sha256(convert_to(phd_identifier, 'UTF8')), 1, 16), 'hex')::uuid
  FROM json_to_recordset(%s::json)
       AS row(id uuid, record_id uuid, effective_at timestamptz, phd_identifier text,
              attribution smallint)
 ORDER BY id
"""

_PUT: Final = """
INSERT INTO identity (id, record_id, effective_at, attribution, phd_digest)
SELECT id, record_id, effective_at, attribution,
       encode(substr(sha256(convert_to(phd_identifier, 'UTF8')), 1, 16), 'hex')::uuid
  FROM json_to_recordset(%s::json)
       AS row(id uuid, record_id uuid, effective_at timestamptz, phd_identifier text,
              attribution smallint)
 ORDER BY id
    ON CONFLICT (id) DO UPDATE
   SET effective_at = excluded.effective_at, phd_identifier = NULL,
       phd_digest = excluded.phd_digest
"""


class IdentityRow(msgspec.Struct, frozen=True, kw_only=True):
    """One observation's identity; it follows from its record's."""

    id: UUID
    record_id: UUID
    effective_at: datetime
    phd_identifier: str | None
    attribution: int = 0


async def add(connection: Connection, rows: Collection[IdentityRow]) -> None:
    """Store new identities; their records were found to be new before."""
    await connection.execute(_ADD, [packed(rows)])


async def put(connection: Connection, rows: Collection[IdentityRow]) -> None:
    """Store identities of new versions: known ones move to their observations' new times."""
    await connection.execute(_PUT, [packed(rows)])
