"""Incidents: what stands, how it grew, and which gateways it concerns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection, OperationalError
from psycopg.rows import args_row

from ingest_service.outage.incident import Away, Cause, Change, Incident, Kind
from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

# The jobs and the canary's process may both decide; one after the other.
_TURN: Final = "SELECT pg_advisory_xact_lock(hashtextextended('hemvital incident', 0))"

_SINCE: Final = """
SELECT i.id, i.kind, i.cause, i.care_unit_id, i.began_at, i.opened_at, i.most, i.calm_since,
       i.ended_at, i.merged_into,
       coalesce((SELECT json_agg(json_build_object('gateway_id', g.gateway_id,
                                                   'since', g.away_since, 'back_at', g.back_at))
                   FROM incident_gateway g WHERE g.incident_id = i.id), '[]')::text
  FROM incident i
 WHERE i.ended_at IS NULL OR i.ended_at >= %s
 ORDER BY i.opened_at, i.id
"""

# What ends goes first, so that the next one of its kind and unit finds room.
_PUT: Final = """
INSERT INTO incident (id, kind, cause, care_unit_id, began_at, opened_at, most, calm_since,
       ended_at, merged_into)
VALUES (%(id)s, %(kind)s, %(cause)s, %(unit)s, %(began_at)s, %(opened_at)s, %(most)s,
        %(calm_since)s, %(ended_at)s, %(merged_into)s)
    ON CONFLICT (id) DO NOTHING
"""
_UPDATE: Final = """
UPDATE incident
   SET cause = %(cause)s, most = %(most)s, calm_since = %(calm_since)s, ended_at = %(ended_at)s
 WHERE id = %(id)s
"""
_MERGE: Final = "UPDATE incident SET merged_into = %(into)s WHERE id = %(id)s"

_GATEWAYS: Final = """
INSERT INTO incident_gateway AS known (incident_id, gateway_id, away_since, back_at)
SELECT %(incident)s, gateway_id, since, back_at
  FROM json_to_recordset(%(rows)s::json)
       AS row(gateway_id text, since timestamptz, back_at timestamptz)
 ORDER BY gateway_id
    ON CONFLICT (incident_id, gateway_id) DO UPDATE
   SET away_since = excluded.away_since, back_at = excluded.back_at
 WHERE (known.away_since, known.back_at) IS DISTINCT FROM (excluded.away_since, excluded.back_at)
"""

_EVENT: Final = """
INSERT INTO incident_event (incident_id, at, event, cause, away, affected)
VALUES (%(incident)s, %(at)s, %(event)s, %(cause)s, %(away)s, %(affected)s)
"""

# An id names nobody; whoever hears it looks.
_NOTIFY: Final = "SELECT pg_notify('incident', %s)"
_LISTEN: Final = "LISTEN incident"
_PING: Final = "SELECT 1"
_IDLE_S: Final = 5.0
_AGAIN_S: Final = 1.0

_EVENTS: Final = """
SELECT at, event, cause, away, affected FROM incident_event WHERE incident_id = %s ORDER BY id
"""


class _GatewayRow(msgspec.Struct, frozen=True, kw_only=True):
    gateway_id: str
    since: datetime
    back_at: datetime | None


@dataclass(frozen=True, slots=True)
class PastEvent:
    """Something that happened to an incident; ``away`` then, ``affected`` ever."""

    at: datetime
    event: str
    cause: str
    away: int
    affected: int


_ROWS: Final = msgspec.json.Decoder(tuple[_GatewayRow, ...])


async def take_turn(connection: Connection) -> None:
    """Decide about incidents alone, to the end of the transaction."""
    await connection.execute(_TURN)


async def standing(connection: Connection, *, since: datetime) -> list[Incident]:
    """Return incidents that stand or ended at ``since`` or later, the first opened first.

    For `outage.cover.covers` and `overlaps`: ``since`` is the beginning of what is asked about,
    less `OutageRules.catch_up`.
    """
    cursor = await connection.execute(_SINCE, [since])
    return [
        Incident(
            id=row[0],
            kind=Kind(row[1]),
            cause=Cause(row[2]),
            unit_id=row[3],
            began_at=row[4],
            opened_at=row[5],
            most=row[6],
            calm_since=row[7],
            ended_at=row[8],
            merged_into=row[9],
            gateways={
                each.gateway_id: Away(since=each.since, back_at=each.back_at)
                for each in _ROWS.decode(row[10])
            },
        )
        for row in await cursor.fetchall()
    ]


async def put(connection: Connection, changes: Collection[Change], *, at: datetime) -> None:
    """Write what incidents are from now on and what happened to them; tell the pages at commit.

    Args:
        connection: In a transaction that has taken its turn.
        changes: What was decided.
        at: When.
    """
    for change in sorted(changes, key=lambda each: each.after.ended_at is None):
        await _put_one(connection, change.after)
    for change in changes:
        after = change.after
        if after.merged_into:
            await connection.execute(_MERGE, {"id": after.id, "into": after.merged_into})
        if change.event:
            await connection.execute(
                _EVENT,
                {
                    "incident": after.id,
                    "at": at,
                    "event": change.event,
                    "cause": after.cause,
                    "away": after.away,
                    "affected": len(after.gateways),
                },
            )
            await connection.execute(_NOTIFY, [str(after.id)])


async def _put_one(connection: Connection, after: Incident) -> None:
    values = {
        "id": after.id,
        "kind": after.kind,
        "cause": after.cause,
        "unit": after.unit_id,
        "began_at": after.began_at,
        "opened_at": after.opened_at,
        "most": after.most,
        "calm_since": after.calm_since,
        "ended_at": after.ended_at,
        "merged_into": None,  # once the one that it names is there
    }
    if (await connection.execute(_UPDATE, values)).rowcount == 0:
        await connection.execute(_PUT, values)
    if after.gateways:
        rows = [
            _GatewayRow(gateway_id=gateway_id, since=away.since, back_at=away.back_at)
            for gateway_id, away in after.gateways.items()
        ]
        await connection.execute(_GATEWAYS, {"incident": after.id, "rows": packed(rows)})


async def events(connection: Connection, incident_id: UUID) -> list[PastEvent]:
    """Return what happened to an incident, in order."""
    async with connection.cursor(row_factory=args_row(PastEvent)) as cursor:
        await cursor.execute(_EVENTS, [incident_id])
        return await cursor.fetchall()


async def told(dsn: str) -> AsyncGenerator[bool]:
    """Yield true at each change of an incident, and false when a while was quiet.

    A lost connection is a change: what happened meanwhile is unknown. Never ends by itself.
    """
    while True:
        try:
            async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
                await connection.execute(_LISTEN)
                yield True
                while True:
                    async for _ in connection.notifies(timeout=_IDLE_S, stop_after=1):
                        yield True
                    await connection.execute(_PING)
                    yield False
        except OperationalError:
            yield False
            await asyncio.sleep(_AGAIN_S)
