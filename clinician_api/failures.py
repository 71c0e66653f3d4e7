"""Every error as an answer: an OperationOutcome under /fhir, a page with a sentence elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from psycopg import OperationalError
from psycopg.errors import QueryCanceled
from starlette.exceptions import HTTPException

from clinician_api import trace
from clinician_api.errors import ApiError, SignInNeededError
from clinician_api.fhir.outcome import outcome
from clinician_api.parts import parts
from clinician_api.routes.observations import FHIR_JSON
from clinician_api.visit import language_of

logger = logging.getLogger(__name__)

# What scripts fetch: they are told that nobody is signed in, and a person's browser is sent there.
_FRAGMENTS: Final = ("/worklist/rows", "/worklist/events", "/session", "/fhir")

# FHIR issue types for what the framework itself refuses.
_CODES: Final = {
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "not-supported",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid",
}


def add_handlers(app: FastAPI) -> None:
    """Have every error rendered here, the framework's own too."""

    async def of_ours(request: Request, error: Exception) -> Response:
        known = cast("ApiError", error)  # registered for ApiError only
        if known.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.warning("%s", known, extra={"cause": type(known.__cause__).__name__})
        return _answer(
            request, _Told(known.status, known.code, str(known), known.page), known.headers
        )

    async def of_nobody(request: Request, error: Exception) -> Response:
        if request.method == "GET" and not request.url.path.startswith(_FRAGMENTS):
            return RedirectResponse("/sign-in", status_code=303)
        return await of_ours(request, error)

    async def of_framework(request: Request, error: Exception) -> Response:
        known = cast("HTTPException", error)  # registered for HTTPException only
        status = HTTPStatus(known.status_code)
        told = _Told(status, _CODES.get(status, "processing"), status.phrase)
        return _answer(request, told, known.headers or {})

    async def of_validation(request: Request, _error: Exception) -> Response:
        # Its text quotes what was sent.
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return _answer(request, _Told(status, "invalid", "a parameter or field cannot be read"))

    async def of_database(request: Request, error: Exception) -> Response:
        logger.error("database not reached", extra={"error": type(error).__name__})
        text = "the database does not answer: try again soon"
        told = _Told(HTTPStatus.SERVICE_UNAVAILABLE, "transient", text)
        return _answer(request, told, {"Retry-After": "5"})

    async def of_cost(request: Request, _error: Exception) -> Response:
        logger.warning("a query took too long and was ended")
        text = "this takes too long: narrow the search"
        return _answer(request, _Told(HTTPStatus.SERVICE_UNAVAILABLE, "too-costly", text))

    async def of_ourselves(request: Request, _error: Exception) -> Response:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return _answer(request, _Told(status, "exception", "an error of this server"))

    app.add_exception_handler(ApiError, of_ours)
    app.add_exception_handler(SignInNeededError, of_nobody)
    app.add_exception_handler(HTTPException, of_framework)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(OperationalError, of_database)
    app.add_exception_handler(QueryCanceled, of_cost)  # one of those; the narrower one counts
    app.add_exception_handler(Exception, of_ourselves)


@dataclass(frozen=True, slots=True)
class _Told:
    status: HTTPStatus
    code: str
    text: str
    page: str = ""


def _answer(request: Request, told: _Told, headers: Mapping[str, str] | None = None) -> Response:
    if f"{request.url.path}/".startswith("/fhir/"):
        body = outcome(told.code, told.text, trace_id=trace.current())
        return Response(body, told.status, dict(headers or {}), media_type=FHIR_JSON)
    wired = parts(request)
    html = wired.templates.render(
        "error.html",
        language_of(request, wired),
        status=int(told.status),
        kind=told.page,
        trace_id=trace.current(),
    )
    return HTMLResponse(html, told.status, dict(headers or {}))
