"""The HTTPS side of enrolment: two addresses, and errors with a cause."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Final, TypeVar, cast

import msgspec
from fastapi import FastAPI, Request, Response
from psycopg import OperationalError
from psycopg.errors import QueryCanceled
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from clinician_api import trace
from clinician_api.edge import Edge
from clinician_api.enrolment import requests
from clinician_api.enrolment.authority import Authority, AuthorityError
from clinician_api.enrolment.errors import (
    BodyError,
    BodyTooLargeError,
    RefusedError,
    TooManyError,
)
from clinician_api.enrolment.issuing import Issuer, Terms
from clinician_api.enrolment.limits import Limit
from clinician_api.observability import Metrics
from device_adapters.contract import elements
from device_adapters.contract.elements import ContractError
from device_adapters.contract.enrolment import (
    CERTIFICATES_PATH,
    MAX_REQUEST_BYTES,
    RENEWALS_PATH,
    Cause,
    CertificateAnswer,
    EnrolmentRequest,
    Refusal,
    RenewalRequest,
)
from ingest_service.store import enrolment_codes
from ingest_service.store.connections import Pool
from ingest_service.store.enrolment_codes import Event
from ingest_service.store.gateway_certificates import NewCertificate

logger = logging.getLogger(__name__)

_BODY_S: Final = 10.0
_JSON: Final = "application/json"
_ENROLMENTS: Final = msgspec.json.Decoder(EnrolmentRequest)
_RENEWALS: Final = msgspec.json.Decoder(RenewalRequest)
_ALL: Final = "all"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the routes work with."""

    pool: Pool
    authority: Authority
    terms: Terms
    broker_host: str
    broker_port: int
    broker_authority: str
    clock: Callable[[], datetime]
    monotonic_s: Callable[[], float]
    # Refusals of one address and of all that are written down; renewals of one gateway.
    by_source: Limit = field(default_factory=lambda: Limit(10, 600))
    of_all: Limit = field(default_factory=lambda: Limit(300, 3600))
    by_gateway: Limit = field(default_factory=lambda: Limit(20, 3600))

    @property
    def issuer(self) -> Issuer:
        """Return who decides."""
        return Issuer(authority=self.authority, terms=self.terms)

    def allows_renewal(self, gateway_id: str) -> bool:
        """Count a renewal of a gateway if it may have one more."""
        return self.by_gateway.allows(gateway_id, self.monotonic_s())

    def answer(self, certificate: NewCertificate) -> Response:
        """Return what a gateway needs to come in with this certificate."""
        above = [each.public_bytes(requests.PEM).decode("ascii") for each in self.authority.chain]
        life = certificate.not_after - certificate.issued_at
        answer = CertificateAnswer(
            gateway_id=certificate.gateway_id,
            chain=requests.pem_of(certificate.certificate) + "".join(above),
            authority=self.broker_authority,
            broker_host=self.broker_host,
            broker_port=self.broker_port,
            renew_after=certificate.issued_at + life * 2 / 3,
        )
        return Response(msgspec.json.encode(answer), media_type=_JSON)


