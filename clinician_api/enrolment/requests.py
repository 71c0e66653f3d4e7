"""Requests for certificates: of a request only its public key is used."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clinician_api.enrolment.errors import CertificateUnknownError, CsrError, ProofError
from device_adapters.contract.enrolment import proven

PEM: Final = Encoding.PEM


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A public key whose private key the sender has; ``der`` is the request that shows it."""

    key: ec.EllipticCurvePublicKey
    digest: bytes
    der: bytes


def read_request(pem: str) -> KeyRequest:
    """Return the key that a PKCS #10 request asks a certificate for.

    Raises:
        CsrError: If it is none, is not signed by its own key, or the key is not EC P-256.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise CsrError("the request's key is not EC P-256")
        algorithm = request.signature_hash_algorithm
        if not isinstance(algorithm, hashes.SHA256) or not request.is_signature_valid:
            raise CsrError("the request is not signed by its own key with SHA-256")
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise CsrError("the request is no PKCS #10 request in PEM") from error
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return KeyRequest(
        key=key,
        digest=hashlib.sha256(public).digest(),
        der=request.public_bytes(Encoding.DER),
    )


def fingerprint(pem: str) -> bytes:
    """Return the SHA-256 digest of the first certificate in PEM.

    Raises:
        CertificateUnknownError: If there is none.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateUnknownError("what was sent is no certificate in PEM") from error
    return certificate.fingerprint(hashes.SHA256())


def check_proof(certificate_der: bytes, request: KeyRequest, proof: str) -> None:
    """Return if the certificate's key signed the request, else raise `ProofError`."""
    key = x509.load_der_x509_certificate(certificate_der).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):  # we issue no others
        raise ProofError("the old certificate's key cannot sign a renewal")
    try:
        signature = base64.b64decode(proof, validate=True)
        key.verify(signature, proven(request.der), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise ProofError("the old certificate's key did not sign this request") from error


def pem_of(certificate_der: bytes) -> str:
    """Return a certificate in PEM."""
    certificate = x509.load_der_x509_certificate(certificate_der)
    return certificate.public_bytes(PEM).decode("ascii")
