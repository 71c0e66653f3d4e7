"""One id that follows a request through its logs, its errors and the access log."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from typing import Final

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str] = ContextVar("trace_id", default="")


def begin(traceparent: str | None) -> str:
    """Begin a request: go on with the trace that its header names, else begin one.

    Source:
        W3C Trace Context, 3.2 traceparent.
    """
    match = _TRACEPARENT.fullmatch(traceparent or "")
    trace_id = match["trace"] if match else secrets.token_hex(16)
    _current.set(trace_id)
    return trace_id


def current() -> str:
    """Return the id of the request that is being served; empty outside one."""
    return _current.get()
