"""Sign-in and sign-out of staff."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from clinician_api.errors import SignInBrokenError
from clinician_api.parts import Parts, PartsOf, SameOrigin
from clinician_api.routes.cookies import SESSION, SIGN_IN, drop_cookie, set_cookie
from clinician_api.services import sessions
from clinician_api.visit import language_of
from ingest_service.admission import actions

router = APIRouter()

CALLBACK: Final = "/sign-in/done"
_PENDING_S: Final = 600

Returned = Annotated[str | None, Query(max_length=4096)]


@router.get("/sign-in")
async def depart(parts: PartsOf) -> Response:
    """Send the browser to the identity provider."""
    departure = await parts.sign_in.depart()
    answer = RedirectResponse(departure.url, status_code=303)
    set_cookie(answer, SIGN_IN, departure.cookie, max_age_s=_PENDING_S)
    return answer


@router.get(CALLBACK)
async def arrive(
    request: Request,
    parts: PartsOf,
    code: Returned = None,
    state: Returned = None,
    error: Returned = None,
) -> Response:
    """Take the browser back, and open a session for the commission that was chosen."""
    if error is not None or code is None or state is None:
        raise SignInBrokenError("the identity provider let nobody in")
    commission = await parts.sign_in.arrive(
        code=code, state=state, cookie=request.cookies.get(SIGN_IN)
    )
    now = parts.clock()
    async with parts.pool.connection() as connection:
        # Another commission, or another person: what this browser was signed in as has ended.
        left = await sessions.close(
            connection, request.cookies.get(SESSION), parts.duration, now=now
        )
        cookie = await sessions.open_session(connection, commission, parts.duration, now=now)
    await _give_back(parts, left, now)
    answer = RedirectResponse("/", status_code=303)
    drop_cookie(answer, SIGN_IN)
    set_cookie(answer, SESSION, cookie)
    return answer


@router.post("/sign-out", dependencies=[SameOrigin])
async def leave(request: Request, parts: PartsOf) -> Response:
    """End the session; what whoever leaves had taken is nobody's again (A6)."""
    now = parts.clock()
    async with parts.pool.connection() as connection:
        left = await sessions.close(
            connection, request.cookies.get(SESSION), parts.duration, now=now
        )
    await _give_back(parts, left, now)
    answer = RedirectResponse("/signed-out", status_code=303)
    drop_cookie(answer, SESSION)
    return answer


@router.get("/signed-out")
async def left(request: Request, parts: PartsOf) -> Response:
    """Say that the session has ended."""
    words = language_of(request, parts)
    return HTMLResponse(parts.templates.render("signed_out.html", words))


async def _give_back(parts: Parts, left: str | None, now: datetime) -> None:
    """Let nobody own alerts who has no session any more, whoever has just left before all."""
    async with parts.pool.connection() as connection:
        await actions.unassign_absent(connection, signed_out=left, now=now)
