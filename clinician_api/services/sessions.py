"""Sessions of signed-in staff: opened, found again by cookie, ended."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from clinician_api.errors import SignInNeededError, UnknownUnitError
from clinician_api.roles import Role
from ingest_service.store import access
from ingest_service.store.access import NewSession, Session
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Commission:
    """Whom the identity provider vouches for, and the commission they chose.

    ``unit_hsa_id`` is the HSA-id of the care unit that the commission is for; ``roles`` are the
    system roles that HSA gives them here.
    """

    subject: str
    name: str
    employee_hsa_id: str
    unit_hsa_id: str
    purpose: str
    roles: tuple[Role, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """How long a session lives without use, and at most."""

    idle: timedelta
    most: timedelta

    def ends_at(self, created_at: datetime, seen_at: datetime) -> datetime:
        """Return when a session ends that is not used any more."""
        return min(created_at + self.most, seen_at + self.idle)


async def open_session(
    connection: Connection, commission: Commission, duration: Duration, *, now: datetime
) -> str:
    """Open a session and return its cookie, of which only the digest is stored.

    Raises:
        UnknownUnitError: If the commission's unit does not use this service.
    """
    unit_id = await access.unit_of(connection, commission.unit_hsa_id)
    if unit_id is None:
        raise UnknownUnitError("the commission's care unit does not use this service")
    cookie = secrets.token_urlsafe(32)
    await access.open_session(
        connection,
        NewSession(
            cookie_digest=_digest(cookie),
            subject=commission.subject,
            name=commission.name,
            hsa_id=commission.employee_hsa_id,
            care_unit_id=unit_id,
            purpose=commission.purpose,
            roles=[role.value for role in commission.roles],
            created_at=now,
            seen_at=now,
            ends_at=duration.ends_at(now, now),
        ),
    )
    return cookie


async def find(
    connection: Connection,
    cookie: str | None,
    duration: Duration,
    *,
    now: datetime,
    is_used: bool,
) -> Session:
    """Return the live session of a cookie.

    Args:
        connection: An open transaction.
        cookie: What the browser sent.
        duration: How long sessions live.
        now: The current time.
        is_used: A person did something; a page that refreshes itself keeps nobody signed in.

    Raises:
        SignInNeededError: If there is none, or it has ended.
    """
    found = cookie and await access.session(
        connection,
        _digest(cookie),
        seen_after=now - duration.idle,
        created_after=now - duration.most,
    )
    if not found:
        raise SignInNeededError("sign in first")
    if is_used:
        ends_at = duration.ends_at(found.created_at, now)
        await access.see_session(connection, found.cookie_digest, now, ends_at=ends_at)
    return found


async def close(
    connection: Connection, cookie: str | None, duration: Duration, *, now: datetime
) -> str | None:
    """End the session of a cookie, sweep away those that have run out, return whose it was."""
    closed = None if cookie is None else await access.close_session(connection, _digest(cookie))
    await access.sweep_sessions(
        connection, seen_after=now - duration.idle, created_after=now - duration.most
    )
    return closed


def caller(session: Session, *, trace_id: str) -> Caller:
    """Return who asks, for the store and the access log."""
    return Caller(
        actor=session.hsa_id,
        kind="staff",
        care_unit_ids=(session.care_unit_id,),
        purpose=session.purpose,
        trace_id=trace_id,
    )


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
