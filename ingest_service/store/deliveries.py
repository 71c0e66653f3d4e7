"""Numbers that gateways used, what became of them, and which ones are missing."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

logger = logging.getLogger(__name__)

Key = tuple[str, UUID, int]

_CLAIM: Final = """
WITH given AS MATERIALIZED (
    SELECT *
      FROM json_to_recordset(%s::json)
           AS row(gateway_id text, epoch uuid, number bigint, digest text, outcome text,
                  record_id uuid)
), inserted AS (
    INSERT INTO delivery (gateway_id, epoch, number, digest, outcome, record_id)
    SELECT gateway_id, epoch, number, decode(digest, 'base64'), outcome, record_id
      FROM given
     ORDER BY gateway_id, epoch, number
        ON CONFLICT DO NOTHING
    RETURNING gateway_id, epoch, number
)
SELECT gateway_id, epoch, number FROM given
EXCEPT
SELECT gateway_id, epoch, number FROM inserted
"""

# A statement of its own: what another worker committed meanwhile is only visible to a new one.
_DIGESTS: Final = """
SELECT d.gateway_id, d.epoch, d.number, d.digest
  FROM delivery d
  JOIN unnest(%s::text[], %s::uuid[], %s::bigint[]) AS given(gateway_id, epoch, number)
 USING (gateway_id, epoch, number)
"""

# Looked for within one gateway's numbers, and only where another gateway stored the record first.
_DELIVERED: Final = """
SELECT DISTINCT d.gateway_id, d.record_id
  FROM delivery d
  JOIN unnest(%s::text[], %s::uuid[]) AS given(gateway_id, record_id)
 USING (gateway_id, record_id)
 WHERE d.outcome IN ('stored', 'duplicate')
"""

_SET_OUTCOME: Final = """
UPDATE delivery d
   SET outcome = row.outcome
  FROM json_to_recordset(%s::json)
       AS row(gateway_id text, epoch uuid, number bigint, outcome text)
 WHERE (d.gateway_id, d.epoch, d.number) = (row.gateway_id, row.epoch, row.number)
"""

# Holes count from the epoch's floor on. Into the receipt go the ranges that this batch is in,
# since its gateway waits for them, and those nearest to it. Their number is bounded however many
# holes there are.
_RECEIVE: Final = """
INSERT INTO gateway_epoch AS known (gateway_id, epoch, received, hole_since)
SELECT gateway_id, epoch, received,
       CASE WHEN received <> int8multirange(int8range(1, upper(received)))
            THEN clock_timestamp() END
  FROM (SELECT gateway_id, epoch, range_agg(int8range(first, last, '[]')) AS received
          FROM unnest(%(gateways)s::text[], %(epochs)s::uuid[],
                      %(firsts)s::bigint[], %(lasts)s::bigint[])
               AS given(gateway_id, epoch, first, last)
         GROUP BY gateway_id, epoch) AS batch
 ORDER BY gateway_id, epoch
    ON CONFLICT (gateway_id, epoch) DO UPDATE
   SET received = known.received + excluded.received,
       last_at = clock_timestamp(),
       hole_since = CASE WHEN int8multirange(
                                  int8range(least(known.floor,
                                                  upper(known.received + excluded.received)),
                                            upper(known.received + excluded.received)))
                              - known.received - excluded.received <> '{}'
                         THEN coalesce(known.hole_since, clock_timestamp()) END
RETURNING gateway_id, epoch, (SELECT id FROM incarnation),
          (SELECT count(*) FROM unnest(known.received)),
          (SELECT json_agg(json_build_array(first, last) ORDER BY first)::text
             FROM (SELECT lower(range) AS first, upper(range) - 1 AS last
                     FROM (SELECT range_agg(int8range(first, last, '[]')) AS runs,
                                  max(last) AS newest
                             FROM unnest(%(gateways)s::text[], %(epochs)s::uuid[],
                                         %(firsts)s::bigint[], %(lasts)s::bigint[])
                                  AS given(gateway_id, epoch, first, last)
                            WHERE given.gateway_id = known.gateway_id
                              AND given.epoch = known.epoch) AS batch,
                          unnest(known.received) AS range
                    ORDER BY range && batch.runs DESC, abs(upper(range) - batch.newest)
                    LIMIT greatest(%(most)s, cardinality(%(gateways)s::text[]))) AS told)
"""

# Holes below the high-water mark that are not young any more, asked for at most once a minute,
# and less and less often: an epoch that its gateway left behind has holes for ever.
# The row is marked as it is read, so two processes never ask for the same one.
_HOLES: Final = """
WITH due AS (
    SELECT gateway_id, epoch
      FROM gateway_epoch
     WHERE hole_since < %(now)s - %(age)s::interval
       AND (asked_at IS NULL
            OR asked_at < %(now)s - greatest(%(pause)s::interval,
                                             least((%(now)s - hole_since) / 8,
                                                   INTERVAL '6 hours')))
     ORDER BY gateway_id, epoch
     LIMIT %(most)s
       FOR UPDATE SKIP LOCKED
)
UPDATE gateway_epoch e
   SET asked_at = %(now)s
  FROM due
 WHERE (e.gateway_id, e.epoch) = (due.gateway_id, due.epoch)
RETURNING e.gateway_id, e.epoch,
          ARRAY(SELECT ARRAY[lower(range), upper(range) - 1]
                  FROM unnest(int8multirange(int8range(least(e.floor, upper(e.received)),
                                                       upper(e.received))) - e.received)
                       AS range
                 LIMIT 64)
