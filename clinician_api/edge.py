"""Around every request: trace, security headers, one log line, metrics."""

from __future__ import annotations

import logging
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clinician_api import trace
from clinician_api.observability import Metrics

logger = logging.getLogger(__name__)

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_TRANSPORT: Final = "max-age=31536000; includeSubDomains"
_STREAM: Final = "/worklist/events"


class Edge:
    """Wraps an application; plain ASGI, so that event streams pass through as they are."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, is_https: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._headers = dict(_HEADERS)
        if is_https:
            self._headers["Strict-Transport-Security"] = _TRANSPORT

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":  # like a GET; the server leaves the body out
            scope = {**scope, "method": "GET"}
        trace_id = trace.begin(Headers(scope=scope).get("traceparent"))
        started, status = time.perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                headers = MutableHeaders(scope=message)
                for name, text in self._headers.items():
                    headers[name] = text
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Request-Id"] = trace_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            self._note(scope, method, status, time.perf_counter() - started)

    def _note(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        """Log by the route's pattern: paths hold ids, and query strings hold more."""
        route = str(getattr(scope.get("route"), "path", "unknown"))
        self._metrics.requests.labels(method, route, status).inc()
        if route != _STREAM:
            self._metrics.seconds.labels(route).observe(seconds)
        logger.info(
            "request",
            extra={
                "method": method,
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 1),
            },
        )
