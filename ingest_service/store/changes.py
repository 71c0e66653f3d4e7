"""What changed since: each version of an observation that became current, oldest first.

Rows carry the database's clock as they were written, within a transaction that lasts a minute at
most. So what is older than that is complete, and a reader that stops there misses nothing; one
that did not would pass over a row that was written before and committed after it looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import args_row

from ingest_service.store.callers import Caller
from ingest_service.store.connections import TRANSACTION_S
from ingest_service.store.observation_search import FoundObservation, found_observation

#: How old a change is before readers get it: the longest transaction, and as long as committing
#: it could take after its time-out no longer counts.
HORIZON: Final = timedelta(seconds=TRANSACTION_S + 15)

# now() is when the reader's transaction began, before anything that it can see was fixed; a
# later clock would let a row through whose commit is not seen yet. One short ordered read for
# each unit: the newest is found without looking at other units' changes.
_SINCE: Final = """
SELECT found.last_updated, found.id, found.version, found.patient_id, found.effective_at
  FROM unnest(%(units)s::uuid[]) AS unit(id)
 CROSS JOIN LATERAL (
       SELECT c.last_updated, c.id, c.version, c.patient_id, c.effective_at
         FROM observation_change c
        WHERE c.care_unit_id = unit.id
          AND c.last_updated >= %(at)s
          AND c.last_updated < now() - %(horizon)s
          AND (c.last_updated, c.id) > (%(at)s, %(after)s)
        ORDER BY c.last_updated, c.id
        LIMIT %(most)s) AS found
 ORDER BY found.last_updated, found.id
 LIMIT %(most)s
"""

# The outer bounds, constants to the planner, keep all other chunks closed.
_CURRENT: Final = """
SELECT o.id, o.version, o.patient_id, o.effective_at, o.last_updated, o.resource, o.body
  FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[], %(versions)s::integer[])
       WITH ORDINALITY AS given(id, effective_at, version, position)
  JOIN observation o USING (id, effective_at, version)
 WHERE o.effective_at BETWEEN %(since)s AND %(until)s
   AND o.care_unit_id = ANY(%(units)s)
 ORDER BY given.position
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A version that became current, and when by the database's clock."""

    last_updated: datetime
    id: UUID
    version: int
    patient_id: UUID
    effective_at: datetime


async def since(
    connection: AsyncConnection, caller: Caller, after: tuple[datetime, UUID], *, most: int
) -> list[Change]:
    """Return what changed for the caller's units after that (time, id), oldest first.

    Args:
        connection: In a transaction that began just now.
        caller: Who asks; other units' changes are left out.
        after: Last change that the caller has. One who has none gives a time with the smallest
            id, ``UUID(int=0)``.
        most: At most this many; as many as that means that there may be more.

    Returns:
        Changes older than `HORIZON` only.
    """
    at, after_id = after
    async with connection.cursor(row_factory=args_row(Change)) as cursor:
        await cursor.execute(
            _SINCE,
            {
                "units": sorted(set(caller.care_unit_ids)),
                "at": at,
                "after": after_id,
                "horizon": HORIZON,
                "most": most,
            },
        )
        return await cursor.fetchall()


async def current(
    connection: AsyncConnection, caller: Caller, changes: Sequence[Change]
) -> list[FoundObservation]:
    """Return those of these versions that are still current, in the same order.

    Of one that is not, a later change tells.
    """
    if not changes:
        return []
    times = [change.effective_at for change in changes]
    async with connection.cursor(row_factory=args_row(found_observation)) as cursor:
        await cursor.execute(
            _CURRENT,
            {
                "ids": [change.id for change in changes],
                "times": times,
                "versions": [change.version for change in changes],
                "since": min(times),
                "until": max(times),
                "units": list(caller.care_unit_ids),
            },
        )
        return await cursor.fetchall()
