"""The nurse's worklist: the page, its moving part, and the signal that it changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Header, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from clinician_api.errors import BadRequestError, SignInNeededError
from clinician_api.pages import navigation, worklist
from clinician_api.pages.worklist import Page, View
from clinician_api.parts import PartsOf, SameOrigin
from clinician_api.roles import Right, rights_of
from clinician_api.routes.cookies import SESSION
from clinician_api.services import closing, sessions
from clinician_api.services import worklist as worklists
from clinician_api.services.live import Hub
from clinician_api.visit import Visit, visiting
from ingest_service.store.access import Session

router = APIRouter()

# A stream outlives no session by more than this: the browser then asks for a new one.
_STREAM_S: Final = 300.0


@router.get("/")
async def home(request: Request, parts: PartsOf) -> Response:
    """Send whoever comes to the page that they begin with."""
    async with parts.pool.connection() as connection:
        session = await sessions.find(
            connection,
            request.cookies.get(SESSION),
            parts.duration,
            now=parts.clock(),
            is_used=True,
        )
    return RedirectResponse(navigation.home(rights_of(session.roles)), status_code=303)


@router.get("/worklist")
async def page(
    request: Request, parts: PartsOf, *, again: bool = False, view: View = View.ALL
) -> Response:
    """Return the unit's worklist.

    ``again`` is how the page reloads itself where no script does: that is no use of the session.
    """
    async with visiting(request, parts, Right.READ, is_used=not again) as visit:
        return visit.page("worklist.html", page=await _content(visit, view))


@router.get("/worklist/rows")
async def rows(
    request: Request,
    parts: PartsOf,
    x_active: Annotated[bool, Header()] = False,
    view: View = View.ALL,
) -> Response:
    """Return the moving part of the worklist; 401 once the session has ended.

    ``X-Active`` tells that the reader did something since the last time: only that counts as use.
    """
    async with visiting(request, parts, Right.READ, is_used=x_active) as visit:
        return visit.page("rows.html", page=await _content(visit, view))


@router.post("/worklist/close", dependencies=[SameOrigin])
async def close(
    request: Request,
    parts: PartsOf,
    action_id: Annotated[UUID, Form()],
    outcome: Annotated[str, Form(max_length=64)],
    alert: Annotated[list[str] | None, Form(max_length=100)] = None,
) -> Response:
    """End the chosen alerts that only inform; each is given as its id, a colon, its version."""
    async with visiting(request, parts, Right.ACT) as visit:
        caller, now = visit.caller, visit.now
    await closing.close(
        parts.pool, caller, _chosen(alert or []), outcome=outcome, action_id=action_id, now=now
    )
    return RedirectResponse("/worklist", status_code=303)


@router.get("/worklist/events")
async def events(request: Request, parts: PartsOf) -> Response:
    """Stream a version number at each change of the unit's list, and signs of life between."""
    async with visiting(request, parts, Right.READ, is_used=False) as visit:
        session = visit.session
    return StreamingResponse(
        _stream(parts.hub, session, parts.clock),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


def _chosen(given: Sequence[str]) -> dict[UUID, int]:
    try:
        pairs = [one.partition(":") for one in given]
        return {UUID(name): int(version) for name, _, version in pairs}
    except ValueError as error:
        raise BadRequestError("an alert is an id, a colon and a version") from error


async def _content(visit: Visit, view: View) -> Page:
    content = await worklists.read(visit.connection, visit.caller, visit.session, now=visit.now)
    if content is None:  # the unit was removed under an open session
        raise SignInNeededError("sign in again")
    return worklist.page(content, visit.reader, hsa_id=visit.session.hsa_id, view=view)


async def _stream(hub: Hub, session: Session, clock: Callable[[], datetime]) -> AsyncIterator[str]:
    """Write server-sent events; the browser is told to come back soon after a break."""
    yield "retry: 1000\n\n"
    try:
        watching = hub.watch(session.care_unit_id, session.cookie_digest)
        async with asyncio.timeout(_STREAM_S), aclosing(watching) as changes:
            async for version in changes:
                if version is None:
                    yield f"event: beat\ndata:{_canary(hub, clock())}\n\n"
                else:
                    yield f"event: worklist\ndata: {version}\n\n"
    except TimeoutError:
        return


def _canary(hub: Hub, now: datetime) -> str:
    """Return when the canary's newest reading that came through was measured, and its age.

    The age in seconds: it grows on in the page also while nothing is heard, and the clock of the
    nurse's computer does not matter. Nothing where no canary was ever heard.
    """
    at = hub.canary_at
    return "" if at is None else f"{at.isoformat()} {(now - at).total_seconds():.0f}"
