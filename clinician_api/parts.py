"""What routes work with: made once by the composition root, reached through the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, cast

from fastapi import Depends, Header, Request

from clinician_api.errors import ForbiddenError, UnauthenticatedError
from clinician_api.fhir.cursor import Cursors
from clinician_api.pages.templates import Templates
from clinician_api.services.live import Hub
from clinician_api.services.sessions import Duration
from clinician_api.settings import Settings
from clinician_api.signin import SignIn
from clinician_api.tokens import Bearer, TokenVerifier
from ingest_service.store.connections import Pool
from ingest_service.wording.catalogue import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The wired application, without global state."""

    settings: Settings
    pool: Pool
    clock: Callable[[], datetime]
    verifier: TokenVerifier
    cursors: Cursors
    sign_in: SignIn
    hub: Hub
    catalogues: Mapping[str, Catalogue]
    templates: Templates
    started_at: datetime

    @property
    def fhir_url(self) -> str:
        """Base of the FHIR server's addresses."""
        return f"{self.settings.public_url}/fhir"

    @property
    def duration(self) -> Duration:
        """How long sessions live."""
        return Duration(
            idle=timedelta(minutes=self.settings.session_idle_minutes),
            most=timedelta(hours=self.settings.session_hours),
        )


def parts(request: Request) -> Parts:
    """Return the parts of the application that serves the request."""
    return cast("Parts", request.app.state.parts)  # put there by create_app, and only there


# Dependencies are coroutines throughout: FastAPI runs plain functions in a thread each, which
# costs more than they do.
async def _parts(request: Request) -> Parts:
    return parts(request)


PartsOf = Annotated[Parts, Depends(_parts)]


async def bearer(
    parts: PartsOf,
    authorization: Annotated[list[str] | None, Header()] = None,
) -> Bearer:
    """Return what the request's token says, or raise `UnauthenticatedError`."""
    if authorization is not None and len(authorization) > 1:
        # Which one counts is what a proxy before us and we could see differently.
        raise UnauthenticatedError("one Authorization is needed, not several")
    scheme, _, token = (authorization or [""])[0].partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise UnauthenticatedError("a bearer token is needed")
    return parts.verifier.verify(token.strip())


async def same_origin(request: Request, parts: PartsOf) -> None:
    """Refuse a form that another site sent: cookies travel with those too, sometimes.

    Browsers tell the site of a POST (Sec-Fetch-Site), or at least its origin. The origin alone
    would not do: with our Referrer-Policy it is ``null`` even for our own forms.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    is_same = site == "same-origin" if site is not None else origin == parts.settings.public_url
    if not is_same:
        raise ForbiddenError("this form was not sent from this site's own page")


BearerOf = Annotated[Bearer, Depends(bearer)]
SameOrigin = Depends(same_origin)
