"""Which life of this database this is: receipts name it, and idle gateways must be told of it."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.store.connections import Connection
from ingest_service.store.deliveries import Received

_RENEW: Final = """
UPDATE incarnation SET id = gen_random_uuid(), since = clock_timestamp() RETURNING id
"""


# Everybody who could keep something: an epoch that is not in the copy is of a known gateway.
_UNTOLD: Final = """
INSERT INTO untold_gateway (gateway_id)
SELECT id FROM gateway UNION SELECT gateway_id FROM gateway_epoch
ON CONFLICT (gateway_id) DO UPDATE SET since = excluded.since, told_at = NULL
"""

# Who has sent since was answered, and so has heard; what gateways keep, they keep for 30 days.
_FORGET: Final = """
DELETE FROM untold_gateway u
 WHERE u.since < %(now)s - INTERVAL '30 days'
    OR EXISTS (SELECT FROM gateway_epoch e
                WHERE e.gateway_id = u.gateway_id AND e.last_at > u.since)
"""

# A gateway that has nothing to send never answers: it is told less and less often.
_TELL: Final = """
WITH due AS (
    SELECT gateway_id
      FROM untold_gateway
     WHERE told_at IS NULL
        OR told_at < %(now)s - greatest(%(pause)s::interval,
                                        least((%(now)s - since) / 8, INTERVAL '6 hours'))
     ORDER BY gateway_id
     LIMIT %(most)s
       FOR UPDATE SKIP LOCKED
), told AS (
    UPDATE untold_gateway u SET told_at = %(now)s FROM due WHERE u.gateway_id = due.gateway_id
    RETURNING u.gateway_id
)
SELECT told.gateway_id, e.epoch, (SELECT id FROM incarnation),
       (SELECT json_agg(json_build_array(lower(range), upper(range) - 1) ORDER BY range)::text
          FROM (SELECT range FROM unnest(e.received) AS range ORDER BY range DESC LIMIT 32) AS r)
  FROM told
  LEFT JOIN gateway_epoch e USING (gateway_id)
 ORDER BY told.gateway_id, e.last_at
"""

_RANGES: Final = msgspec.json.Decoder(tuple[tuple[int, int], ...])
_NO_EPOCH: Final = UUID(int=0)  # of a gateway that this copy has heard nothing of


async def renew(connection: Connection) -> UUID:
    """Give the database a new life, as after a restore: gateways send again what they keep."""
    await connection.execute(_UNTOLD)
    cursor = await connection.execute(_RENEW)
    row = await cursor.fetchone()
    if row is None:
        raise LookupError("incarnation: the row that every database has is missing")
    new: UUID = row[0]
    return new


async def tell(
    connection: Connection, *, now: datetime, pause_s: int, most: int
) -> list[Received]:
    """Return what to tell gateways that may not know of this life, and note that they were told.

    Args:
        connection: With the right to update ``untold_gateway.told_at``.
        now: The time it is.
        pause_s: A gateway told less than this ago is left out.
        most: At most this many gateways.

    Returns:
        For each of their epochs what this database has of it; for a gateway without any, an
        epoch that nobody has.
    """
    await connection.execute(_FORGET, {"now": now})
    cursor = await connection.execute(
        _TELL, {"now": now, "pause": f"{pause_s} seconds", "most": most}
    )
    return [
        Received(
            gateway_id,
            epoch or _NO_EPOCH,
            incarnation,
            _RANGES.decode(ranges) if ranges else (),
        )
        for gateway_id, epoch, incarnation, ranges in await cursor.fetchall()
    ]