"""

# An epoch in thousands of pieces is a broken gateway's, or a wicked one's, and would cost more
# with every number. The oldest pieces are cut off, and their holes with them: nobody asks for
# those any more. Every number that came stays in `delivery`, and one from below that comes later
# is stored and receipted as any other. After the receipts, which may name what is cut off here.
_CUT: Final = """
UPDATE gateway_epoch e
   SET floor = cut.floor,
       received = e.received * int8multirange(int8range(cut.floor, NULL)),
       hole_since = CASE WHEN int8multirange(int8range(cut.floor, upper(e.received)))
                              - e.received <> '{}' THEN e.hole_since END
  FROM (SELECT k.gateway_id, k.epoch,
               (SELECT lower(range) FROM unnest(k.received) AS range
                 ORDER BY range DESC OFFSET %(kept)s - 1 LIMIT 1) AS floor
          FROM gateway_epoch k
          JOIN unnest(%(gateways)s::text[], %(epochs)s::uuid[]) AS given(gateway_id, epoch)
         USING (gateway_id, epoch)) AS cut
 WHERE (e.gateway_id, e.epoch) = (cut.gateway_id, cut.epoch) AND cut.floor IS NOT NULL
"""

_MOST_RANGES: Final = 32
MOST_PIECES: Final = 4096
_KEPT_PIECES: Final = 2048
_RANGES: Final = msgspec.json.Decoder(tuple[tuple[int, int], ...])


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a gateway's epoch and what becomes of it."""

    gateway_id: str
    epoch: UUID
    number: int
    digest: bytes
    outcome: str
    record_id: UUID | None = None

    @property
    def key(self) -> Key:
        """Return what must be unique."""
        return (self.gateway_id, self.epoch, self.number)


@dataclass(frozen=True, slots=True)
class Received:
    """What the database has dealt with of one epoch, nearest the batch just written."""

    gateway_id: str
    epoch: UUID
    incarnation: UUID
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers of one epoch that never came."""

    gateway_id: str
    epoch: UUID
    ranges: tuple[tuple[int, int], ...]


class _Outcome(msgspec.Struct, frozen=True):
    gateway_id: str
    epoch: UUID
    number: int
    outcome: str


async def claim(connection: Connection, rows: Collection[DeliveryRow]) -> set[Key]:
    """Write down these numbers, each once, and return those that were known before."""
    cursor = await connection.execute(_CLAIM, [packed(rows)])
    return {(gateway_id, epoch, number) for gateway_id, epoch, number in await cursor.fetchall()}


async def digests(connection: Connection, keys: Collection[Key]) -> dict[Key, bytes]:
    """Return under which digest each of these numbers is known."""
    columns = [[key[column] for key in keys] for column in range(3)]
    cursor = await connection.execute(_DIGESTS, columns)
    return {(row[0], row[1], row[2]): bytes(row[3]) for row in await cursor.fetchall()}


async def delivered(
    connection: Connection, pairs: Collection[tuple[str, UUID]]
) -> set[tuple[str, UUID]]:
    """Return those pairs of gateway and record of which the gateway delivered the reading."""
    columns = [[pair[column] for pair in pairs] for column in range(2)]
    cursor = await connection.execute(_DELIVERED, columns)
    return {(gateway_id, record_id) for gateway_id, record_id in await cursor.fetchall()}


async def set_outcome(connection: Connection, keys: Iterable[Key], outcome: str) -> None:
    """Change what became of numbers that this transaction claimed."""
    await connection.execute(_SET_OUTCOME, [packed(_Outcome(*key, outcome) for key in keys)])


async def receive(
    connection: Connection, runs: Collection[tuple[str, UUID, int, int]]
) -> list[Received]:
    """Add runs of numbers (gateway, epoch, first, last) to what their epochs have received.

    Returns:
        One row for each epoch, with a bounded number of its ranges.
    """
    cursor = await connection.execute(
        _RECEIVE,
        {
            "gateways": [run[0] for run in runs],
            "epochs": [run[1] for run in runs],
            "firsts": [run[2] for run in runs],
            "lasts": [run[3] for run in runs],
            "most": _MOST_RANGES,
        },
    )
    received: list[Received] = []
    torn: list[tuple[str, UUID]] = []
    for gateway_id, epoch, incarnation, pieces, ranges in await cursor.fetchall():
        received.append(Received(gateway_id, epoch, incarnation, _RANGES.decode(ranges)))
        if pieces > MOST_PIECES:
            torn.append((gateway_id, epoch))
    if torn:
        await _cut(connection, torn)
    return received


async def _cut(connection: Connection, torn: Sequence[tuple[str, UUID]]) -> None:
    gateways, epochs = zip(*torn, strict=True)
    values = {"gateways": list(gateways), "epochs": list(epochs), "kept": _KEPT_PIECES}
    await connection.execute(_CUT, values)
    for gateway_id, epoch in torn:
        extra = {"gateway_id": gateway_id, "epoch": str(epoch)}
        logger.warning("an epoch has too many holes: its oldest are given up", extra=extra)


async def ask_for_holes(
    connection: Connection, *, now: datetime, age_s: int, pause_s: int, most: int
) -> list[Hole]:
    """Return numbers that are missing, and note that they have been asked for.

    Args:
        connection: With the right to update ``gateway_epoch.asked_at``.
        now: The time it is.
        age_s: An epoch whose first hole is younger than this is left to settle.
        pause_s: An epoch asked for less than this ago is left out.
        most: At most this many epochs.
    """
    cursor = await connection.execute(
        _HOLES,
        {"now": now, "age": f"{age_s} seconds", "pause": f"{pause_s} seconds", "most": most},
    )
    return [
        Hole(gateway_id, epoch, tuple((first, last) for first, last in ranges))
        for gateway_id, epoch, ranges in await cursor.fetchall()
    ]