def create_app(parts: Parts, metrics: Metrics, *, is_https: bool) -> ASGIApp:
    """Return the application; it holds no state but ``parts``."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        async with parts.pool:
            yield

    app = FastAPI(
        title="Hemvital enrolment",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )

    async def enrol(request: Request) -> Response:
        asked = await _body(request, _ENROLMENTS)
        with_trace = trace.current()
        try:
            async with parts.pool.connection() as connection:
                certificate = await parts.issuer.enrol(
                    connection, asked, now=parts.clock(), trace_id=with_trace
                )
        except RefusedError as error:
            await _note_refusal(parts, request, "enrol", error)
            raise
        return parts.answer(certificate)

    async def renew(request: Request) -> Response:
        asked = await _body(request, _RENEWALS)
        with_trace = trace.current()
        try:
            async with parts.pool.connection() as connection:
                certificate = await parts.issuer.renew(
                    connection,
                    asked,
                    now=parts.clock(),
                    trace_id=with_trace,
                    allows=parts.allows_renewal,
                )
        except RefusedError as error:
            await _note_refusal(parts, request, "renew", error)
            raise
        return parts.answer(certificate)

    app.post(CERTIFICATES_PATH)(enrol)
    app.post(RENEWALS_PATH)(renew)
    _add_handlers(app)
    return Edge(app, metrics=metrics, is_https=is_https)


async def _body(request: Request, decoder: msgspec.json.Decoder[_T]) -> _T:
    """Return what was sent; bounded in size and in time, and never repeated in an error."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_REQUEST_BYTES:
                    raise BodyTooLargeError(f"the body is longer than {MAX_REQUEST_BYTES} bytes")
        return elements.decode(decoder, bytes(body))
    except TimeoutError as error:
        raise BodyError(f"the body did not come within {_BODY_S:.0f} s") from error
    except ClientDisconnect as error:
        raise BodyError("the sender left before the body was whole") from error
    except ContractError as error:
        raise BodyError(f"the body cannot be read: {error}") from error


async def _note_refusal(parts: Parts, request: Request, event: str, error: RefusedError) -> None:
    """Write a refusal down, unless there are too many: then nothing is, and that is the answer.

    Raises:
        TooManyError: If there are too many.
    """
    now_s = parts.monotonic_s()
    source = request.client.host if request.client else ""
    if not (parts.by_source.allows(source, now_s) and parts.of_all.allows(_ALL, now_s)):
        raise TooManyError("too much was refused from here: wait ten minutes") from error
    line = Event(
        at=parts.clock(),
        event=event,
        cause=error.cause,
        gateway_id=error.gateway_id,
        trace_id=trace.current(),
    )
    async with parts.pool.connection() as connection:
        await enrolment_codes.note(connection, line)
    logger.info("enrolment refused", extra={"cause": error.cause, "gateway_id": error.gateway_id})


def _add_handlers(app: FastAPI) -> None:
    async def of_refusal(_request: Request, error: Exception) -> Response:
        known = cast("RefusedError", error)  # registered for RefusedError only
        return _refusal(known.status, known.cause, str(known), known.headers)

    async def of_framework(_request: Request, error: Exception) -> Response:
        status = HTTPStatus(cast("HTTPException", error).status_code)  # registered for it only
        return _refusal(status, Cause.NOT_FOUND, status.phrase)

    async def of_database(_request: Request, error: Exception) -> Response:
        logger.error("database not reached", extra={"error": type(error).__name__})
        text = "the server cannot reach its database: try again soon"
        return _unavailable(HTTPStatus.SERVICE_UNAVAILABLE, text)

    async def of_authority(_request: Request, error: Exception) -> Response:
        logger.error("authority cannot issue", extra={"reason": str(error)})
        text = "the server's certificate authority cannot issue: its operator has to act"
        return _unavailable(HTTPStatus.SERVICE_UNAVAILABLE, text)

    async def of_ourselves(_request: Request, _error: Exception) -> Response:
        return _unavailable(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of this server")

    app.add_exception_handler(RefusedError, of_refusal)
    app.add_exception_handler(HTTPException, of_framework)
    app.add_exception_handler(OperationalError, of_database)
    app.add_exception_handler(QueryCanceled, of_database)
    app.add_exception_handler(AuthorityError, of_authority)
    app.add_exception_handler(Exception, of_ourselves)


def _unavailable(status: HTTPStatus, text: str) -> Response:
    return _refusal(status, Cause.UNAVAILABLE, text, {"Retry-After": "60"})


def _refusal(
    status: HTTPStatus, cause: Cause, text: str, headers: dict[str, str] | None = None
) -> Response:
    body = msgspec.json.encode(Refusal(cause=cause, text=text, trace_id=trace.current()))
    return Response(body, status, headers, media_type=_JSON)
