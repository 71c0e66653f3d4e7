"""Bearer tokens of EHR systems: signed, short-lived, not stored."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from joserfc import jwt
from joserfc.errors import JoseError

from clinician_api.errors import UnauthenticatedError
from clinician_api.keys import Keys

_ALGORITHM: Final = "ES256"
_LEEWAY_S: Final = 30
_REMEMBERED: Final = 1024
_MAX_LENGTH: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """What a valid token says: who, and which scopes (SMART, separated by spaces)."""

    client_id: str
    scopes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verified:
    bearer: Bearer
    expires_at: float  # or a whole number of any size


def issue(
    keys: Keys, *, client_id: str, scopes: str, base_url: str, now: datetime, lifetime: timedelta
) -> str:
    """Return a token for one client, valid from ``now`` for ``lifetime``."""
    issued_at = int(now.timestamp())
    claims: dict[str, str | int] = {
        "iss": base_url,
        "aud": f"{base_url}/fhir",
        "sub": client_id,
        "scope": scopes,
        "iat": issued_at,
        "exp": issued_at + int(lifetime.total_seconds()),
        "jti": secrets.token_hex(16),
    }
    return jwt.encode({"alg": _ALGORITHM, "typ": "JWT"}, claims, keys.signing)


class TokenVerifier:
    """Checks tokens: signature, issuer, audience and time.

    A signature costs ten times what the rest of a search does, and an EHR sends the same token
    for as long as it lives: signatures that held are remembered, a bounded number of them; the
    time is checked each time.
    """

    def __init__(self, keys: Keys, *, base_url: str, clock: Callable[[], datetime]) -> None:
        self._key = keys.signing
        self._base_url = base_url
        self._clock = clock
        self._verified: OrderedDict[str, _Verified] = OrderedDict()

    def verify(self, token: str) -> Bearer:
        """Return what the token says.

        Raises:
            UnauthenticatedError: If it is not ours, not for us, or not valid now.
        """
        known = self._verified.get(token)
        if known is None:
            known = self._check(token)
            self._verified[token] = known
            if len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)
        if known.expires_at + _LEEWAY_S <= self._clock().timestamp():
            self._verified.pop(token, None)
            raise UnauthenticatedError("the token has expired")
        return known.bearer

    def _check(self, token: str) -> _Verified:
        if len(token) > _MAX_LENGTH:
            raise UnauthenticatedError("the token is too long")
        try:
            decoded = jwt.decode(token, self._key, algorithms=[_ALGORITHM])
            jwt.JWTClaimsRegistry(
                now=lambda: int(self._clock().timestamp()),
                leeway=_LEEWAY_S,
                iss={"essential": True, "value": self._base_url},
                aud={"essential": True, "value": f"{self._base_url}/fhir"},
                sub={"essential": True},
                exp={"essential": True},
                scope={"essential": True},
            ).validate(decoded.claims)
        except (JoseError, ValueError) as error:
            # joserfc's own text may quote what was sent; the class says enough.
            raise UnauthenticatedError(f"the token does not hold: {_fault(error)}") from error
        claims = decoded.claims
        if not all(isinstance(claims[name], str) for name in ("sub", "scope")):
            raise UnauthenticatedError("the token does not hold: sub and scope must be text")
        if not claims["sub"].isprintable():  # no text in the database holds a NUL
            raise UnauthenticatedError("the token does not hold: sub is no client's id")
        return _Verified(
            bearer=Bearer(client_id=claims["sub"], scopes=claims["scope"]),
            expires_at=claims["exp"],
        )


def _fault(error: Exception) -> str:
    return str(getattr(error, "error", "")) or "not a signed token"
