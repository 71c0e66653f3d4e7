"""How long the session has left, for the page that warns of its end."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from clinician_api.parts import Parts, PartsOf, SameOrigin
from clinician_api.routes.cookies import SESSION
from clinician_api.services import sessions

router = APIRouter()


@router.get("/session")
async def look(request: Request, parts: PartsOf) -> JSONResponse:
    """Return whose session it is and how many seconds it has left; 401 without one."""
    return await _session(request, parts, is_used=False)


@router.post("/session", dependencies=[SameOrigin])
async def keep(request: Request, parts: PartsOf) -> JSONResponse:
    """Keep it alive: whoever is there says so."""
    return await _session(request, parts, is_used=True)


async def _session(request: Request, parts: Parts, *, is_used: bool) -> JSONResponse:
    now = parts.clock()
    async with parts.pool.connection() as connection:
        found = await sessions.find(
            connection, request.cookies.get(SESSION), parts.duration, now=now, is_used=is_used
        )
    ends_at = parts.duration.ends_at(found.created_at, now if is_used else found.seen_at)
    left = max(0, int((ends_at - now).total_seconds()))
    return JSONResponse({"user": found.hsa_id, "left_s": left})
