"""Gateways' certificates: which were issued, which of them still count, and the signed list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from ingest_service.store.connections import Connection

_BY_FINGERPRINT: Final = """
SELECT serial, gateway_id, generation, code_id, renewed_from, key_digest, fingerprint, certificate,
       issued_at, not_after, revoked_at
  FROM gateway_certificate
 WHERE fingerprint = %s
"""

_BY_KEY: Final = """
SELECT serial, gateway_id, generation, code_id, renewed_from, key_digest, fingerprint, certificate,
       issued_at, not_after, revoked_at
  FROM gateway_certificate
 WHERE key_digest = %s
"""

_LATEST: Final = """
SELECT coalesce(max(generation), 0) FROM gateway_certificate WHERE gateway_id = %s
"""

# A later certificate that was not issued for this one: its successor was renewed, or another
# successor of the certificate before it was, or the gateway was enrolled anew.
_IS_SUPERSEDED: Final = """
SELECT EXISTS (SELECT FROM gateway_certificate
                WHERE gateway_id = %(gateway_id)s AND generation > %(generation)s
                  AND renewed_from IS DISTINCT FROM %(serial)s)
"""

_CHILDREN: Final = """
SELECT count(*) FROM gateway_certificate
 WHERE renewed_from = %(serial)s AND revoked_at IS NULL AND not_after > %(now)s
"""

_ADD: Final = """
INSERT INTO gateway_certificate (serial, gateway_id, generation, code_id, renewed_from, key_digest,
       fingerprint, certificate, issued_at, not_after)
VALUES (%(serial)s, %(gateway_id)s, %(generation)s, %(code_id)s, %(renewed_from)s, %(key_digest)s,
        %(fingerprint)s, %(certificate)s, %(issued_at)s, %(not_after)s)
"""

# Those that have ended too: within the grace period they could be renewed.
_REVOKE: Final = """
UPDATE gateway_certificate
   SET revoked_at = %(at)s, revoked_by = %(by)s, revoked_why = %(why)s
 WHERE gateway_id = %(gateway_id)s AND revoked_at IS NULL
RETURNING serial
"""

_REVOKED: Final = """
SELECT serial, revoked_at FROM gateway_certificate
 WHERE revoked_at IS NOT NULL AND not_after > %(ending_after)s
 ORDER BY revoked_at, serial
"""

_CUT: Final = """
SELECT gateway_id, max(revoked_at) AS revoked_at,
       bool_or(revoked_at IS NULL AND not_after > %(now)s) AS has_other
  FROM gateway_certificate
 WHERE not_after > %(now)s
 GROUP BY gateway_id
HAVING max(revoked_at) IS NOT NULL
 ORDER BY gateway_id
"""

_ROWS: Final = """
SELECT gateway.id AS gateway_id, last.serial, first.issued_at AS enrolled_at,
       last.issued_at AS renewed_at, last.not_after, last.revoked_at, last.revoked_by,
       last.revoked_why, code.expires_at AS code_until
  FROM gateway
  LEFT JOIN LATERAL (
       SELECT * FROM gateway_certificate WHERE gateway_id = gateway.id
        ORDER BY generation DESC, issued_at DESC LIMIT 1) AS last ON true
  LEFT JOIN LATERAL (
       SELECT issued_at FROM gateway_certificate
        WHERE gateway_id = gateway.id AND code_id IS NOT NULL
        ORDER BY generation DESC LIMIT 1) AS first ON true
  LEFT JOIN enrolment_code AS code
    ON code.gateway_id = gateway.id AND code.used_at IS NULL AND code.voided_at IS NULL
   AND code.expires_at > %(now)s
 ORDER BY gateway.id
