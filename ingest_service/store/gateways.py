"""Gateways, and the order in which their messages may be worked on at the same time."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from uuid import UUID

from ingest_service.store.connections import Connection

# A correction may overtake its reading on another worker. So a batch shares each gateway that it
# has readings of, and has alone each gateway that it has corrections of: when a correction looks
# for its reading, every reading that was under way is committed. Sorted, and before every row
# lock (docs/adr/0005).
_ENTER: Final = """
SELECT CASE WHEN is_alone THEN pg_advisory_xact_lock(key)
            ELSE pg_advisory_xact_lock_shared(key) END
  FROM (SELECT hashtextextended(id, 0) AS key, id = ANY(%(alone)s) AS is_alone
          FROM unnest(%(all)s::text[]) AS id
         ORDER BY key) AS gateway
"""

_UNITS: Final = "SELECT id, care_unit_id FROM gateway WHERE id = ANY(%s)"


async def enter(connection: Connection, ids: Collection[str], alone: Collection[str]) -> None:
    """Wait until nobody has these gateways alone, or, for those in ``alone``, until nobody has.

    Held to the end of the transaction.
    """
    await connection.execute(_ENTER, {"all": list(ids), "alone": list(alone)})


async def units(connection: Connection, ids: Collection[str]) -> dict[str, UUID]:
    """Return the care unit of each gateway that is known."""
    cursor = await connection.execute(_UNITS, [list(ids)])
    return dict(await cursor.fetchall())
