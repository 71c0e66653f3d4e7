"""By which channels a unit's staff and the operator are told; nothing about patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.errors import ForeignKeyViolation, UniqueViolation
from psycopg.rows import args_row

from ingest_service.store.connections import Connection

_ADD: Final = """
INSERT INTO notification_channel (care_unit_id, recipient, kind, address, secret, language,
       priorities, hours, rank, decided_by, decided_at)
VALUES (%(care_unit)s, %(recipient)s, %(kind)s, %(address)s, %(secret)s, %(language)s,
        %(priorities)s, %(hours)s, %(rank)s, %(by)s, %(at)s)
RETURNING id
"""

_END: Final = """
UPDATE notification_channel
   SET is_active = false, ended_by = %(by)s, ended_at = %(at)s
 WHERE id = %(id)s AND is_active
"""

_ALL: Final = """
SELECT id, care_unit_id, recipient, kind, address, secret, language, priorities, hours, rank,
       is_active
  FROM notification_channel
 WHERE is_active OR %(all)s
 ORDER BY care_unit_id NULLS FIRST, recipient, rank, id
"""

_ONE: Final = """
SELECT id, care_unit_id, recipient, kind, address, secret, language, priorities, hours, rank,
       is_active
  FROM notification_channel
 WHERE id = %s
"""

_OF_ROLES: Final = """
SELECT c.id, c.care_unit_id, c.recipient, c.kind, c.address, c.secret, c.language, c.priorities,
       c.hours, c.rank, c.is_active
  FROM notification_channel c
 WHERE c.is_active
   AND (c.recipient = 'operator' OR c.care_unit_id = ANY(%s))
 ORDER BY c.rank, c.id
"""


class ChannelError(ValueError):
    """The channel cannot be added; the text says why."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to tell one role of one unit; without a unit it is the platform's operator."""

    id: int
    care_unit_id: UUID | None
    recipient: str
    kind: str
    address: str
    secret: str | None
    language: str
    priorities: Sequence[str]
    hours: str
    rank: int
    is_active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChannel:
    """A channel that somebody decided on."""

    care_unit_id: UUID | None
    recipient: str
    kind: str
    address: str
    secret: str | None
    language: str
    priorities: Sequence[str]
    hours: str
    rank: int


async def add(connection: Connection, channel: NewChannel, *, by: str, at: datetime) -> int:
    """Add a channel and return its number.

    Raises:
        ChannelError: If there is no such unit, or an active channel of that address already.
    """
    try:
        async with connection.transaction():
            cursor = await connection.execute(
                _ADD,
                {
                    "care_unit": channel.care_unit_id,
                    "recipient": channel.recipient,
                    "kind": channel.kind,
                    "address": channel.address,
                    "secret": channel.secret,
                    "language": channel.language,
                    "priorities": list(channel.priorities),
                    "hours": channel.hours,
                    "rank": channel.rank,
                    "by": by,
                    "at": at,
                },
            )
            row = await cursor.fetchone()
    except ForeignKeyViolation as error:
        raise ChannelError(f"There is no care unit {channel.care_unit_id}.") from error
    except UniqueViolation as error:
        raise ChannelError(
            "That role of that unit has an active channel with this address already: "
            "disable it first to change something about it."
        ) from error
    return row[0] if row else 0


async def end(connection: Connection, channel_id: int, *, by: str, at: datetime) -> bool:
    """Use a channel no more; tells whether it was in use."""
    cursor = await connection.execute(_END, {"id": channel_id, "by": by, "at": at})
    return cursor.rowcount == 1


async def everyone(connection: Connection, *, is_all: bool = False) -> list[Channel]:
    """Return the channels in use, or all that there ever were."""
    async with connection.cursor(row_factory=args_row(Channel)) as cursor:
        await cursor.execute(_ALL, {"all": is_all})
        return await cursor.fetchall()


async def one(connection: Connection, channel_id: int) -> Channel | None:
    """Return a channel, in use or not."""
    async with connection.cursor(row_factory=args_row(Channel)) as cursor:
        await cursor.execute(_ONE, [channel_id])
        return await cursor.fetchone()


async def of_units(connection: Connection, care_units: Sequence[UUID]) -> list[Channel]:
    """Return the channels in use of these units and of the operator, by rank."""
    async with connection.cursor(row_factory=args_row(Channel)) as cursor:
        await cursor.execute(_OF_ROLES, [list(care_units)])
        return await cursor.fetchall()
