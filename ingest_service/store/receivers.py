"""Who received readings of whom, and what they must hear: no reading is taken back in silence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from psycopg.errors import ForeignKeyViolation
from psycopg.rows import args_row

from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

# A system is registered as a client; it becomes a receiver when it first receives.
_ADD_RECEIVER: Final = """
INSERT INTO receiver (id, kind, name)
SELECT id, 'pull', name
  FROM api_client
 WHERE id = %(receiver)s
    ON CONFLICT (id) DO NOTHING
"""

_UNMET: Final = """
SELECT unnest(%(patients)s::uuid[])
EXCEPT
SELECT patient_id FROM receiver_patient WHERE receiver_id = %(receiver)s
"""

# The reference to the patient locks the patient's row (FOR KEY SHARE), in this order: it waits
# for every change of the patient's readings that is under way.
_MEET: Final = """
INSERT INTO receiver_patient (receiver_id, patient_id)
SELECT %(receiver)s, given.patient_id
  FROM unnest(%(patients)s::uuid[]) AS given(patient_id)
 ORDER BY given.patient_id
    ON CONFLICT (receiver_id, patient_id) DO NOTHING
"""

# Another request of the same receiver that does the same now does it for both.
_SEE: Final = """
WITH due AS (
    SELECT receiver_id, patient_id
      FROM receiver_patient
     WHERE receiver_id = %(receiver)s
       AND patient_id = ANY(%(patients)s)
       AND last_at < clock_timestamp() - INTERVAL '1 day'
       FOR UPDATE SKIP LOCKED
)
UPDATE receiver_patient r
   SET last_at = clock_timestamp()
  FROM due
 WHERE (r.receiver_id, r.patient_id) = (due.receiver_id, due.patient_id)
"""

_MUST_HEAR: Final = """
INSERT INTO receiver_news (receiver_id, observation_id, version, patient_id, change_id)
SELECT r.receiver_id, given.observation_id, given.version, given.patient_id, given.change_id
  FROM json_to_recordset(%s::json)
       AS given(observation_id uuid, version integer, patient_id uuid, change_id uuid)
  JOIN receiver_patient r USING (patient_id)
 ORDER BY r.receiver_id, given.observation_id, given.version
    ON CONFLICT (receiver_id, observation_id, version) DO NOTHING
"""

_TOLD: Final = """
WITH due AS (
    SELECT n.receiver_id, n.observation_id, n.version
      FROM unnest(%(observations)s::uuid[], %(versions)s::integer[])
           AS handed(observation_id, version)
      JOIN receiver_news n
        ON n.receiver_id = %(receiver)s
       AND n.observation_id = handed.observation_id
       AND n.version <= handed.version
     WHERE n.told_at IS NULL
       FOR UPDATE OF n SKIP LOCKED
)
UPDATE receiver_news n
   SET told_at = clock_timestamp()
  FROM due
 WHERE (n.receiver_id, n.observation_id, n.version)
       = (due.receiver_id, due.observation_id, due.version)
"""

_LIST: Final = """
SELECT r.id, r.kind, r.name, r.since, p.patients, p.last_at, n.news, n.untold, n.oldest
  FROM receiver r
 CROSS JOIN LATERAL (SELECT count(*) AS patients, max(last_at) AS last_at
                       FROM receiver_patient WHERE receiver_id = r.id) AS p
 CROSS JOIN LATERAL (SELECT count(*) AS news, count(*) FILTER (WHERE told_at IS NULL) AS untold,
                            min(created_at) FILTER (WHERE told_at IS NULL) AS oldest
                       FROM receiver_news WHERE receiver_id = r.id) AS n
 ORDER BY r.id
"""

_UNTOLD: Final = """
SELECT n.receiver_id, r.name, n.observation_id, n.version, n.change_id, n.created_at
  FROM receiver_news n
  JOIN receiver r ON r.id = n.receiver_id
 WHERE n.told_at IS NULL
   AND (%(after)s::timestamptz IS NULL
        OR (n.created_at, n.receiver_id, n.observation_id, n.version)
           > (%(after)s, %(receiver)s, %(observation)s, %(version)s))
 ORDER BY n.created_at, n.receiver_id, n.observation_id, n.version
 LIMIT %(most)s
