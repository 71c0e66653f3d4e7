"""What the server sent, looked at before anything of it counts, and made into files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device_adapters.contract.elements import ContractError
from device_adapters.contract.enrolment import CertificateAnswer
from device_adapters.contract.topics import Leaf, topic
from gateway.clock import source_of_this_machine
from gateway.enrolment import files
from gateway.enrolment.failures import AnswerError, ClockError


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a certificate without reading it: for the daemon, which reads no X.509."""

    serial: str
    gateway_id: str
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    server: str
    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a renewal takes over: the server's address, whom to trust there, the home's zone."""

    server: str
    server_authority: bytes | None
    timezone: str


def check(
    answer: CertificateAnswer, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.Certificate:
    """Return the gateway's certificate if everything about the answer holds.

    Raises:
        AnswerError: If it is for another key or name, or does not lead to the authority that came
            with it.
        ClockError: If it does not count by this machine's clock.
    """
    try:
        topic(answer.gateway_id, Leaf.READINGS)
        chain = x509.load_pem_x509_certificates(answer.chain.encode())
        authorities = x509.load_pem_x509_certificates(answer.authority.encode())
        names = chain[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ContractError as error:
        raise AnswerError(str(error)) from error
    except ValueError as error:
        raise AnswerError("the certificates are no certificates in PEM") from error
    certificate = chain[0]
    if certificate.public_key() != key.public_key():
        raise AnswerError("the certificate is for another key")
    if [name.value for name in names] != [answer.gateway_id]:
        raise AnswerError("the certificate is for another gateway than the server says")
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= now < end:
        raise ClockError(
            f"This machine's clock says {now:%Y-%m-%d %H:%M} UTC; the certificate from the server "
            f"is valid from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC. If the clock is "
            "wrong, let it reach a time server and try again."
        )
    _check_chain(chain, authorities)
    return certificate


def as_files(
    answer: CertificateAnswer,
    certificate: x509.Certificate,
    *,
    state: Path,
    origin: Origin,
    now: datetime,
) -> dict[str, bytes]:
    """Return what belongs beside the key: names and contents."""
    about = About(
        serial=f"{certificate.serial_number:x}",
        gateway_id=answer.gateway_id,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issued_at=now,
        server=origin.server,
        timezone=origin.timezone,
    )
    found = {
        files.CERTIFICATE: answer.chain.encode(),
        files.AUTHORITY: answer.authority.encode(),
        files.ABOUT: msgspec.json.format(msgspec.json.encode(about)),
        files.SETTINGS: _settings(answer, state, origin.timezone),
    }
    if origin.server_authority is not None:
        found[files.SERVER_AUTHORITY] = origin.server_authority
    return found


def read_about(directory: Path) -> About:
    """Return what is known of the certificate in an identity's directory.

    Raises:
        OSError: If there is none.
        msgspec.DecodeError: If it was not written here.
    """
    return msgspec.json.decode((directory / files.ABOUT).read_bytes(), type=About)


def _check_chain(chain: list[x509.Certificate], authorities: list[x509.Certificate]) -> None:
    try:
        for below, above in pairwise(chain):
            below.verify_directly_issued_by(above)
        last = chain[-1]
        if last not in authorities:
            _check_issued_by_one(last, authorities)
    except (ValueError, TypeError, InvalidSignature) as error:
        text = "the certificate does not lead to the authority that came with it"
        raise AnswerError(text) from error


def _check_issued_by_one(last: x509.Certificate, authorities: list[x509.Certificate]) -> None:
    for authority in authorities:
        if last.issuer == authority.subject:
            last.verify_directly_issued_by(authority)
            return
    raise ValueError("no authority of that name")


def _settings(answer: CertificateAnswer, state: Path, timezone: str) -> bytes:
    """Return the daemon's settings, TOML: by the link, so that a renewal changes no path."""
    identity = state / files.LINK
    values: dict[str, str | int] = {
        "id": answer.gateway_id,
        "state": str(state),
        "timezone": timezone,
        "clock": source_of_this_machine(),
        "broker_host": answer.broker_host,
        "broker_port": answer.broker_port,
        "broker_authority": str(identity / files.AUTHORITY),
        "broker_certificate": str(identity / files.CERTIFICATE),
        "broker_key": str(identity / files.KEY),
    }
    # A JSON string or number is one of TOML's too.
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    head = "# Written by hemvital-gateway enrol and renew. Other settings: environment variables."
    return "\n".join([head, *lines, ""]).encode()
