"""The hand-over between shifts."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from clinician_api.pages import handover as pages
from clinician_api.parts import PartsOf
from clinician_api.roles import Right
from clinician_api.services import handover
from clinician_api.visit import visiting

router = APIRouter()


@router.get("/handover")
async def page(request: Request, parts: PartsOf) -> Response:
    """Return what is open at the unit, and what became of the rest within a day."""
    async with visiting(request, parts, Right.READ) as visit:
        found = await handover.read(visit.connection, visit.caller, now=visit.now)
        return visit.page("handover.html", page=pages.page(found, visit.reader))
