"""The Record Access Control Point (0x2A52) of a device that reports all records, or counts them.

Source:
    Bluetooth SIG, GATT Specification Supplement, Record Access Control Point; Pulse Oximeter
    Service 1.0.1, section 3.4.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

_NULL: Final = 0


class OpCode(IntEnum):
    """What a host asks for, and what the device answers with."""

    REPORT = 1
    ABORT = 3
    COUNT = 4
    COUNT_RESPONSE = 5
    RESPONSE = 6


class Operator(IntEnum):
    """Which records; only all of them are served."""

    NULL = 0
    ALL = 1


class Outcome(IntEnum):
    """How a procedure ended."""

    SUCCESS = 1
    OP_CODE_NOT_SUPPORTED = 2
    INVALID_OPERATOR = 3
    OPERATOR_NOT_SUPPORTED = 4
    INVALID_OPERAND = 5
    NO_RECORDS = 6
    ABORT_UNSUCCESSFUL = 7


def response(request: int, outcome: Outcome) -> bytes:
    """Encode the answer to a request: op code, null operator, request's op code, outcome."""
    return bytes([OpCode.RESPONSE, _NULL, request, outcome])


def count_response(count: int) -> bytes:
    """Encode the answer to a count: op code, null operator, number of records u16."""
    return bytes([OpCode.COUNT_RESPONSE, _NULL]) + count.to_bytes(2, "little")


def refusal(request: bytes) -> bytes | None:
    """Return the answer to a request that cannot be served, or ``None`` for one that can."""
    op_code = request[0] if request else 0
    operator = request[1] if len(request) > 1 else Operator.NULL
    if op_code not in (OpCode.REPORT, OpCode.ABORT, OpCode.COUNT):
        return response(op_code, Outcome.OP_CODE_NOT_SUPPORTED)
    wanted = Operator.NULL if op_code == OpCode.ABORT else Operator.ALL
    if operator != wanted:
        is_known = Operator.NULL not in (operator, wanted) and operator <= 6  # noqa: PLR2004 - last
        outcome = Outcome.OPERATOR_NOT_SUPPORTED if is_known else Outcome.INVALID_OPERATOR
        return response(op_code, outcome)
    if len(request) > 2:  # noqa: PLR2004 - op code and operator; all records take no operand
        return response(op_code, Outcome.INVALID_OPERAND)
    return None
