"""Logs, metrics and health of ingest's processes."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from ingest_service.admission.outcome import Outcome

logger = logging.getLogger(__name__)

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: at, level, logger, message and what ``extra`` gave."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line; an exception's traceback is a field of it."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_as_json(level: str) -> None:
    """Send every logger's lines to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class Health:
    """Why the process cannot do its work; ``None`` where it can."""

    def __init__(self, broker: Callable[[], str | None]) -> None:
        self.database: str | None = "database: not reached yet"
        self._broker = broker

    def trouble(self) -> str | None:
        """Return what is wrong in one line, or nothing."""
        return "; ".join(filter(None, (self._broker(), self.database))) or None


class Metrics:
    """What a worker counts; it holds ids of gateways nowhere, so series stay few."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._records = Counter(
            "hemvital_ingest_records",
            "Records dealt with, by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self._quarantined = Counter(
            "hemvital_ingest_quarantined",
            "Records and messages that went to the quarantine.",
            ["reason"],
            registry=self.registry,
        )
        self._foreign = Counter(
            "hemvital_ingest_foreign_records",
            "Readings stored of devices of another unit than their gateway's.",
            registry=self.registry,
        )
        self._alerts = Counter(
            "hemvital_ingest_alert_events",
            "Times that an alert was raised, raised again or joined.",
            registry=self.registry,
        )
        self._messages = Histogram(
            "hemvital_ingest_batch_messages",
            "Messages in one transaction.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "hemvital_ingest_batch_seconds",
            "Time from taking a batch to its acknowledgement.",
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60),
            registry=self.registry,
        )
        self._lag = Histogram(
            "hemvital_ingest_lag_seconds",
            "Time from receiving a batch's first message to its commit.",
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600),
            registry=self.registry,
        )
        self._queued = Gauge(
            "hemvital_ingest_queued_messages",
            "Messages received and not yet taken.",
            registry=self.registry,
        )

    def batch(
        self,
        outcomes: Iterable[Outcome],
        *,
        messages: int,
        seconds: float,
        lag_s: float,
        queued: int,
    ) -> None:
        """Count one batch."""
        self._messages.observe(messages)
        self._seconds.observe(seconds)
        self._lag.observe(lag_s)
        self._queued.set(queued)
        for outcome in outcomes:
            self._alerts.inc(outcome.alerts)
            self._foreign.inc(outcome.foreign.total())
            for name, count in outcome.counts.items():
                self._records.labels(name).inc(count)
            for one in outcome.refused:
                self._quarantined.labels(one.reason).inc()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    timeout = 5  # a client that says nothing is let go

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 its signature
        """Say nothing: a scrape every few seconds is no event."""


@contextmanager
def served(host: str, port: int, registry: CollectorRegistry, health: Health) -> Generator[int]:
    """Serve /metrics, /healthz and /readyz in a thread; yields the port, which may be given as 0.

    Raises:
        OSError: If the address cannot be had.
    """
    with make_server(host, port, _app(registry, health), _Server, _QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
        thread.start()
        logger.info("serving", extra={"host": host, "port": server.server_port})
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _app(
    registry: CollectorRegistry, health: Health
) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    def app(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        status, kind, text = "200 OK", "text/plain; charset=utf-8", "alive"
        match environment.get("PATH_INFO"):
            case "/metrics":
                kind, text = CONTENT_TYPE_LATEST, generate_latest(registry).decode()
            case "/healthz":
                pass
            case "/readyz":
                trouble = health.trouble()
                status = "503 Service Unavailable" if trouble else status
                text = trouble or "ready"
            case _:
                status, text = "404 Not Found", "no such page"
        start(status, [("Content-Type", kind)])
        return [text.encode()]

    return app
