"""How the unit's alerts did."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request, Response

from clinician_api.pages import measures as pages
from clinician_api.parts import PartsOf
from clinician_api.roles import Right
from clinician_api.visit import visiting
from ingest_service.store import measures

router = APIRouter()

_DAYS: Final = 28


@router.get("/measures")
async def page(request: Request, parts: PartsOf) -> Response:
    """Return the unit's figures over four weeks; no patient is named, so no read is logged."""
    async with visiting(request, parts, Right.READ) as visit:
        found = await measures.of_unit(
            visit.connection,
            visit.caller,
            since=visit.now - timedelta(days=_DAYS),
            until=visit.now,
        )
        return visit.page("measures.html", page=pages.page(found, visit.reader, days=_DAYS))
