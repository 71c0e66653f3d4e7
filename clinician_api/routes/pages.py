"""The nurse's pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Final

from fastapi import APIRouter, Form, Header, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from clinician_api import trace
from clinician_api.errors import SignInNeededError
from clinician_api.pages import worklist
from clinician_api.pages.times import Reader
from clinician_api.parts import Parts, PartsOf, SameOrigin
from clinician_api.routes.cookies import LANGUAGE, SESSION, set_cookie
from clinician_api.services import sessions
from clinician_api.services import worklist as worklists
from clinician_api.services.live import Hub
from clinician_api.services.worklist import Worklist
from ingest_service.store.access import Session
from ingest_service.wording import catalogue
from ingest_service.wording.catalogue import Catalogue

router = APIRouter()

_YEAR_S: Final = 365 * 24 * 3600
# A stream outlives no session by more than this: the browser then asks for a new one.
_STREAM_S: Final = 300.0


@router.get("/")
async def home() -> Response:
    """Send whoever comes to the worklist."""
    return RedirectResponse("/worklist", status_code=303)


@router.get("/worklist")
async def page(request: Request, parts: PartsOf, *, again: bool = False) -> Response:
    """Return the unit's worklist, or send the reader to sign in.

    ``again`` is how the page reloads itself where no script does: that is no use of the session.
    """
    try:
        session, content = await _content(request, parts, is_used=not again)
    except SignInNeededError:
        return RedirectResponse("/sign-in", status_code=303)
    return HTMLResponse(_rendered("worklist.html", request, parts, session, content))


@router.get("/worklist/rows")
async def rows(
    request: Request, parts: PartsOf, x_active: Annotated[bool, Header()] = False
) -> Response:
    """Return the moving part of the worklist; 401 once the session has ended.

    ``X-Active`` tells that the reader did something since the last time: only that counts as use.
    """
    session, content = await _content(request, parts, is_used=x_active)
    return HTMLResponse(_rendered("rows.html", request, parts, session, content))


@router.get("/worklist/events")
async def events(request: Request, parts: PartsOf) -> Response:
    """Stream a version number at each change of the unit's list, and signs of life between."""
    async with parts.pool.connection() as connection:
        session = await sessions.find(
            connection,
            request.cookies.get(SESSION),
            parts.duration,
            now=parts.clock(),
            is_used=False,
        )
    return StreamingResponse(
        _stream(parts.hub, session),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


@router.post("/language", dependencies=[SameOrigin])
async def language(parts: PartsOf, code: Annotated[str, Form(max_length=8)]) -> Response:
    """Remember the language that the reader chose."""
    answer = RedirectResponse("/worklist", status_code=303)
    if code in parts.catalogues:
        set_cookie(answer, LANGUAGE, code, max_age_s=_YEAR_S)
    return answer


def language_of(request: Request, parts: Parts) -> Catalogue:
    """Return the language that the request asks for."""
    return catalogue.choose(
        parts.catalogues,
        chosen=request.cookies.get(LANGUAGE),
        accepted=request.headers.get("accept-language"),
    )


async def _content(request: Request, parts: Parts, *, is_used: bool) -> tuple[Session, Worklist]:
    now = parts.clock()
    async with parts.pool.connection() as connection:
        session = await sessions.find(
            connection, request.cookies.get(SESSION), parts.duration, now=now, is_used=is_used
        )
        caller = sessions.caller(session, trace_id=trace.current())
        content = await worklists.read(connection, caller, session, now=now)
    if content is None:  # the unit was removed under an open session
        raise SignInNeededError("sign in again")
    return session, content


def _rendered(
    template: str, request: Request, parts: Parts, session: Session, content: Worklist
) -> str:
    words = language_of(request, parts)
    reader = Reader(words, parts.settings.timezone, parts.clock())
    return parts.templates.render(
        template,
        words,
        page=worklist.page(content, reader),
        unit=content.unit,
        session=session,
        is_demo=parts.settings.demo,
        languages=[(each.code, each.locale.language_name) for each in parts.catalogues.values()],
    )


async def _stream(hub: Hub, session: Session) -> AsyncIterator[str]:
    """Write server-sent events; the browser is told to come back soon after a break."""
    yield "retry: 1000\n\n"
    try:
        watching = hub.watch(session.care_unit_id, session.cookie_digest)
        async with asyncio.timeout(_STREAM_S), aclosing(watching) as changes:
            async for version in changes:
                if version is None:
                    # When the canary's newest reading was measured that came through; its age is
                    # the reader's to tell, so that it grows also while nothing is heard.
                    at = hub.canary_at
                    yield f"event: beat\ndata:{at.isoformat() if at else ''}\n\n"
                else:
                    yield f"event: worklist\ndata: {version}\n\n"
    except TimeoutError:
        return
