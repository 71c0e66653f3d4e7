"""How gateways stand: their statuses, what is wrong with them from when to when, their events."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from psycopg.rows import args_row

from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

_KNOWN: Final = """
SELECT g.id, s.is_online, s.heard_at, s.digest
  FROM gateway g LEFT JOIN gateway_status s ON s.gateway_id = g.id
 WHERE g.id = ANY(%s)
"""

# In order, here and below: an UPDATE alone takes its rows as it finds them.
_TOUCH: Final = """
WITH locked AS MATERIALIZED (
    SELECT gateway_id FROM gateway_status WHERE gateway_id = ANY(%(ids)s)
     ORDER BY gateway_id FOR NO KEY UPDATE
)
UPDATE gateway_status s
   SET heard_at = greatest(s.heard_at, %(at)s)
  FROM locked WHERE s.gateway_id = locked.gateway_id
"""

# A last will, and a status that says no more, leaves what was said before. After a long silence
# a gateway is there anew.
_PUT: Final = """
INSERT INTO gateway_status AS known
       (gateway_id, is_online, heard_at, changed_at, configuration, said, digest)
SELECT gateway_id, is_online, heard_at, heard_at, configuration, said, decode(digest, 'base64')
  FROM json_to_recordset(%(rows)s::json)
       AS row(gateway_id text, is_online boolean, heard_at timestamptz, configuration bigint,
              said jsonb, digest text)
 ORDER BY gateway_id
    ON CONFLICT (gateway_id) DO UPDATE
   SET is_online = excluded.is_online,
       heard_at = greatest(known.heard_at, excluded.heard_at),
       changed_at = CASE WHEN known.is_online = excluded.is_online
                              AND excluded.heard_at < known.heard_at + %(gap)s::interval
                         THEN known.changed_at
                         ELSE greatest(known.heard_at, excluded.heard_at) END,
       configuration = CASE WHEN excluded.said IS NULL THEN known.configuration
                            ELSE excluded.configuration END,
       said = coalesce(excluded.said, known.said),
       digest = excluded.digest
"""

# What a status does not name any more has ended; what it names of old may know its time better.
_CONDITIONS: Final = """
WITH given AS MATERIALIZED (
    SELECT DISTINCT ON (gateway_id, kind, device_id) *
      FROM json_to_recordset(%(conditions)s::json)
           AS row(gateway_id text, kind text, device_id text, since timestamptz,
                  is_since_trusted boolean, detail text, heard_at timestamptz)
     ORDER BY gateway_id, kind, device_id, since
), told AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(told)s::json) AS row(gateway_id text, heard_at timestamptz)
), ended AS (
    UPDATE gateway_condition c
       SET ended_at = greatest(told.heard_at, c.first_heard_at)
      FROM told
     WHERE c.gateway_id = told.gateway_id AND c.ended_at IS NULL
       AND NOT EXISTS (SELECT FROM given g
                        WHERE (g.gateway_id, g.kind, g.device_id)
                              = (c.gateway_id, c.kind, c.device_id))
)
INSERT INTO gateway_condition AS known
       (gateway_id, kind, device_id, since, is_since_trusted, detail, first_heard_at)
SELECT gateway_id, kind, device_id, since, is_since_trusted, detail, heard_at FROM given
    ON CONFLICT (gateway_id, kind, device_id) WHERE ended_at IS NULL DO UPDATE
   SET since = excluded.since, is_since_trusted = excluded.is_since_trusted,
       detail = excluded.detail
 WHERE (excluded.is_since_trusted OR NOT known.is_since_trusted)
   AND (known.since, known.is_since_trusted, known.detail)
       IS DISTINCT FROM (excluded.since, excluded.is_since_trusted, excluded.detail)
"""

_EVENTS: Final = """
INSERT INTO gateway_event
       (gateway_id, id, at, is_at_trusted, kind, condition, device_id, detail, received_at)
SELECT gateway_id, id, at, is_at_trusted, kind, condition, device_id, detail, received_at
  FROM json_to_recordset(%s::json)
       AS row(gateway_id text, id uuid, at timestamptz, is_at_trusted boolean, kind text,
              condition text, device_id text, detail text, received_at timestamptz)
 ORDER BY gateway_id, id
    ON CONFLICT DO NOTHING
"""

# A broken or wicked gateway tells as much as it likes: of each the newest stay.
_TRIM_EVENTS: Final = """
DELETE FROM gateway_event e
 USING (SELECT gateway_id, id,
               row_number() OVER (PARTITION BY gateway_id ORDER BY received_at DESC, id) AS rank
          FROM gateway_event) AS ranked
 WHERE (e.gateway_id, e.id) = (ranked.gateway_id, ranked.id) AND ranked.rank > %s
