"""Logs, metrics and health as others see them."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from gateway.observability import HealthServer, JsonFormatter, Metrics


@contextmanager
def health(problems: list[str]) -> Generator[HTTPConnection]:
    server = HealthServer("127.0.0.1", 0, Metrics(), lambda: problems)
    server.start()
    client = HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        yield client
    finally:
        client.close()
        server.stop()


@pytest.mark.parametrize(
    ("path", "problems", "status", "words"),
    [
        ("/healthz", ["no radio"], 200, "alive"),
        ("/readyz", [], 200, "ready"),
        ("/readyz", ["no radio", "no broker"], 503, "no radio\nno broker"),
        ("/metrics", [], 200, "hemvital_gateway_outbox_undelivered 0.0"),
        ("/secrets", [], 404, "not here"),
    ],
)
def test_health_is_told_over_http(path: str, problems: list[str], status: int, words: str) -> None:
    with health(problems) as client:
        client.request("GET", path)
        answer = client.getresponse()
        body = answer.read().decode()

    assert answer.status == status
    assert words in body


def test_a_log_line_is_one_json_object() -> None:
    record = logging.makeLogRecord(
        {
            "msg": "record queued",
            "levelname": "INFO",
            "name": "gateway.decoding",
            "created": 0.0,
            "trace_id": "a" * 32,
        }
    )

    line = JsonFormatter().format(record)

    assert json.loads(line) == {
        "at": "1970-01-01T00:00:00.000+00:00",
        "level": "INFO",
        "logger": "gateway.decoding",
        "message": "record queued",
        "trace_id": "a" * 32,
    }
