"""An OpenID Connect provider that enforces what it is asked for: PKCE (S256), state of its own.

``python -m tests.support.strict_provider --port N --claims JSON`` serves one; a code is good once,
for a minute, for the redirect address and the verifier that its challenge was made of. It signs
everybody in without asking, and ``/misbehave?as=FAULT`` has it go wrong in one way from then on.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

_CODE_S: Final = 60
_TOKEN_S: Final = 300
_NEEDED: Final = frozenset(
    {"client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge"}
)


class Provider:
    """Codes that were given out, keys, and how it misbehaves just now."""

    def __init__(self, issuer: str, claims: Mapping[str, Any], secret: str) -> None:
        self._issuer = issuer
        self._claims = claims
        self._secret = secret
        self._key = ECKey.generate_key("P-256", auto_kid=True)
        self._codes: dict[str, tuple[dict[str, str], float]] = {}
        self._fault = ""

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/jwks", self._keys),
                Route("/misbehave", self._misbehave),
            ]
        )

    async def _discovery(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self._issuer,
                "authorization_endpoint": f"{self._issuer}/authorize",
                "token_endpoint": f"{self._issuer}/token",
                "jwks_uri": f"{self._issuer}/jwks",
                "code_challenge_methods_supported": ["S256"],
            }
        )

    async def _authorize(self, request: Request) -> Response:
        """Give a code for a request that has everything; RFC 6749 4.1.1, RFC 7636 4.3."""
        asked = dict(request.query_params)
        if missing := _NEEDED - asked.keys():
            return PlainTextResponse(f"missing: {sorted(missing)}", 400)
        if asked.get("code_challenge_method") != "S256" or asked.get("response_type") != "code":
            return PlainTextResponse("only code with S256", 400)
        code = secrets.token_urlsafe(16)
        self._codes[code] = (asked, time.time() + _CODE_S)
        back = {"code": code, "state": asked["state"]}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 303)

    async def _token(self, request: Request) -> Response:
        """Take a code once, from who knows its verifier; RFC 6749 4.1.3, RFC 7636 4.6."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        asked, until = self._codes.pop(form.get("code", ""), ({}, 0.0))
        basic = base64.b64encode(f"{asked.get('client_id')}:{self._secret}".encode()).decode()
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        holds = (
            time.time() < until
            and request.headers.get("authorization") == f"Basic {basic}"
            and form.get("grant_type") == "authorization_code"
            and form.get("redirect_uri") == asked["redirect_uri"]
            and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
        )
        if not holds:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({"token_type": "Bearer", "id_token": self._id_token(asked)})

    def _id_token(self, asked: Mapping[str, str]) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {
            **self._claims,
            "iss": self._issuer,
            "aud": asked["client_id"],
            "nonce": asked["nonce"],
            "iat": now,
            "exp": now + _TOKEN_S,
        }
        wrong: Mapping[str, Mapping[str, Any]] = {
            "nonce": {"nonce": "another"},
            "audience": {"aud": "another"},
            "issuer": {"iss": "http://localhost:1"},
            "expired": {"exp": now - 3600, "iat": now - 7200},
            "claims": {"employeeHsaId": None},
            "parties": {"aud": [asked["client_id"], "another"], "azp": "another"},
        }
        claims |= wrong.get(self._fault, {})
        stranger = ECKey.generate_key("P-256", {"kid": self._key.kid or ""})
        key = stranger if self._fault == "key" else self._key
        token = jwt.encode({"alg": "ES256", "kid": self._key.kid or ""}, claims, key)
        if self._fault == "unsigned":
            head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
            return f"{head}.{token.split('.')[1]}."
        return token

    async def _keys(self, _request: Request) -> Response:
        return JSONResponse(KeySet([self._key]).as_dict(private=False))

    async def _misbehave(self, request: Request) -> Response:
        self._fault = request.query_params["as"]
        return PlainTextResponse("so be it")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one provider until terminated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--claims", type=json.loads, required=True)
    parser.add_argument("--secret", required=True)
    arguments = parser.parse_args(argv)
    issuer = f"http://localhost:{arguments.port}"
    provider = Provider(issuer, arguments.claims, arguments.secret)
    uvicorn.run(provider.app(), host="localhost", port=arguments.port, log_level="error")
    return 0


if __name__ == "__main__":
    sys.exit(main())
