"""FHIR: the patients and devices that observations refer to."""

from __future__ import annotations

from email.utils import format_datetime

from fastapi import APIRouter, Request, Response

from clinician_api import trace
from clinician_api.parts import BearerOf, PartsOf
from clinician_api.routes.observations import (
    FHIR_JSON,
    IfNoneMatch,
    check_accept,
    etag,
    is_known,
    logical_id,
)
from clinician_api.services import ehr
from fhir_mappings import resources

router = APIRouter(prefix="/fhir")


@router.get("/Patient/{patient_id}")
async def patient(
    request: Request,
    patient_id: str,
    parts: PartsOf,
    bearer: BearerOf,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return one patient with its version, or 304 where the client has it."""
    check_accept(request)
    wanted = logical_id(patient_id, "Patient")
    async with parts.pool.connection() as connection:
        caller = await ehr.admit(connection, bearer, "Patient", "r", trace_id=trace.current())
        found = await ehr.patient(connection, caller, wanted)
    tag = etag(found.version)
    headers = {"ETag": tag, "Last-Modified": format_datetime(found.last_updated, usegmt=True)}
    if is_known(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    return Response(resources.patient(found), media_type=FHIR_JSON, headers=headers)


@router.get("/Device/{device_id}")
async def device(request: Request, device_id: str, parts: PartsOf, bearer: BearerOf) -> Response:
    """Return one cuff, oximeter or gateway."""
    check_accept(request)
    wanted = logical_id(device_id, "Device")
    async with parts.pool.connection() as connection:
        caller = await ehr.admit(connection, bearer, "Device", "r", trace_id=trace.current())
        found = await ehr.device(connection, caller, wanted)
    return Response(found, media_type=FHIR_JSON)
