"""Patients, as far as ingest must know them: their lock and whose they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ingest_service.store.connections import Connection

# The first row lock of every transaction that writes about patients, sorted (docs/adr/0005).
_LOCK: Final = """
SELECT p.id, p.care_unit_id, u.care_provider_id
  FROM patient p
  JOIN care_unit u ON u.id = p.care_unit_id
 WHERE p.id = ANY(%s)
 ORDER BY p.id
   FOR UPDATE OF p
"""


_OF: Final = """
SELECT p.id, p.care_unit_id, u.care_provider_id
  FROM patient p
  JOIN care_unit u ON u.id = p.care_unit_id
 WHERE p.id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Patient:
    """Where a patient belongs."""

    id: UUID
    care_unit_id: UUID
    care_provider_id: UUID


async def lock(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Patient]:
    """Lock these patients to the end of the transaction and return where they belong."""
    cursor = await connection.execute(_LOCK, [list(ids)])
    return {row[0]: Patient(*row) for row in await cursor.fetchall()}


async def of(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Patient]:
    """Return where these patients belong, without a lock: for whoever only looks."""
    cursor = await connection.execute(_OF, [list(ids)])
    return {row[0]: Patient(*row) for row in await cursor.fetchall()}
