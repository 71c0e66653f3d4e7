"""One-time codes for gateways, and the log of what was asked with them and with certificates."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from ingest_service.store.connections import Connection

_IS_REGISTERED: Final = "SELECT EXISTS (SELECT FROM gateway WHERE id = %s)"

# One at a time for each gateway: issuing, renewing, revoking and the making of codes.
_ALONE: Final = "SELECT pg_advisory_xact_lock(hashtextextended('enrolment ' || %s, 0))"

_VOID: Final = """
UPDATE enrolment_code SET voided_at = %(at)s
 WHERE gateway_id = %(gateway_id)s AND used_at IS NULL AND voided_at IS NULL
"""

_ADD: Final = """
INSERT INTO enrolment_code (digest, gateway_id, decided_by, made_at, expires_at)
VALUES (%(digest)s, %(gateway_id)s, %(decided_by)s, %(at)s, %(expires_at)s)
"""

_FIND: Final = """
SELECT id, gateway_id, expires_at, voided_at, used_at FROM enrolment_code WHERE digest = %s
"""

_USE: Final = "UPDATE enrolment_code SET used_at = %(at)s WHERE id = %(id)s AND used_at IS NULL"

_NOTE: Final = """
INSERT INTO enrolment_event (at, event, cause, gateway_id, serial, decided_by, trace_id)
VALUES (%(at)s, %(event)s, %(cause)s, %(gateway_id)s, %(serial)s, %(decided_by)s, %(trace_id)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A code that was made; what it reads is known to whoever was given it."""

    id: int
    gateway_id: str
    expires_at: datetime
    voided_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the log; ``event`` is code, enrol, renew or revoke."""

    at: datetime
    event: str
    cause: str | None = None
    gateway_id: str | None = None
    serial: str | None = None
    decided_by: str | None = None
    trace_id: str | None = None


async def is_registered(connection: Connection, gateway_id: str) -> bool:
    """Tell whether there is such a gateway."""
    cursor = await connection.execute(_IS_REGISTERED, [gateway_id])
    row = await cursor.fetchone()
    return bool(row and row[0])


async def enter(connection: Connection, gateway_id: str) -> None:
    """Wait until nobody else decides about this gateway; held to the end of the transaction."""
    await connection.execute(_ALONE, [gateway_id])


async def void(connection: Connection, gateway_id: str, at: datetime) -> None:
    """End the gateway's unused codes."""
    await connection.execute(_VOID, {"gateway_id": gateway_id, "at": at})


async def add(
    connection: Connection,
    digest: bytes,
    *,
    gateway_id: str,
    decided_by: str,
    at: datetime,
    expires_at: datetime,
) -> None:
    """Store a new code; the gateway has no other unused one (`void`)."""
    await connection.execute(
        _ADD,
        {
            "digest": digest,
            "gateway_id": gateway_id,
            "decided_by": decided_by,
            "at": at,
            "expires_at": expires_at,
        },
    )


async def find(connection: Connection, digest: bytes) -> Code | None:
    """Return the code with this digest."""
    async with connection.cursor(row_factory=class_row(Code)) as cursor:
        await cursor.execute(_FIND, [digest])
        return await cursor.fetchone()


async def use(connection: Connection, code_id: int, at: datetime) -> None:
    """Mark a code as used."""
    await connection.execute(_USE, {"id": code_id, "at": at})


async def note(connection: Connection, event: Event) -> None:
    """Write one line of the log."""
    await connection.execute(_NOTE, asdict(event))
