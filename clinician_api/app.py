"""The application, wired: routes, errors, static files and what runs beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from clinician_api import failures
from clinician_api.edge import Edge
from clinician_api.observability import Metrics
from clinician_api.pages.templates import STATIC, addresses
from clinician_api.parts import Parts
from clinician_api.routes import (
    alerts,
    directory,
    handover,
    language,
    measures,
    observations,
    patients,
    session,
    signin,
    worklist,
)
from ingest_service import stopping


class _Static(StaticFiles):
    """Files that may be kept for ever under an address that names their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        address = f"/static/{path}?{scope['query_string'].decode('latin-1')}"
        if address in addresses().values() and answer.status_code != HTTPStatus.NOT_FOUND:
            answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


def create_app(parts: Parts, metrics: Metrics) -> ASGIApp:
    """Return the application; it holds no state but ``parts``, which the caller opens."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        async with parts.pool, asyncio.TaskGroup() as tasks:
            dsn = parts.settings.database.get_secret_value()
            hearing = [
                tasks.create_task(parts.hub.run(dsn), name="hear changes"),
                tasks.create_task(parts.hub.hear_canary(dsn), name="hear the canary"),
            ]
            yield
            await stopping.end(hearing)

    app = FastAPI(
        title="Hemvital",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # such a redirect's address would be the Host header's
    )
    app.state.parts = parts
    for module in (
        *(observations, directory, signin, session, language),
        *(worklist, alerts, patients, handover, measures),
    ):
        app.include_router(module.router)
    app.mount("/static", _Static(directory=STATIC))
    failures.add_handlers(app)
    return Edge(app, metrics=metrics, is_https=parts.settings.public_url.startswith("https:"))
