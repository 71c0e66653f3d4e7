"""The gateway's key, the request for a certificate, and the proof that it has the older key."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device_adapters.contract.enrolment import proven

PEM = serialization.Encoding.PEM


class KeyFileError(Exception):
    """What is in the key's file is no key of ours."""


def new_key() -> bytes:
    """Return a new EC P-256 private key in PEM; it never leaves the gateway."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the key that `new_key` made, or raise `KeyFileError`."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise KeyFileError("the gateway's key cannot be read: enrol anew") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyFileError("the gateway's key is of another kind: enrol anew")
    return key


def request_for(key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    """Return the request for a certificate; who the gateway is, the server says."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256())


def text_of(request: x509.CertificateSigningRequest) -> str:
    """Return a request in PEM."""
    return request.public_bytes(PEM).decode("ascii")


def prove(old: ec.EllipticCurvePrivateKey, request: x509.CertificateSigningRequest) -> str:
    """Return the older key's signature of the request for the new one, in base 64."""
    signed = proven(request.public_bytes(serialization.Encoding.DER))
    return base64.b64encode(old.sign(signed, ec.ECDSA(hashes.SHA256()))).decode("ascii")
