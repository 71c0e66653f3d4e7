"""Cookies: bound to this host, out of reach of scripts and of other sites' requests."""

from __future__ import annotations

from typing import Final

from fastapi import Response

# The prefix makes a browser refuse the cookie unless it is Secure, for this host alone and for
# every path: no neighbour under the same domain can plant one.
SESSION: Final = "__Host-hemvital"
SIGN_IN: Final = "__Host-hemvital-sign-in"
LANGUAGE: Final = "__Host-hemvital-language"


def set_cookie(answer: Response, name: str, value: str, *, max_age_s: int | None = None) -> None:
    """Set a cookie; without ``max_age_s`` it ends with the browser."""
    answer.set_cookie(
        name, value, max_age=max_age_s, path="/", secure=True, httponly=True, samesite="lax"
    )


def drop_cookie(answer: Response, name: str) -> None:
    """Have the browser forget a cookie."""
    answer.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")
