"""What issues certificates: a key in a file here, a region's own authority behind the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from ingest_service.store.gateway_certificates import Revoked


class AuthorityError(Exception):
    """The authority cannot be used; the text says what to mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """From when to when a certificate counts."""

    not_before: datetime
    not_after: datetime


class Authority(Protocol):
    """Vouches for gateways at the broker's door for homes, and for nothing else."""

    @property
    def chain(self) -> Sequence[x509.Certificate]:
        """Return what stands above a gateway's certificate, up to what the broker trusts."""
        ...

    def issue(
        self, key: EllipticCurvePublicKey, gateway_id: str, validity: Validity
    ) -> x509.Certificate:
        """Return a certificate for this key that says this gateway's id, and nothing else.

        Raises:
            ContractError: If the id is more than one plain topic level.
            AuthorityError: If the authority itself ends before the certificate would begin.
        """
        ...

    def revocation_list(self, revoked: Sequence[Revoked], *, number: int, at: datetime) -> str:
        """Return the signed list of these certificates, in PEM."""
        ...