"""

_TRIM_CONDITIONS: Final = """
DELETE FROM gateway_condition c
 USING (SELECT id, row_number() OVER (PARTITION BY gateway_id ORDER BY id DESC) AS rank
          FROM gateway_condition WHERE ended_at IS NOT NULL) AS ranked
 WHERE c.id = ranked.id AND ranked.rank > %s
"""

_LISTENING: Final = """
INSERT INTO gateway_listener AS known (since, last_at) VALUES (%(since)s, %(at)s)
    ON CONFLICT (is_current) DO UPDATE SET since = excluded.since, last_at = excluded.last_at
"""

_LISTENER: Final = "SELECT since, last_at FROM gateway_listener"

# The canary's stands in no home: it is shown where it is asked for, and counted nowhere.
_STANDING: Final = """
SELECT g.id, g.care_unit_id, s.is_online, s.heard_at, s.changed_at, s.said::text,
       coalesce((SELECT json_agg(json_build_object(
                            'kind', c.kind, 'device_id', nullif(c.device_id, ''),
                            'since', c.since, 'is_since_trusted', c.is_since_trusted,
                            'detail', c.detail)
                            ORDER BY c.since, c.id)::text
                   FROM gateway_condition c
                  WHERE c.gateway_id = g.id AND c.ended_at IS NULL), '[]'),
       (SELECT max(v.version) FROM gateway_configuration v WHERE v.gateway_id = g.id),
       s.configuration
  FROM gateway g
  JOIN care_unit u ON u.id = g.care_unit_id
  LEFT JOIN gateway_status s ON s.gateway_id = g.id
 WHERE g.id > %(after)s
   AND CASE WHEN %(id)s::text IS NULL THEN NOT u.is_synthetic ELSE g.id = %(id)s END
 ORDER BY g.id
 LIMIT %(most)s
"""

# The devices that stand there and those that the gateway speaks of; nobody's name.
_DEVICES: Final = """
SELECT d.id, d.gateway_id,
       (SELECT min(lower(a.valid)) FROM assignment a
         WHERE a.device_id = d.id AND a.valid @> %(now)s::timestamptz),
       EXISTS (SELECT FROM assignment a
                WHERE a.device_id = d.id AND a.valid @> %(now)s::timestamptz),
       (SELECT r.effective_at FROM device_record r
         WHERE r.device_id = d.id ORDER BY r.received_at DESC LIMIT 1)
  FROM device d
 WHERE d.gateway_id = %(gateway)s OR d.id = ANY(%(spoken_of)s)
 ORDER BY d.id
"""

_HISTORY: Final = """
SELECT kind, nullif(device_id, ''), since, is_since_trusted, ended_at, detail
  FROM gateway_condition
 WHERE gateway_id = %s AND ended_at IS NOT NULL
 ORDER BY id DESC
 LIMIT %s
"""

_LATEST_EVENTS: Final = """
SELECT at, is_at_trusted, kind, condition, device_id, detail, received_at
  FROM gateway_event
 WHERE gateway_id = %s
 ORDER BY received_at DESC, id
 LIMIT %s
"""


class StatusRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway says now; ``said`` is absent where it only says that it is away."""

    gateway_id: str
    is_online: bool
    heard_at: datetime
    configuration: int | None
    said: msgspec.Raw | None
    digest: bytes


class ConditionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong; ``device_id`` is empty for the gateway itself."""

    gateway_id: str
    kind: str
    device_id: str
    since: datetime
    is_since_trusted: bool
    detail: str | None
    heard_at: datetime


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    gateway_id: str
    id: UUID
    at: datetime
    is_at_trusted: bool
    kind: str
    condition: str | None
    device_id: str | None
    detail: str | None
    received_at: datetime


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    gateway_id: str
    heard_at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """A registered gateway's last status, as far as it decides what must be written."""

    gateway_id: str
    is_online: bool | None
    heard_at: datetime | None
    digest: bytes | None


