"""Finding a patient, and one patient's page."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from clinician_api.pages import patient as pages
from clinician_api.pages.people import person
from clinician_api.parts import PartsOf, SameOrigin
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


@router.post("/patients", dependencies=[SameOrigin])
async def search(
    request: Request, parts: PartsOf, q: Annotated[str, Form(max_length=100)] = ""
) -> Response:
    """Return the unit's patients with that in their name or number.

    By POST: what is looked for stands in no address, and in no history of a browser.
    """
    async with visiting(request, parts, Right.READ) as visit:
        found = await patients.search(visit.connection, visit.caller, q)
        people = [(each.id, person(each, visit.reader)) for each in found]
        return visit.page("search.html", people=people, asked=q.strip(), most=patients.MOST_FOUND)


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
