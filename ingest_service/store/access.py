"""Who may look: EHR systems and signed-in staff, and the log of what they saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from ingest_service.store.callers import Caller

_CLIENT = """
SELECT id, name, care_unit_ids, scopes
  FROM api_client
 WHERE id = %(id)s
   AND NOT is_revoked
"""

_ADD_CLIENT = """
INSERT INTO api_client (id, name, care_unit_ids, scopes)
SELECT %(id)s, %(name)s, array_agg(id), %(scopes)s
  FROM care_unit
 WHERE hsa_id = ANY(%(hsa_ids)s)
HAVING count(*) = cardinality(%(hsa_ids)s)
    ON CONFLICT (id) DO UPDATE
   SET name = excluded.name, care_unit_ids = excluded.care_unit_ids,
       scopes = excluded.scopes, is_revoked = false
"""

_UNIT = "SELECT id FROM care_unit WHERE hsa_id = %(hsa_id)s"

_OPEN = """
INSERT INTO web_session
       (cookie_digest, subject, name, hsa_id, care_unit_id, purpose, roles, created_at, seen_at,
        ends_at)
VALUES (%(cookie_digest)s, %(subject)s, %(name)s, %(hsa_id)s, %(care_unit_id)s, %(purpose)s,
        %(roles)s, %(created_at)s, %(seen_at)s, %(ends_at)s)
"""

_SESSION = """
SELECT s.cookie_digest, s.subject, s.name, s.hsa_id, s.care_unit_id, s.purpose, s.roles,
       s.created_at, s.seen_at, s.ends_at, s.logged_patients,
       u.name AS unit_name, p.name AS provider_name
  FROM web_session s
  JOIN care_unit u ON u.id = s.care_unit_id
  JOIN care_provider p ON p.id = u.care_provider_id
 WHERE cookie_digest = %(cookie_digest)s
   AND seen_at > %(seen_after)s
   AND created_at > %(created_after)s
"""

_SEEN = """
UPDATE web_session SET seen_at = %(at)s, ends_at = %(ends_at)s
 WHERE cookie_digest = %(cookie_digest)s
"""
_LOGGED = """
UPDATE web_session SET logged_patients = %(patients)s WHERE cookie_digest = %(cookie_digest)s
"""
_CLOSE = "DELETE FROM web_session WHERE cookie_digest = %(cookie_digest)s RETURNING hsa_id"
_SWEEP = (
    "DELETE FROM web_session WHERE seen_at <= %(seen_after)s OR created_at <= %(created_after)s"
)

_LOG = """
INSERT INTO access_log
       (actor, actor_kind, care_unit_id, purpose, action, patient_ids, trace_id)
VALUES (%(actor)s, %(actor_kind)s, %(care_unit_id)s, %(purpose)s, %(action)s, %(patient_ids)s,
        %(trace_id)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered EHR system; ``scopes`` are SMART scopes, separated by spaces."""

    id: str
    name: str
    care_unit_ids: list[UUID]
    scopes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """What a sign-in stores; of the cookie only its digest."""

    cookie_digest: bytes
    subject: str
    name: str
    hsa_id: str
    care_unit_id: UUID
    purpose: str
    roles: list[str]
    created_at: datetime
    seen_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(NewSession):
    """A live session, where it is, and the patients its last entry in the access log names."""

    unit_name: str
    provider_name: str
    logged_patients: list[UUID]


async def client(connection: AsyncConnection, client_id: str) -> Client | None:
    """Return a registered EHR system, or None if there is none or it is revoked."""
    async with connection.cursor(row_factory=class_row(Client)) as cursor:
        await cursor.execute(_CLIENT, {"id": client_id})
        return await cursor.fetchone()


async def add_client(
    connection: AsyncConnection,
    *,
    client_id: str,
    name: str,
    unit_hsa_ids: Sequence[str],
    scopes: str,
) -> bool:
    """Register an EHR system for these care units, or change what it is registered for.

    Returns:
        Whether it was done; not done if one of the units is unknown.
    """
    cursor = await connection.execute(
        _ADD_CLIENT,
        {"id": client_id, "name": name, "hsa_ids": sorted(set(unit_hsa_ids)), "scopes": scopes},
    )
    return cursor.rowcount == 1


async def unit_of(connection: AsyncConnection, hsa_id: str) -> UUID | None:
    """Return the care unit with that HSA-id."""
    cursor = await connection.execute(_UNIT, {"hsa_id": hsa_id})
    row = await cursor.fetchone()
    return row[0] if row else None


async def open_session(connection: AsyncConnection, session: NewSession) -> None:
    """Store a session that a sign-in opened."""
    await connection.execute(
        _OPEN,
        {
            "cookie_digest": session.cookie_digest,
            "subject": session.subject,
            "name": session.name,
            "hsa_id": session.hsa_id,
            "care_unit_id": session.care_unit_id,
            "purpose": session.purpose,
            "roles": session.roles,
            "created_at": session.created_at,
            "seen_at": session.seen_at,
            "ends_at": session.ends_at,
        },
    )


async def session(
    connection: AsyncConnection,
    cookie_digest: bytes,
    *,
    seen_after: datetime,
    created_after: datetime,
) -> Session | None:
    """Return the session of a cookie unless it has been idle, or alive, for too long."""
    async with connection.cursor(row_factory=class_row(Session)) as cursor:
        await cursor.execute(
            _SESSION,
            {
                "cookie_digest": cookie_digest,
                "seen_after": seen_after,
                "created_after": created_after,
            },
        )
        return await cursor.fetchone()


async def see_session(
    connection: AsyncConnection, cookie_digest: bytes, at: datetime, *, ends_at: datetime
) -> None:
    """Note that a person used the session, and until when it lives without further use."""
    values = {"cookie_digest": cookie_digest, "at": at, "ends_at": ends_at}
    await connection.execute(_SEEN, values)


async def close_session(connection: AsyncConnection, cookie_digest: bytes) -> str | None:
    """End a session and return whose it was; no row is no error."""
    cursor = await connection.execute(_CLOSE, {"cookie_digest": cookie_digest})
    row = await cursor.fetchone()
    return row[0] if row else None


async def sweep_sessions(
    connection: AsyncConnection, *, seen_after: datetime, created_after: datetime
) -> None:
    """Delete the sessions that `session` would no longer return."""
    await connection.execute(_SWEEP, {"seen_after": seen_after, "created_after": created_after})


async def log(
    connection: AsyncConnection, caller: Caller, *, action: str, patient_ids: Sequence[UUID]
) -> None:
    """Write one row of the access log in the transaction that reads what it tells of."""
    await connection.execute(
        _LOG,
        {
            "actor": caller.actor,
            "actor_kind": caller.kind,
            "care_unit_id": caller.care_unit_ids[0] if caller.kind == "staff" else None,
            "purpose": caller.purpose,
            "action": action,
            "patient_ids": list(patient_ids),
            "trace_id": caller.trace_id,
        },
    )


async def log_list(
    connection: AsyncConnection, caller: Caller, session: Session, patient_ids: Sequence[UUID]
) -> None:
    """Log a list view if it shows other patients than the session's last such entry names.

    A list that is looked at again each minute would drown the log (SCENARIOS B6).
    """
    shown = sorted(set(patient_ids))
    if shown == session.logged_patients:
        return
    await log(connection, caller, action="worklist", patient_ids=shown)
    await connection.execute(_LOGGED, {"patients": shown, "cookie_digest": session.cookie_digest})
