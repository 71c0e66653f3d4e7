"""An authority whose key is in a file that only its owner may read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clinician_api.enrolment.authority import AuthorityError, Validity
from device_adapters.contract.topics import Leaf, topic
from ingest_service.store.gateway_certificates import Revoked

AUTHORITY_YEARS: Final = 20
BROKER_DAYS: Final = 397
# A list that has ended makes mosquitto refuse every home. So it never does: who watches that lists
# are published watches the timer (docs/adr/0029).
LIST_DAYS: Final = 3650
_YEAR: Final = timedelta(days=365)
_PEM: Final = serialization.Encoding.PEM


class FileAuthority:
    """One key, one certificate; its gateways' certificates are directly below.

    Args:
        certificate: The authority's own.
        key: Its private key, EC P-256.

    Raises:
        AuthorityError: If the two do not belong together or are of another kind.
    """

    def __init__(self, certificate: x509.Certificate, key: object) -> None:
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise AuthorityError("the authority's key is no EC P-256 key")
        if certificate.public_key() != key.public_key():
            raise AuthorityError("the authority's key and certificate do not belong together")
        self._certificate = certificate
        self._key = key

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Self:
        """Return the authority of these files, PEM.

        Raises:
            AuthorityError: If one cannot be read, holds something else, or others may read the
                key.
        """
        try:
            if key.stat().st_mode & 0o077:
                raise AuthorityError(f"{key}: others may read it; it must have mode 0600")
            return cls(
                x509.load_pem_x509_certificate(certificate.read_bytes()),
                serialization.load_pem_private_key(key.read_bytes(), None),
            )
        except OSError as error:
            raise AuthorityError(f"{error.filename}: {error.strerror}") from error
        except (ValueError, TypeError) as error:  # TypeError: the key has a passphrase
            text = f"{certificate} or {key}: not a certificate and its key in PEM"
            raise AuthorityError(text) from error

    @property
    def chain(self) -> Sequence[x509.Certificate]:
        """Return the authority's own certificate."""
        return [self._certificate]

    def issue(
        self, key: ec.EllipticCurvePublicKey, gateway_id: str, validity: Validity
    ) -> x509.Certificate:
        """Return a certificate for a client; `Authority.issue` says what is raised.

        For a client only: with it nobody can pose as the broker towards other homes.
        """
        topic(gateway_id, Leaf.READINGS)  # a colon would make it a service (docs/adr/0014)
        return self._issue(key, gateway_id, validity, [], ExtendedKeyUsageOID.CLIENT_AUTH)

    def issue_broker(
        self, key: ec.EllipticCurvePublicKey, hosts: Sequence[str], at: datetime
    ) -> x509.Certificate:
        """Return a certificate for the broker's door for homes, for names and IP addresses."""
        validity = Validity(not_before=at, not_after=at + timedelta(days=BROKER_DAYS))
        names = [_general_name(host) for host in hosts]
        return self._issue(key, hosts[0], validity, names, ExtendedKeyUsageOID.SERVER_AUTH)

    def revocation_list(self, revoked: Sequence[Revoked], *, number: int, at: datetime) -> str:
        """Return the signed list of these certificates, in PEM."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(at)
            .next_update(at + timedelta(days=LIST_DAYS))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self._key_identifier(), critical=False)
        )
        for each in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(int(each.serial, 16))
                .revocation_date(each.revoked_at)
                .build()
            )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM).decode("ascii")

    def _issue(
        self,
        key: ec.EllipticCurvePublicKey,
        name: str,
        validity: Validity,
        alternative: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
    ) -> x509.Certificate:
        end = min(validity.not_after, self._certificate.not_valid_after_utc)
        if end <= validity.not_before:
            text = f"the authority ended on {self._certificate.not_valid_after_utc:%Y-%m-%d}"
            raise AuthorityError(text)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(validity.not_before)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(self._key_identifier(), critical=False)
        )
        if alternative:
            names = x509.SubjectAlternativeName(alternative)
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())


def create(certificate: Path, key: Path, *, name: str, at: datetime) -> FileAuthority:
    """Make an authority's files; the key's has mode 0600.

    Raises:
        FileExistsError: If there is one already: replacing it ends every gateway's certificate.
    """
    made = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    own = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(made.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + AUTHORITY_YEARS * _YEAR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(made.public_key()), critical=False
        )
        .sign(made, hashes.SHA256())
    )
    if certificate.exists():
        raise FileExistsError(f"{certificate}: there is an authority already")
    write_new(key, private_pem(made), mode=0o600)
    write_new(certificate, own.public_bytes(_PEM), mode=0o644)
    return FileAuthority(own, made)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as it is written to a file."""
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that must not be there yet, and have it on the disk.

    Raises:
        FileExistsError: If it is.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
