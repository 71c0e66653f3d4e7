"""The language that a reader chose."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from clinician_api.parts import PartsOf, SameOrigin
from clinician_api.routes.cookies import LANGUAGE, set_cookie

router = APIRouter()

_YEAR_S: Final = 365 * 24 * 3600


@router.post("/language", dependencies=[SameOrigin])
async def language(parts: PartsOf, code: Annotated[str, Form(max_length=8)]) -> Response:
    """Remember the language that the reader chose."""
    answer = RedirectResponse("/", status_code=303)
    if code in parts.catalogues:
        set_cookie(answer, LANGUAGE, code, max_age_s=_YEAR_S)
    return answer
