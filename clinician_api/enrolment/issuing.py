"""A certificate for a code, and a new certificate for an old one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from psycopg.errors import UniqueViolation

from clinician_api.enrolment import requests
from clinician_api.enrolment.authority import Authority, Validity
from clinician_api.enrolment.errors import (
    CertificateRevokedError,
    CertificateSupersededError,
    CertificateUnknownError,
    CodeExpiredError,
    CodeMistypedError,
    CodeUnknownError,
    CodeUsedError,
    CsrError,
    GraceOverError,
    TooManyError,
)
from clinician_api.enrolment.requests import KeyRequest
from device_adapters.contract.enrolment import (
    CodeError,
    EnrolmentRequest,
    RenewalRequest,
    code_digest,
    read_code,
)
from ingest_service.store import enrolment_codes, gateway_certificates
from ingest_service.store.connections import Connection
from ingest_service.store.enrolment_codes import Code, Event
from ingest_service.store.gateway_certificates import Certificate, NewCertificate

# A gateway whose clock is behind must be able to use at once what it was given.
SKEW: Final = timedelta(hours=1)
# An answer may be lost and the key with it, so one certificate may be renewed more than once.
MOST_CHILDREN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long certificates count, and for how long after that they can be renewed."""

    validity: timedelta
    grace: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Decides who gets a certificate; each call is one transaction of the caller's.

    Args:
        authority: Signs.
        terms: For how long.
    """

    authority: Authority
    terms: Terms

    async def enrol(
        self, connection: Connection, request: EnrolmentRequest, *, now: datetime, trace_id: str
    ) -> Certificate | NewCertificate:
        """Return a certificate for a code; the same again for the same code and key.

        Raises:
            RefusedError: If the code or the request does not hold; nothing is changed then.
            AuthorityError: If the authority has ended.
        """
        code = await _code(connection, request.code)
        asked = requests.read_request(request.csr)
        await enrolment_codes.enter(connection, code.gateway_id)
        code = await _code(connection, request.code)  # as it stands now that nobody changes it
        _check_time(code, now)
        known = await gateway_certificates.by_key(connection, asked.digest)
        if code.used_at is not None:
            return _repeated(known, code)
        if known is not None:
            raise CsrError(_USED_KEY, code.gateway_id)
        generation = await gateway_certificates.latest_generation(connection, code.gateway_id)
        certificate = self._issue(asked, code.gateway_id, generation + 1, now, code_id=code.id)
        await _add(connection, certificate)
        await enrolment_codes.use(connection, code.id, now)
        await _note(connection, "enrol", certificate, now, trace_id)
        return certificate

    async def renew(
        self,
        connection: Connection,
        request: RenewalRequest,
        *,
        now: datetime,
        trace_id: str,
        allows: Callable[[str], bool],
    ) -> Certificate | NewCertificate:
        """Return a new certificate for an old one and a new key; the same again for the same key.

        Args:
            connection: An open transaction.
            request: The old certificate, the new key, and the old key's signature of it.
            now: The time.
            trace_id: For the log.
            allows: Tells whether this gateway may ask once more; asked once the proof holds, so
                that nobody else uses up a gateway's turns.

        Raises:
            RefusedError: If it may not be renewed; nothing is changed then.
            AuthorityError: If the authority has ended.
        """
        fingerprint = requests.fingerprint(request.certificate)
        old = await _known(connection, fingerprint)
        asked = requests.read_request(request.csr)
        requests.check_proof(old.certificate, asked, request.proof)
        if not allows(old.gateway_id):
            raise TooManyError("this gateway has asked too often: wait an hour", old.gateway_id)
        await enrolment_codes.enter(connection, old.gateway_id)
        old = await _known(connection, fingerprint)
        self._check_renewable(old, now)
        known = await gateway_certificates.by_key(connection, asked.digest)
        if known is not None:
            return _renewed_before(known, old)
        if await gateway_certificates.is_superseded(connection, old):
            text = "this gateway was enrolled anew, or has renewed a later certificate"
            raise CertificateSupersededError(text, old.gateway_id)
        if await gateway_certificates.living_children(connection, old.serial, now) >= (
            MOST_CHILDREN
        ):
            text = f"this certificate was renewed {MOST_CHILDREN} times and those still count"
            raise TooManyError(text, old.gateway_id)
        certificate = self._issue(
            asked, old.gateway_id, old.generation + 1, now, renewed_from=old.serial
        )
        await _add(connection, certificate)
        await _note(connection, "renew", certificate, now, trace_id)
        return certificate

    def _check_renewable(self, old: Certificate, now: datetime) -> None:
        if old.revoked_at is not None:
            text = f"the certificate was revoked on {old.revoked_at:%Y-%m-%d}"
            raise CertificateRevokedError(text, old.gateway_id)
        if now > old.not_after + self.terms.grace:
            raise GraceOverError(
                f"the certificate ended on {old.not_after:%Y-%m-%d}, and could be renewed for "
                f"{self.terms.grace.days} days after: the gateway must be enrolled anew",
                old.gateway_id,
            )

    def _issue(
        self,
        asked: KeyRequest,
        gateway_id: str,
        generation: int,
        now: datetime,
        *,
        code_id: int | None = None,
        renewed_from: str | None = None,
    ) -> NewCertificate:
        validity = Validity(not_before=now - SKEW, not_after=now + self.terms.validity)
        issued = self.authority.issue(asked.key, gateway_id, validity)
        return NewCertificate(
            serial=f"{issued.serial_number:x}",
            gateway_id=gateway_id,
            generation=generation,
            code_id=code_id,
            renewed_from=renewed_from,
            key_digest=asked.digest,
            fingerprint=issued.fingerprint(hashes.SHA256()),
            certificate=issued.public_bytes(Encoding.DER),
            issued_at=now,
            not_after=issued.not_valid_after_utc,
        )


_USED_KEY: Final = "this key has a certificate already: each certificate needs a new key"


async def _code(connection: Connection, typed: str) -> Code:
    try:
        printed = read_code(typed)
    except CodeError as error:
        raise CodeMistypedError(str(error)) from error
    code = await enrolment_codes.find(connection, code_digest(printed))
    if code is None:
        raise CodeUnknownError("no such code was made here")
    return code


def _check_time(code: Code, now: datetime) -> None:
    if code.voided_at is not None:
        text = "the code counts no more: a newer one was made, or the gateway was revoked"
        raise CodeExpiredError(text, code.gateway_id)
    if now >= code.expires_at:
        text = f"the code ended on {code.expires_at:%Y-%m-%d %H:%M} UTC: ask for a new one"
        raise CodeExpiredError(text, code.gateway_id)


def _repeated(known: Certificate | None, code: Code) -> Certificate:
    """Return what this code and key got before: the answer may have been lost on its way."""
    if known is None or known.code_id != code.id:
        text = "the code has been used: if not by this gateway, have the gateway revoked"
        raise CodeUsedError(text, code.gateway_id)
    if known.revoked_at is not None:
        raise CertificateRevokedError("the code's certificate was revoked", code.gateway_id)
    return known


def _renewed_before(known: Certificate, old: Certificate) -> Certificate:
    if known.renewed_from != old.serial:
        raise CsrError(_USED_KEY, old.gateway_id)
    return known


async def _known(connection: Connection, fingerprint: bytes) -> Certificate:
    certificate = await gateway_certificates.by_fingerprint(connection, fingerprint)
    if certificate is None:
        raise CertificateUnknownError("this certificate was not issued here")
    return certificate


async def _add(connection: Connection, certificate: NewCertificate) -> None:
    try:
        await gateway_certificates.add(connection, certificate)
    except UniqueViolation as error:  # the same key, by another gateway, at the same moment
        raise CsrError(_USED_KEY, certificate.gateway_id) from error


async def _note(
    connection: Connection, event: str, certificate: NewCertificate, now: datetime, trace_id: str
) -> None:
    await enrolment_codes.note(
        connection,
        Event(
            at=now,
            event=event,
            gateway_id=certificate.gateway_id,
            serial=certificate.serial,
            trace_id=trace_id,
        ),
    )
