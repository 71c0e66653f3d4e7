"""What a person decides about a gateway: that it may enrol, and that it may no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from clinician_api.enrolment.authority import Authority
from device_adapters.contract.enrolment import code_digest, new_code
from device_adapters.contract.topics import Leaf, topic
from ingest_service.store import enrolment_codes, gateway_certificates
from ingest_service.store.connections import Connection
from ingest_service.store.enrolment_codes import Event
from ingest_service.store.gateway_certificates import RevocationList

# A broker that was stopped for a while, or whose clock is behind, still finds what ended lately.
_KEPT_AFTER_END: Final = timedelta(days=1)


class UnknownGatewayError(Exception):
    """No such gateway is registered."""


async def make_code(
    connection: Connection,
    gateway_id: str,
    *,
    decided_by: str,
    lifetime: timedelta,
    now: datetime,
    below: Callable[[int], int],
) -> str:
    """Return a new code for a registered gateway; its older unused ones end.

    Raises:
        ContractError: If the id is more than one plain topic level.
        UnknownGatewayError: If it is not registered.
    """
    topic(gateway_id, Leaf.READINGS)
    await _enter(connection, gateway_id)
    code = new_code(below)
    await enrolment_codes.void(connection, gateway_id, now)
    await enrolment_codes.add(
        connection,
        code_digest(code),
        gateway_id=gateway_id,
        decided_by=decided_by,
        at=now,
        expires_at=now + lifetime,
    )
    event = Event(at=now, event="code", gateway_id=gateway_id, decided_by=decided_by)
    await enrolment_codes.note(connection, event)
    return code


async def revoke(
    connection: Connection,
    authority: Authority,
    gateway_id: str,
    *,
    decided_by: str,
    reason: str,
    now: datetime,
) -> Sequence[str]:
    """Revoke all that a gateway has, its unused codes too, and sign the new list.

    Returns:
        The serial numbers that were revoked; none if there was nothing.

    Raises:
        UnknownGatewayError: If it is not registered.
    """
    await _enter(connection, gateway_id)
    await enrolment_codes.void(connection, gateway_id, now)
    serials = await gateway_certificates.revoke(
        connection, gateway_id, by=decided_by, why=reason, at=now
    )
    for serial in serials:
        event = Event(
            at=now, event="revoke", gateway_id=gateway_id, serial=serial, decided_by=decided_by
        )
        await enrolment_codes.note(connection, event)
    await sign_list(connection, authority, now)
    return serials


async def sign_list(connection: Connection, authority: Authority, now: datetime) -> None:
    """Sign what is revoked now, for the broker to fetch."""
    await gateway_certificates.enter_revocation_list(connection)
    before = await gateway_certificates.revocation_list(connection)
    number = before.number + 1 if before else 1
    revoked = await gateway_certificates.revoked(connection, ending_after=now - _KEPT_AFTER_END)
    content = authority.revocation_list(revoked, number=number, at=now)
    await gateway_certificates.keep_revocation_list(
        connection, RevocationList(number=number, signed_at=now, content=content)
    )


async def _enter(connection: Connection, gateway_id: str) -> None:
    if not await enrolment_codes.is_registered(connection, gateway_id):
        raise UnknownGatewayError(f"no gateway {gateway_id!r} is registered")
    await enrolment_codes.enter(connection, gateway_id)