"""


class ChangedObservation(msgspec.Struct, frozen=True, kw_only=True):
    """A new version that takes back or corrects an older one, and whose reading that was.

    ``change_id`` is the change's own id: it stands in what tells who changed it and why.
    """

    observation_id: UUID
    version: int
    patient_id: UUID
    change_id: UUID


@dataclass(frozen=True, slots=True)
class Receiver:
    """Somebody who gets readings, how much of it, and what they have not heard; no patients."""

    id: str
    kind: str
    name: str
    since: datetime
    patients: int
    last_at: datetime | None
    news: int
    untold: int
    oldest_untold_at: datetime | None


@dataclass(frozen=True, slots=True)
class Untold:
    """One version that a receiver has not got yet; no patient is named."""

    receiver_id: str
    receiver: str
    observation_id: UUID
    version: int
    change_id: UUID
    created_at: datetime


async def unmet(connection: Connection, caller: Caller, patients: Collection[UUID]) -> set[UUID]:
    """Return those of these patients that the caller is not known to have received anything of."""
    cursor = await connection.execute(
        _UNMET, {"receiver": caller.actor, "patients": list(patients)}
    )
    return {row[0] for row in await cursor.fetchall()}


async def meet(connection: Connection, caller: Caller, patients: Collection[UUID]) -> bool:
    """Write down that the caller receives something of these patients from now on.

    Waits until nobody has these patients locked, and so until no change of their readings is
    under way. Once this is committed, every later change finds the caller: what is read after
    that either stands, or will be followed by news (docs/adr/0020).

    Returns:
        Whether it was done; not done if a patient's record was destroyed meanwhile.
    """
    try:
        async with connection.transaction():
            await connection.execute(_ADD_RECEIVER, {"receiver": caller.actor})
            await connection.execute(_MEET, {"receiver": caller.actor, "patients": list(patients)})
    except ForeignKeyViolation:
        return False
    return True


async def see(connection: Connection, caller: Caller, patients: Collection[UUID]) -> None:
    """Note, at most once a day, that the caller still receives of these patients."""
    await connection.execute(_SEE, {"receiver": caller.actor, "patients": list(patients)})


async def must_hear(connection: Connection, changes: Collection[ChangedObservation]) -> int:
    """Write down for every receiver of these patients that it must hear of these versions.

    Args:
        connection: Inside the transaction that makes the versions. It has the patients locked
            from its beginning; else a receiver who reads now for the first time is missed. In
            the order of locks this comes after observations and alerts (docs/adr/0005).
        changes: Versions that take back or correct; the same again changes nothing.

    Returns:
        How many pieces of news that makes.
    """
    if not changes:
        return 0
    cursor = await connection.execute(_MUST_HEAR, [packed(changes)])
    return cursor.rowcount


async def told(
    connection: Connection, receiver_id: str, observations: Collection[tuple[UUID, int]]
) -> None:
    """Note that a receiver is handed these versions, and so hears all news up to them.

    Args:
        connection: Inside the transaction that reads what is handed out.
        receiver_id: An EHR system's is its client's id.
        observations: Each observation's id and version.
    """
    if observations:
        await connection.execute(
            _TOLD,
            {
                "receiver": receiver_id,
                "observations": [observation_id for observation_id, _ in observations],
                "versions": [version for _, version in observations],
            },
        )


async def everybody(connection: Connection) -> list[Receiver]:
    """Return all receivers with what they got and have not heard, by id."""
    async with connection.cursor(row_factory=args_row(Receiver)) as cursor:
        await cursor.execute(_LIST)
        return await cursor.fetchall()


async def untold(
    connection: Connection, *, after: Untold | None = None, most: int = 100
) -> list[Untold]:
    """Return news that their receivers have not got, oldest first.

    Args:
        connection: Any; one statement.
        after: Last row of the page before.
        most: At most this many.
    """
    async with connection.cursor(row_factory=args_row(Untold)) as cursor:
        await cursor.execute(
            _UNTOLD,
            {
                "after": after and after.created_at,
                "receiver": after and after.receiver_id,
                "observation": after and after.observation_id,
                "version": after and after.version,
                "most": most,
            },
        )
        return await cursor.fetchall()
