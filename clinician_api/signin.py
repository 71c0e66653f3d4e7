"""Sign-in of staff by OpenID Connect: authorization code with PKCE, state and nonce."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

import httpx
import msgspec
from itsdangerous import BadData, URLSafeSerializer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization

from clinician_api.errors import SignInBrokenError, SignInFailedError
from clinician_api.roles import roles_of
from clinician_api.services.sessions import Commission

_ALGORITHMS: Final = ["ES256", "ES384", "PS256", "RS256", "RS384"]
_LEEWAY_S: Final = 60
_PENDING_S: Final = 600
_SCOPE: Final = "openid profile"
_MAX_NAME: Final = 200
_T = TypeVar("_T")


class _Provider(msgspec.Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class _Claims(msgspec.Struct, frozen=True, rename="camel"):
    """Claims as Inera's identity provider names them."""

    sub: str
    employee_hsa_id: str
    commission_hsa_id: str
    commission_purpose: str
    name: str
    system_roles: tuple[str, ...] = ()


class _Pending(msgspec.Struct, frozen=True):
    """What must come back unchanged; lies in a signed cookie for the time of the sign-in."""

    state: str
    nonce: str
    verifier: str
    started_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Where to send the browser, and what it must bring back in its cookie."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """How the provider knows this server."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str


def challenge(verifier: str) -> str:
    """Return the S256 code challenge of a verifier.

    Source:
        RFC 7636, 4.2.
    """
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


class SignIn:
    """Sends staff to the identity provider and takes them back."""

    def __init__(
        self,
        client: Client,
        *,
        secret: bytes,
        http: httpx.AsyncClient,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._serializer = URLSafeSerializer(secret, salt="hemvital.signin")
        self._http = http
        self._clock = clock
        self._provider: _Provider | None = None

    async def depart(self) -> Departure:
        """Begin a sign-in.

        Raises:
            SignInFailedError: If the provider does not answer.
        """
        provider = await self._discover()
        pending = _Pending(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            started_at=int(self._clock().timestamp()),
        )
        url = httpx.URL(provider.authorization_endpoint).copy_merge_params(
            {
                "client_id": self._client.client_id,
                "response_type": "code",
                "redirect_uri": self._client.redirect_uri,
                "scope": _SCOPE,
                "state": pending.state,
                "nonce": pending.nonce,
                "code_challenge": challenge(pending.verifier),
                "code_challenge_method": "S256",
            }
        )
        return Departure(
            url=str(url), cookie=str(self._serializer.dumps(msgspec.to_builtins(pending)))
        )

    async def arrive(self, *, code: str, state: str, cookie: str | None) -> Commission:
        """Finish a sign-in and return whom the provider vouches for.

        Raises:
            SignInBrokenError: If this browser did not begin it, or too long ago.
            SignInFailedError: If the provider's answer does not hold, or lacks a claim.
        """
        pending = self._pending(cookie)
        if not hmac.compare_digest(pending.state.encode(), state.encode()):
            raise SignInBrokenError("this sign-in was not begun in this browser")
        provider = await self._discover()
        tokens = await self._fetch(
            _Tokens,
            "POST",
            provider.token_endpoint,
            data={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self._client.redirect_uri,
                "client_id": self._client.client_id,
                "code_verifier": pending.verifier,
            },
        )
        claims = await self._claims(provider, tokens.id_token, nonce=pending.nonce)
        return Commission(
            subject=claims.sub,
            name=claims.name[:_MAX_NAME],
            employee_hsa_id=claims.employee_hsa_id,
            unit_hsa_id=claims.commission_hsa_id,
            purpose=claims.commission_purpose[:_MAX_NAME],
            roles=roles_of(claims.system_roles),
        )

    def _pending(self, cookie: str | None) -> _Pending:
        try:
            pending = msgspec.convert(self._serializer.loads(cookie or ""), _Pending)
        except (BadData, msgspec.ValidationError) as error:
            raise SignInBrokenError("this sign-in was not begun in this browser") from error
        if self._clock().timestamp() - pending.started_at > _PENDING_S:
            raise SignInBrokenError("this sign-in was begun too long ago: begin again")
        return pending

    async def _claims(self, provider: _Provider, id_token: str, *, nonce: str) -> _Claims:
        keys = await self._fetch(KeySetSerialization, "GET", provider.jwks_uri)
        try:
            decoded = jwt.decode(id_token, KeySet.import_key_set(keys), algorithms=_ALGORITHMS)
            jwt.JWTClaimsRegistry(
                now=lambda: int(self._clock().timestamp()),
                leeway=_LEEWAY_S,
                iss={"essential": True, "value": provider.issuer},
                aud={"essential": True, "value": self._client.client_id},
                azp={"value": self._client.client_id},  # there if it is for others, too
                exp={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(decoded.claims)
            return msgspec.convert(decoded.claims, _Claims)
        except (JoseError, ValueError) as error:
            # The error's own text may quote claims: its class is all that is told.
            raise SignInFailedError(
                f"the identity provider's answer does not hold ({type(error).__name__})"
            ) from error

    async def _discover(self) -> _Provider:
        if self._provider is None:
            address = f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration"
            provider = await self._fetch(_Provider, "GET", address)
            if provider.issuer.rstrip("/") != self._client.issuer.rstrip("/"):
                raise SignInFailedError("the identity provider calls itself by another name")
            self._provider = provider
        return self._provider

    async def _fetch(
        self, shape: type[_T], method: str, url: str, *, data: dict[str, str] | None = None
    ) -> _T:
        # Only the token endpoint takes a form, and only it is told the secret.
        basic = httpx.BasicAuth(self._client.client_id, self._client.client_secret)
        try:
            answer = await self._http.request(
                method, url, data=data, auth=basic if data is not None else None
            )
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=shape)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise SignInFailedError(
                f"the identity provider does not answer as it should ({type(error).__name__})"
            ) from error
