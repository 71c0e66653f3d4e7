"""What is missing and what waits, as numbers for operations: nobody's name, nobody's value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import args_row

from ingest_service.store.connections import Connection

# Between an epoch's floor and its high-water mark: the numbers that did not come.
_MISSING: Final = """
SELECT gateway_id,
       sum((SELECT coalesce(sum(upper(range) - lower(range)), 0)
              FROM unnest(int8multirange(int8range(least(floor, upper(received)),
                                                   upper(received))) - received)
                   AS range))::float8
  FROM gateway_epoch
 WHERE hole_since IS NOT NULL
 GROUP BY gateway_id
 ORDER BY 2 DESC, gateway_id
 LIMIT %s
"""

_WITH_HOLES: Final = """
SELECT count(DISTINCT gateway_id) FROM gateway_epoch WHERE hole_since IS NOT NULL
"""

_WAITING: Final = """
SELECT reason, count(*), min(received_at), count(priority), min(raised_at)
  FROM quarantine
 WHERE resolved_at IS NULL
 GROUP BY reason
"""


@dataclass(frozen=True, slots=True)
class Missing:
    """How many numbers of a gateway never came."""

    gateway_id: str
    numbers: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in the quarantine for one reason; how much of it is red, and since when."""

    reason: str
    entries: int
    oldest: datetime
    red_entries: int
    oldest_red: datetime | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is missing, of the gateways that miss most, and what waits."""

    missing: tuple[Missing, ...]
    gateways_with_holes: int
    waiting: tuple[Waiting, ...]


async def measure(connection: Connection, *, most_gateways: int) -> Backlog:
    """Return what is missing and what waits; of so many gateways each, those that miss most."""
    async with connection.cursor(row_factory=args_row(Missing)) as cursor:
        await cursor.execute(_MISSING, [most_gateways])
        missing = tuple(await cursor.fetchall())
    counted = await (await connection.execute(_WITH_HOLES)).fetchone()
    async with connection.cursor(row_factory=args_row(Waiting)) as cursor:
        await cursor.execute(_WAITING)
        waiting = tuple(await cursor.fetchall())
    return Backlog(missing, counted[0] if counted else 0, waiting)