class OpenCondition(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong now."""

    kind: str
    device_id: str | None
    since: datetime
    is_since_trusted: bool
    detail: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A registered gateway as it stands; without ``is_online`` it never said anything.

    ``issued`` is the newest configuration's version, ``configured`` the one that it says it has.
    """

    gateway_id: str
    care_unit_id: UUID
    is_online: bool | None
    heard_at: datetime | None
    changed_at: datetime | None
    said: str | None
    conditions: tuple[OpenCondition, ...]
    issued: int | None
    configured: int | None


@dataclass(frozen=True, slots=True)
class HomeDevice:
    """A device of a home, whether somebody has it and since when; never who."""

    id: str
    gateway_id: str | None
    assigned_since: datetime | None
    is_assigned: bool
    last_reading_at: datetime | None


@dataclass(frozen=True, slots=True)
class EndedCondition:
    """Something that was wrong."""

    kind: str
    device_id: str | None
    since: datetime
    is_since_trusted: bool
    ended_at: datetime
    detail: str | None


@dataclass(frozen=True, slots=True)
class PastEvent:
    """Something that happened."""

    at: datetime
    is_at_trusted: bool
    kind: str
    condition: str | None
    device_id: str | None
    detail: str | None
    received_at: datetime


_OPEN: Final = msgspec.json.Decoder(tuple[OpenCondition, ...])


async def known(connection: Connection, ids: Collection[str]) -> dict[str, Known]:
    """Return those of these gateways that are registered."""
    async with connection.cursor(row_factory=args_row(Known)) as cursor:
        await cursor.execute(_KNOWN, [list(ids)])
        return {row.gateway_id: row for row in await cursor.fetchall()}


async def touch(connection: Connection, ids: Collection[str], at: datetime) -> None:
    """Note that these said the same again."""
    await connection.execute(_TOUCH, {"ids": list(ids), "at": at})


async def put(
    connection: Connection,
    rows: Collection[StatusRow],
    conditions: Collection[ConditionRow],
    *,
    gap_s: int,
) -> None:
    """Write statuses that say something new, and begin and end conditions by them.

    A gateway that is away ends none of its conditions: nobody knows.

    Args:
        connection: Inside a transaction.
        rows: One for each gateway.
        conditions: What their statuses say is wrong.
        gap_s: Who was silent for longer is there anew.
    """
    await connection.execute(_PUT, {"rows": packed(rows), "gap": f"{gap_s} seconds"})
    told = [_Told(gateway_id=row.gateway_id, heard_at=row.heard_at) for row in rows if row.said]
    if told:
        values = {"conditions": packed(conditions), "told": packed(told)}
        await connection.execute(_CONDITIONS, values)


async def add_events(connection: Connection, rows: Collection[EventRow]) -> int:
    """Store events, each once, and return how many were new."""
    return (await connection.execute(_EVENTS, [packed(rows)])).rowcount


async def trim(connection: Connection, *, most: int) -> None:
    """Forget of each gateway all but its newest events and ended conditions."""
    await connection.execute(_TRIM_EVENTS, [most])
    await connection.execute(_TRIM_CONDITIONS, [most])


async def note_listening(connection: Connection, *, since: datetime, at: datetime) -> None:
    """Note that statuses come, and since when without a break."""
    await connection.execute(_LISTENING, {"since": since, "at": at})


async def listener(connection: Connection) -> tuple[datetime, datetime] | None:
    """Return since when statuses come without a break, and when that was last so."""
    row = await (await connection.execute(_LISTENER)).fetchone()
    return (row[0], row[1]) if row else None


async def page(
    connection: Connection, *, after: str = "", gateway_id: str | None = None, most: int = 200
) -> list[Standing]:
    """Return registered gateways in the order of their ids, those after ``after``, or one."""
    values = {"after": after, "id": gateway_id, "most": most}
    cursor = await connection.execute(_STANDING, values)
    return [
        Standing(
            row[0], row[1], row[2], row[3], row[4], row[5], _OPEN.decode(row[6]), row[7], row[8]
        )
        for row in await cursor.fetchall()
    ]


async def devices(
    connection: Connection, gateway_id: str, spoken_of: Collection[str], now: datetime
) -> list[HomeDevice]:
    """Return the known devices that stand with a gateway, or that it speaks of."""
    values = {"gateway": gateway_id, "spoken_of": list(spoken_of), "now": now}
    async with connection.cursor(row_factory=args_row(HomeDevice)) as cursor:
        await cursor.execute(_DEVICES, values)
        return await cursor.fetchall()


async def ended(connection: Connection, gateway_id: str, most: int) -> list[EndedCondition]:
    """Return what was wrong with a gateway, the newest first."""
    async with connection.cursor(row_factory=args_row(EndedCondition)) as cursor:
        await cursor.execute(_HISTORY, [gateway_id, most])
        return await cursor.fetchall()


async def events(connection: Connection, gateway_id: str, most: int) -> list[PastEvent]:
    """Return what happened to a gateway, the newest first."""
    async with connection.cursor(row_factory=args_row(PastEvent)) as cursor:
        await cursor.execute(_LATEST_EVENTS, [gateway_id, most])
        return await cursor.fetchall()
