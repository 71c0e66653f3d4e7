"""FHIR: the capability statement, and search and read of Observation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.utils import format_datetime
from typing import Annotated, Final
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response

from clinician_api import trace
from clinician_api.errors import (
    BadRequestError,
    NotAcceptableError,
    NotFoundError,
    TooLargeError,
    UnsupportedMediaTypeError,
)
from clinician_api.fhir import capability, ids
from clinician_api.fhir.cursor import pages_of
from clinician_api.fhir.search import Query, parse
from clinician_api.parts import BearerOf, Parts, PartsOf
from clinician_api.services import ehr
from clinician_api.tokens import Bearer
from ingest_service.store.observation_search import FoundObservation

router = APIRouter(prefix="/fhir")

FHIR_JSON: Final = "application/fhir+json"
_MAX_FORM_BYTES: Final = 64 * 1024
_MAX_FIELDS: Final = 100
_STRICT: Final = re.compile(r"(^|[,;])\s*handling\s*=\s*\"?strict\"?\s*($|[,;])", re.IGNORECASE)
_ACCEPTED: Final = re.compile(r"(application/(fhir\+)?json|text/json|(application|text)/\*|\*/\*)")

IfNoneMatch = Annotated[str | None, Header()]


@router.get("/metadata")
async def metadata(request: Request, parts: PartsOf) -> Response:
    """Return the CapabilityStatement; needs no token."""
    check_accept(request)
    statement = capability.statement(
        base_url=parts.settings.public_url,
        zone=parts.settings.timezone.key,
        years=parts.settings.search_years,
        date=parts.started_at,
    )
    return Response(statement, media_type=FHIR_JSON)


@router.get("/Observation")
async def search(request: Request, parts: PartsOf, bearer: BearerOf) -> Response:
    """Return one page of matching observations as a searchset Bundle."""
    return await _found(request, parts, bearer, _pairs(request.url.query.encode("ascii")))


@router.post("/Observation/_search")
async def search_by_form(request: Request, parts: PartsOf, bearer: BearerOf) -> Response:
    """Do the same for parameters that come as a form, and in the address."""
    form = _pairs(await _form(request))
    return await _found(request, parts, bearer, _pairs(request.url.query.encode("ascii")) + form)


@router.get("/Observation/{observation_id}")
async def read(
    request: Request,
    observation_id: str,
    parts: PartsOf,
    bearer: BearerOf,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return one observation with its version, or 304 where the client has it."""
    check_accept(request)
    wanted = logical_id(observation_id, "Observation")
    async with parts.pool.connection() as connection:
        caller = await ehr.admit(connection, bearer, "Observation", "r", trace_id=trace.current())
        found = await ehr.observation(connection, caller, wanted)
    return _answer(found, if_none_match)


def logical_id(text: str, resource_type: str) -> UUID:
    """Return a logical id, or raise `NotFoundError` for what none of ours looks like."""
    found = ids.logical_id(text)
    if found is None:
        raise NotFoundError(f"no such {resource_type}")
    return found


def check_accept(request: Request) -> None:
    """Raise `NotAcceptableError` for a client that takes no JSON."""
    accept = request.headers.get("accept", "*/*")
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if any(kinds) and not any(_ACCEPTED.fullmatch(kind) for kind in kinds):
        raise NotAcceptableError("only json is spoken here")


def etag(version: int) -> str:
    """Return a version as FHIR writes it in headers."""
    return f'W/"{version}"'


def is_known(if_none_match: str | None, tag: str) -> bool:
    """Tell whether the client names the version that it would get."""
    known = [each.strip() for each in (if_none_match or "").split(",")]
    return tag in known or tag.removeprefix("W/") in known or "*" in known


def _answer(found: FoundObservation, if_none_match: str | None) -> Response:
    tag = etag(found.version)
    headers = {
        "ETag": tag,
        "Last-Modified": format_datetime(found.last_updated, usegmt=True),
    }
    if is_known(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    return Response(found.resource, media_type=FHIR_JSON, headers=headers)


async def _found(
    request: Request, parts: Parts, bearer: Bearer, given: Sequence[tuple[str, str]]
) -> Response:
    check_accept(request)
    query = _query(request, parts, given)
    async with parts.pool.connection() as connection:
        caller = await ehr.admit(connection, bearer, "Observation", "s", trace_id=trace.current())
        page = await ehr.search(
            connection, caller, query, cursors=parts.cursors, fhir_url=parts.fhir_url
        )
    return Response(page, media_type=FHIR_JSON)


def _query(request: Request, parts: Parts, given: Sequence[tuple[str, str]]) -> Query:
    cursor = pages_of(given)
    position = None if cursor is None else parts.cursors.read(cursor)
    if position is not None:
        given = [*position.applied, *(each for each in given if each[0] == "_format")]
    query = parse(
        given,
        fhir_url=parts.fhir_url,
        is_strict=any(_STRICT.search(each) for each in request.headers.getlist("prefer")),
        now=parts.clock(),
        zone=parts.settings.timezone,
        years=parts.settings.search_years,
    )
    return query if position is None else query.after(position.at, position.row_id)


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            encoded.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as error:  # also UnicodeDecodeError
        raise BadRequestError("the parameters cannot be read") from error


async def _form(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise TooLargeError(f"the form is larger than {_MAX_FORM_BYTES} bytes")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/x-www-form-urlencoded":
        raise UnsupportedMediaTypeError("_search takes application/x-www-form-urlencoded")
    return body
