"""What gateways were told to do: every version with who decided, and what has reached whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import args_row

from ingest_service.store.connections import Connection

# One at a time for each gateway: versions are counted.
_ALONE: Final = "SELECT pg_advisory_xact_lock(hashtextextended('configuration ' || %s, 0))"

_LATEST: Final = """
SELECT g.id, c.version, c.issued_at, c.follows_assignments, c.content::text, s.configuration
  FROM gateway g
  LEFT JOIN gateway_status s ON s.gateway_id = g.id
  LEFT JOIN LATERAL (SELECT * FROM gateway_configuration v
                      WHERE v.gateway_id = g.id ORDER BY v.version DESC LIMIT 1) AS c ON true
 WHERE g.id = %s
"""

_NEWEST: Final = """
SELECT content::text FROM gateway_configuration WHERE gateway_id = %s ORDER BY version DESC LIMIT 1
"""

_ASSIGNED: Final = """
SELECT d.id
  FROM device d
 WHERE d.gateway_id = %(gateway)s
   AND EXISTS (SELECT FROM assignment a
                WHERE a.device_id = d.id AND a.valid @> %(now)s::timestamptz)
 ORDER BY d.id
"""

_ADD: Final = """
INSERT INTO gateway_configuration
       (gateway_id, version, issued_at, decided_by, follows_assignments, pairing_until, content)
VALUES (%(gateway)s, %(version)s, %(at)s, %(by)s, %(follows)s, %(pairing_until)s, %(body)s::jsonb)
"""

# Those whose newest configuration follows the assignments and names other devices than these; and
# those that have a newer one than we know of, as after a restore of this database.
_STALE: Final = """
SELECT c.gateway_id
  FROM gateway g
 CROSS JOIN LATERAL (SELECT * FROM gateway_configuration v
                      WHERE v.gateway_id = g.id ORDER BY v.version DESC LIMIT 1) AS c
  LEFT JOIN gateway_status s ON s.gateway_id = g.id
 WHERE c.follows_assignments
       AND ARRAY(SELECT d.id COLLATE "C" FROM device d
                  WHERE d.gateway_id = c.gateway_id AND d.id ~ %(address)s
                    AND EXISTS (SELECT FROM assignment a
                                 WHERE a.device_id = d.id AND a.valid @> %(now)s::timestamptz)
                  ORDER BY 1 LIMIT %(most_devices)s)
           IS DISTINCT FROM
           ARRAY(SELECT (one ->> 'id') COLLATE "C"
                   FROM jsonb_array_elements(coalesce(c.content -> 'devices', '[]')) AS one
                  ORDER BY 1)
    OR s.configuration > c.version AND s.configuration < %(most_version)s
       AND c.issued_at < %(now)s - INTERVAL '1 hour'
 ORDER BY c.gateway_id
 LIMIT %(most)s
"""

# Never published; or published with a pairing window that has closed since; or its gateway is
# there and does not have it, which is tried again less and less often: its broker may have lost
# what it retained, and the gateway may have lost its disk or refuse it.
_DUE: Final = """
SELECT c.gateway_id, c.version, c.content::text
  FROM gateway g
 CROSS JOIN LATERAL (SELECT * FROM gateway_configuration v
                      WHERE v.gateway_id = g.id ORDER BY v.version DESC LIMIT 1) AS c
  LEFT JOIN gateway_status s ON s.gateway_id = g.id
 WHERE c.published_at IS NULL
    OR c.published_at < c.pairing_until AND c.pairing_until <= %(now)s
    OR s.is_online AND (s.configuration IS NULL OR s.configuration < c.version)
       AND c.published_at < %(now)s - greatest(%(pause)s::interval,
                                               least((%(now)s - c.issued_at) / 8,
                                                     INTERVAL '6 hours'))
 ORDER BY c.gateway_id
 LIMIT %(most)s
"""

_PUBLISHED: Final = """
UPDATE gateway_configuration SET published_at = %(at)s
 WHERE gateway_id = %(gateway)s AND version = %(version)s
"""


@dataclass(frozen=True, slots=True)
class Latest:
    """A registered gateway's newest configuration, if it ever had one.

    ``reported`` is the version that the gateway itself says it has.
    """

    gateway_id: str
    version: int | None
    issued_at: datetime | None
    follows_assignments: bool | None
    body: str | None
    reported: int | None


@dataclass(frozen=True, slots=True)
class Due:
    """A configuration that the broker has to get."""

    gateway_id: str
    version: int
    body: str


async def latest(connection: Connection, gateway_id: str) -> Latest | None:
    """Return a gateway's newest configuration, or nothing if no such gateway is registered.

    Held to the end of the transaction: nobody makes another version meanwhile.
    """
    await connection.execute(_ALONE, [gateway_id])
    async with connection.cursor(row_factory=args_row(Latest)) as cursor:
        await cursor.execute(_LATEST, [gateway_id])
        return await cursor.fetchone()


async def newest_body(connection: Connection, gateway_id: str) -> str | None:
    """Return a gateway's newest configuration as JSON, if it ever had one."""
    row = await (await connection.execute(_NEWEST, [gateway_id])).fetchone()
    return row[0] if row else None


async def assigned(connection: Connection, gateway_id: str, now: datetime) -> list[str]:
    """Return the devices that stand with this gateway and that somebody has now."""
    cursor = await connection.execute(_ASSIGNED, {"gateway": gateway_id, "now": now})
    return [row[0] for row in await cursor.fetchall()]


async def add(
    connection: Connection,
    gateway_id: str,
    *,
    version: int,
    at: datetime,
    by: str,
    follows_assignments: bool,
    pairing_until: datetime | None,
    body: bytes,
) -> None:
    """Write the next version; under the lock of `latest`."""
    values = {
        "gateway": gateway_id,
        "version": version,
        "at": at,
        "by": by,
        "follows": follows_assignments,
        "pairing_until": pairing_until,
        "body": body.decode(),
    }
    await connection.execute(_ADD, values)


async def stale(
    connection: Connection,
    *,
    now: datetime,
    address: str,
    most_devices: int,
    most_version: int,
    most: int,
) -> list[str]:
    """Return gateways that need another version though nobody asked for one."""
    values = {
        "now": now,
        "address": address,
        "most_devices": most_devices,
        "most_version": most_version,
        "most": most,
    }
    cursor = await connection.execute(_STALE, values)
    return [row[0] for row in await cursor.fetchall()]


async def due(connection: Connection, *, now: datetime, pause_s: int, most: int) -> list[Due]:
    """Return configurations that the broker has to get, again or for the first time."""
    values = {"now": now, "pause": f"{pause_s} seconds", "most": most}
    async with connection.cursor(row_factory=args_row(Due)) as cursor:
        await cursor.execute(_DUE, values)
        return await cursor.fetchall()


async def note_published(
    connection: Connection, gateway_id: str, version: int, at: datetime
) -> None:
    """Note that the broker has it."""
    values = {"gateway": gateway_id, "version": version, "at": at}
    await connection.execute(_PUBLISHED, values)
