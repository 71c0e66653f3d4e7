"""What the gateway shows of itself: logs, metrics, health."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics import Counter, Gauge, Histogram

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

# From a good disk's flush to a slow card's.
_JOURNAL_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: at, level, logger, message and what was given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def set_up_logs(level: str) -> None:
    """Write logs as JSON lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # bleak tells every D-Bus message at DEBUG, payloads with it.
    logging.getLogger("bleak").setLevel(logging.WARNING)


class Metrics:
    """Counters of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.indications = self._counter("indications", "Values received from devices.")
        self.journal_seconds = Histogram(
            "hemvital_gateway_journal_seconds",
            "From a value's arrival in the process to its being on the disk.",
            buckets=_JOURNAL_BUCKETS,
            registry=self.registry,
        )
        self.decoded = self._counter("decoded", "Journal entries made into records.")
        self.corrected = self._counter("corrected", "Records whose time was corrected.")
        self.sent = self._counter("sent", "Records handed to the broker's client.")
        self.resent = self._counter("resent", "Of those, sent before without a receipt.")
        self.receipted = self._counter("receipted", "Records that the server has dealt with.")
        self.connects = self._counter("connects", "Connections to devices.")
        self.failures = Counter(
            "hemvital_gateway_failures", "What went wrong.", ["kind"], registry=self.registry
        )
        self.undelivered = self._gauge("outbox_undelivered", "Records without a receipt.")
        self.oldest_undelivered_seconds = self._gauge(
            "oldest_undelivered_seconds", "Age of the oldest record without a receipt."
        )
        self.is_broker_connected = self._gauge("broker_connected", "1 while connected.")
        self.events_dropped = self._gauge("events_dropped", "Events that gave way to newer ones.")
        self.is_clock_synchronised = self._gauge("clock_synchronised", "1 while it is.")

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"hemvital_gateway_{name}", text, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"hemvital_gateway_{name}", text, registry=self.registry)


class HealthServer:
    """``/healthz``, ``/readyz`` and ``/metrics`` over plain HTTP, in threads of their own.

    Args:
        host: A loopback address.
        port: 0 takes a free one.
        metrics: What ``/metrics`` shows.
        problems: Returns what keeps the gateway from its work, in words; called in a thread, so
            it only reads.
    """

    def __init__(
        self,
        host: str,
        port: int,
        metrics: Metrics,
        problems: Callable[[], Iterable[str]],
    ) -> None:
        self._metrics = metrics
        self._problems = problems
        self._server = make_server(
            host, port, self._answer, server_class=_Server, handler_class=_Handler
        )
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="health", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        status, kind, body = self._page(environment.get("PATH_INFO", ""))
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _page(self, path: str) -> tuple[str, str, bytes]:
        text = "text/plain; charset=utf-8"
        match path:
            case "/metrics":
                return "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._metrics.registry)
            case "/healthz":
                return "200 OK", text, b"alive\n"
            case "/readyz":
                problems = list(self._problems())
                if problems:
                    return "503 Service Unavailable", text, ("\n".join(problems) + "\n").encode()
                return "200 OK", text, b"ready\n"
            case _:
                return "404 Not Found", text, b"not here\n"


class _Server(ThreadingMixIn, WSGIServer):
    """One thread a request, so that a client that says nothing blocks nobody."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    """Says nothing, and hangs up on a client that says nothing."""

    timeout = 5.0

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Leave requests out of the log: they come every few seconds."""