"""

_LIST: Final = "SELECT number, signed_at, content FROM revocation_list"

# Whoever signs holds this row, so that a list with fewer entries never follows one with more.
_LOCK_LIST: Final = (
    "SELECT pg_advisory_xact_lock(hashtextextended('enrolment revocation list', 0))"
)

_KEEP_LIST: Final = """
INSERT INTO revocation_list (number, signed_at, content)
VALUES (%(number)s, %(signed_at)s, %(content)s)
    ON CONFLICT (is_only) DO UPDATE
   SET number = excluded.number, signed_at = excluded.signed_at, content = excluded.content
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCertificate:
    """A certificate to be stored; ``certificate`` is DER."""

    serial: str
    gateway_id: str
    generation: int
    code_id: int | None
    renewed_from: str | None
    key_digest: bytes
    fingerprint: bytes
    certificate: bytes
    issued_at: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate(NewCertificate):
    """A certificate that was issued."""

    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """A certificate that is to be refused."""

    serial: str
    revoked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """A gateway with a revoked certificate; ``has_other`` where it has a good one too."""

    gateway_id: str
    revoked_at: datetime
    has_other: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRow:
    """How one registered gateway stands; all but its id may be missing."""

    gateway_id: str
    serial: str | None
    enrolled_at: datetime | None
    renewed_at: datetime | None
    not_after: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_why: str | None
    code_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """The list as it was signed last, in PEM."""

    number: int
    signed_at: datetime
    content: str


async def by_fingerprint(connection: Connection, fingerprint: bytes) -> Certificate | None:
    """Return the certificate with this SHA-256 digest."""
    async with connection.cursor(row_factory=class_row(Certificate)) as cursor:
        await cursor.execute(_BY_FINGERPRINT, [fingerprint])
        return await cursor.fetchone()


async def by_key(connection: Connection, key_digest: bytes) -> Certificate | None:
    """Return the certificate of this public key; each key has one at most."""
    async with connection.cursor(row_factory=class_row(Certificate)) as cursor:
        await cursor.execute(_BY_KEY, [key_digest])
        return await cursor.fetchone()


async def latest_generation(connection: Connection, gateway_id: str) -> int:
    """Return the highest generation of a gateway's certificates; 0 if it has none."""
    cursor = await connection.execute(_LATEST, [gateway_id])
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def is_superseded(connection: Connection, certificate: Certificate) -> bool:
    """Tell whether the gateway has gone on without this certificate."""
    cursor = await connection.execute(
        _IS_SUPERSEDED,
        {
            "gateway_id": certificate.gateway_id,
            "generation": certificate.generation,
            "serial": certificate.serial,
        },
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def living_children(connection: Connection, serial: str, now: datetime) -> int:
    """Return how many certificates that still count were issued for this one."""
    cursor = await connection.execute(_CHILDREN, {"serial": serial, "now": now})
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def add(connection: Connection, certificate: NewCertificate) -> None:
    """Store a certificate that was issued."""
    await connection.execute(_ADD, asdict(certificate))


async def revoke(
    connection: Connection, gateway_id: str, *, by: str, why: str, at: datetime
) -> Sequence[str]:
    """Revoke what the gateway has; return the serial numbers."""
    cursor = await connection.execute(
        _REVOKE, {"gateway_id": gateway_id, "by": by, "why": why, "at": at}
    )
    return [serial for (serial,) in await cursor.fetchall()]


async def revoked(connection: Connection, *, ending_after: datetime) -> Sequence[Revoked]:
    """Return what is revoked and would not have ended by itself before that."""
    async with connection.cursor(row_factory=class_row(Revoked)) as cursor:
        await cursor.execute(_REVOKED, {"ending_after": ending_after})
        return await cursor.fetchall()


async def to_cut_off(connection: Connection, now: datetime) -> Sequence[CutOff]:
    """Return the gateways that may be connected by a certificate that is revoked."""
    async with connection.cursor(row_factory=class_row(CutOff)) as cursor:
        await cursor.execute(_CUT, {"now": now})
        return await cursor.fetchall()


async def rows(connection: Connection, now: datetime) -> Sequence[GatewayRow]:
    """Return how every registered gateway stands."""
    async with connection.cursor(row_factory=class_row(GatewayRow)) as cursor:
        await cursor.execute(_ROWS, {"now": now})
        return await cursor.fetchall()


async def revocation_list(connection: Connection) -> RevocationList | None:
    """Return the list that was signed last."""
    async with connection.cursor(row_factory=class_row(RevocationList)) as cursor:
        await cursor.execute(_LIST)
        return await cursor.fetchone()


async def enter_revocation_list(connection: Connection) -> None:
    """Be the only one that signs, to the end of the transaction."""
    await connection.execute(_LOCK_LIST)


async def keep_revocation_list(connection: Connection, signed: RevocationList) -> None:
    """Store a list in place of the one before."""
    await connection.execute(_KEEP_LIST, asdict(signed))
