"""OperationOutcome: how every error is told to a FHIR client."""

from __future__ import annotations

import msgspec


def outcome(code: str, text: str, *, trace_id: str) -> bytes:
    """Return an OperationOutcome with one error.

    Args:
        code: FHIR issue type, for example ``not-found``.
        text: What is wrong, in words that hold no personal data.
        trace_id: Under which the server's log tells more.
    """
    return msgspec.json.encode(
        {
            "resourceType": "OperationOutcome",
            "issue": [
                {
                    "severity": "error",
                    "code": code,
                    "details": {"text": text},
                    "diagnostics": f"trace {trace_id}",
                }
            ],
        }
    )
