"""The canary: up to when its readings are known to have come through, and the patient it is of."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from psycopg import AsyncConnection, OperationalError
from psycopg.rows import args_row

from ingest_service.store.connections import Connection

# What was seen before is never taken back: a reading that was there may be gone by now.
_LOOK: Final = """
INSERT INTO canary_pass AS known (at, stored_to, judged_to)
SELECT %(now)s, greatest(seen.stored_to, last.stored_to), greatest(seen.judged_to, last.judged_to)
  FROM canary_seen(%(since)s) AS seen
  LEFT JOIN (SELECT stored_to, judged_to FROM canary_pass ORDER BY at DESC LIMIT 1) AS last ON true
    ON CONFLICT (at) DO UPDATE
   SET stored_to = greatest(known.stored_to, excluded.stored_to),
       judged_to = greatest(known.judged_to, excluded.judged_to)
RETURNING at, stored_to, judged_to
"""

# To the microsecond, so that whoever hears it can tell one reading from the next.
_TELL: Final = """
SELECT pg_notify('canary', to_char(%s::timestamptz AT TIME ZONE 'UTC',
                                   'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
"""

_NEWEST: Final = "SELECT at, stored_to, judged_to FROM canary_pass ORDER BY at DESC LIMIT 1"

# The canary says each minute that it is there, as every gateway does.
_HEARD: Final = """
SELECT max(s.heard_at)
  FROM gateway g
  JOIN care_unit u ON u.id = g.care_unit_id
  JOIN gateway_status s ON s.gateway_id = g.id
 WHERE u.is_synthetic
"""

_FORGET: Final = """
DELETE FROM canary_pass WHERE at < %s AND at < (SELECT max(at) FROM canary_pass)
"""

_PRUNE: Final = "SELECT canary_prune(%(before)s, %(alerts_before)s, %(most)s)"

_UNIT: Final = """
WITH provider AS (
    INSERT INTO care_provider (id, hsa_id, name) VALUES (%(provider)s, %(hsa_id)s, %(name)s)
        ON CONFLICT (id) DO NOTHING
)
INSERT INTO care_unit (id, care_provider_id, hsa_id, name, is_synthetic)
VALUES (%(unit)s, %(provider)s, %(hsa_id)s, %(name)s, true)
    ON CONFLICT (id) DO NOTHING
"""

_NOBODY: Final = """
INSERT INTO patient (id, care_unit_id, identifier_system, identifier_value, family, given,
       is_synthetic)
VALUES (%(patient)s, %(unit)s, %(system)s, %(value)s, %(name)s, %(name)s, true)
    ON CONFLICT (id) DO NOTHING
"""

_LISTEN: Final = "LISTEN canary"
_PING: Final = "SELECT 1"
_IDLE_S: Final = 5.0
_AGAIN_S: Final = 1.0
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@dataclass(frozen=True, slots=True)
class Pass:
    """What the jobs saw: when they looked, and up to when readings are stored and judged."""

    at: datetime
    stored_to: datetime | None
    judged_to: datetime | None


async def look(connection: Connection, *, now: datetime, since: datetime) -> Pass:
    """Write down what is seen of the canary now, and tell the pages at commit.

    Args:
        connection: In a transaction of the jobs' role.
        now: The time it is.
        since: Readings older than that are not looked for.
    """
    async with connection.cursor(row_factory=args_row(Pass)) as cursor:
        await cursor.execute(_LOOK, {"now": now, "since": since})
        seen = await cursor.fetchone()
    if seen is None:
        raise LookupError("canary_pass: what was written gave no row")
    if seen.judged_to is not None:
        await connection.execute(_TELL, [seen.judged_to])
    return seen


async def newest(connection: Connection) -> Pass | None:
    """Return what the jobs saw last, or nothing where they never looked."""
    async with connection.cursor(row_factory=args_row(Pass)) as cursor:
        await cursor.execute(_NEWEST)
        return await cursor.fetchone()


async def age(connection: Connection, now: datetime) -> timedelta | None:
    """Return how old the newest reading is that came through; nothing where none ever did.

    For the pages: above three minutes, readings do not come through, whatever else seems to work.
    """
    seen = await newest(connection)
    if seen is None or seen.judged_to is None:
        return None
    return max(now - seen.judged_to, timedelta())


async def heard_at(connection: Connection) -> datetime | None:
    """Return when the canary's gateway last said that it is there."""
    row = await (await connection.execute(_HEARD)).fetchone()
    return row[0] if row else None


async def prune(
    connection: Connection, *, before: datetime, alerts_before: datetime, most: int
) -> int:
    """Delete the canary's readings measured before, and its alerts raised before.

    Nobody else's: the function of the database that does it knows no other patient.

    Returns:
        How many records went, at most ``most``.
    """
    values = {"before": before, "alerts_before": alerts_before, "most": most}
    cursor = await connection.execute(_PRUNE, values)
    await connection.execute(_FORGET, [before])
    row = await cursor.fetchone()
    return row[0] if row else 0


async def put_nobody(
    connection: Connection,
    *,
    provider: UUID,
    unit: UUID,
    patient: UUID,
    hsa_id: str,
    name: str,
    identifier: tuple[str, str],
) -> None:
    """Write the unit that is none and the patient that is nobody, unless they are there."""
    system, value = identifier
    await connection.execute(
        _UNIT, {"provider": provider, "unit": unit, "hsa_id": hsa_id, "name": name}
    )
    await connection.execute(
        _NOBODY,
        {"patient": patient, "unit": unit, "system": system, "value": value, "name": name},
    )


async def passes(dsn: str) -> AsyncGenerator[datetime | None]:
    """Yield the newest reading's time that came through, as soon as the jobs tell it.

    First what is known already; after a lost connection anew. ``None`` says that nothing is known
    or heard now. Never ends by itself.
    """
    while True:
        try:
            async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
                await connection.execute(_LISTEN)
                seen = await newest(connection)
                yield seen.judged_to if seen else None
                while True:
                    async for notification in connection.notifies(timeout=_IDLE_S):
                        if _TIME.fullmatch(notification.payload):
                            yield datetime.fromisoformat(notification.payload)
                    await connection.execute(_PING)
        except OperationalError:
            yield None
            await asyncio.sleep(_AGAIN_S)
