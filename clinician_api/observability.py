"""Logs, metrics, and what a supervisor asks: is it alive, can it do its work?"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from clinician_api import trace

_LEFT_OUT: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "taskName"),
    "color_message",  # uvicorn's, the same again for terminals
}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: at, level, logger, message, and what ``extra`` gave."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; the trace of the request that is being served is in it."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace_id := trace.current():
            line["trace_id"] = trace_id
        line |= {name: each for name, each in vars(record).items() if name not in _LEFT_OUT}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class Metrics:
    """What is counted about requests; routes stand for paths, which may hold ids."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "hemvital_api_requests_total",
            "Requests answered",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "hemvital_api_request_seconds",
            "Time until a request was answered whole; event streams are left out",
            ("route",),
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )


def log_as_json(level: str) -> None:
    """Write everything that is logged to standard error as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # It logs an address for every call to the identity provider, and those hold codes.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def monitoring_app(
    metrics: Metrics,
    *,
    is_ready: Callable[[], Awaitable[str | None]],
    canary_at: Callable[[], datetime | None] = lambda: None,
) -> Starlette:
    """Return the application for the monitoring port.

    Args:
        metrics: What ``/metrics`` shows.
        is_ready: Returns nothing when the service can do its work, else the reason.
        canary_at: Returns the newest reading of the canary that the pages heard of.
    """

    async def canary(_request: Request) -> Response:
        at = canary_at()
        return JSONResponse({"passed_at": at.isoformat() if at else None})

    async def show_metrics(_request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        reason = await is_ready()
        return PlainTextResponse(f"{reason or 'ok'}\n", status_code=503 if reason else 200)

    return Starlette(
        routes=[
            Route("/metrics", show_metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/canary", canary),
        ]
    )
