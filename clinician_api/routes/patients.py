"""One patient's page."""

from __future__ import annotations

from enum import IntEnum
from uuid import UUID

from fastapi import APIRouter, Request, Response

from clinician_api.pages import patient as pages
from clinician_api.parts import PartsOf
from clinician_api.roles import Right
from clinician_api.services import patients
from clinician_api.visit import visiting

router = APIRouter()


class Period(IntEnum):
    """How many days a page looks back."""

    WEEK = 7
    FOUR_WEEKS = 28
    QUARTER = 90
    YEAR = 365


@router.get("/patients/{patient_id}")
async def page(
    request: Request, parts: PartsOf, patient_id: UUID, period: Period = Period.FOUR_WEEKS
) -> Response:
    """Return what a patient measured over a period, against the limits in force now."""
    async with visiting(request, parts, Right.READ) as visit:
        known = await patients.read(
            visit.connection, visit.caller, patient_id, days=period.value, now=visit.now
        )
        return visit.page("patient.html", page=pages.page(known, visit.reader, days=period.value))
