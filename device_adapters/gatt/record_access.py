"""Record Access Control Point (0x2A52): asking a device for its stored records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from device_adapters.errors import FieldError
from device_adapters.gatt.reader import Reader

CONTROL_POINT: Final = "00002a52-0000-1000-8000-00805f9b34fb"

REPORT_ALL: Final = b"\x01\x01"
ABORT: Final = b"\x03\x00"
COUNT_ALL: Final = b"\x04\x01"

_ALLOWED: Final = frozenset({REPORT_ALL, ABORT, COUNT_ALL})
_NULL: Final = 0  # the operator of every response


class Opcode(IntEnum):
    """Procedures and their responses. Ours never delete: see `is_write_allowed`."""

    REPORT = 1
    DELETE = 2
    ABORT = 3
    COUNT = 4
    COUNT_RESPONSE = 5
    RESPONSE = 6


class ResponseCode(IntEnum):
    """How a procedure ended."""

    SUCCESS = 1
    OPCODE_NOT_SUPPORTED = 2
    INVALID_OPERATOR = 3
    OPERATOR_NOT_SUPPORTED = 4
    INVALID_OPERAND = 5
    NO_RECORDS = 6
    ABORT_UNSUCCESSFUL = 7
    NOT_COMPLETED = 8
    OPERAND_NOT_SUPPORTED = 9
    SERVER_BUSY = 10


@dataclass(frozen=True, slots=True)
class Response:
    """The end of the procedure that ``request`` started."""

    request: int
    code: ResponseCode


@dataclass(frozen=True, slots=True)
class Count:
    """How many records the device holds."""

    records: int


def decode_answer(value: bytes) -> Response | Count:
    """Decode what the control point indicates.

    Layout: opcode u8, operator u8 (null), then for a response the request's opcode u8 and a code
    u8; for a count the number, little-endian, as wide as the profile makes it (1 to 4 bytes).

    Raises:
        TruncatedError: If a field is missing.
        TrailingBytesError: If bytes follow a response's code.
        FieldError: If it is no answer, or its operator or code is not a specified one.

    Source:
        Bluetooth SIG, GATT Specification Supplement, Record Access Control Point.
    """
    reader = Reader(value)
    opcode, operator = reader.uint("opcode", 1), reader.uint("operator", 1)
    if operator != _NULL:
        raise FieldError(f"operator: {operator} in an answer, expected {_NULL}")
    if opcode == Opcode.COUNT_RESPONSE:
        return Count(_count(reader))
    if opcode != Opcode.RESPONSE:
        raise FieldError(f"opcode: {opcode} is no answer")
    request, code = reader.uint("request opcode", 1), reader.uint("response code", 1)
    reader.finish()
    try:
        return Response(request, ResponseCode(code))
    except ValueError as error:
        raise FieldError(f"response code: {code} is not specified") from error


def is_write_allowed(characteristic: str, value: bytes) -> bool:
    """Tell whether the gateway may write this; it asks before every write, for every adapter.

    Only what reads: report, count and abort. Commands that delete, reset or inflate stand beside
    those that read, and a home device's memory may be the only copy of a reading.
    """
    return characteristic == CONTROL_POINT and value in _ALLOWED


def _count(reader: Reader) -> int:
    number = reader.rest()
    if len(number) not in {1, 2, 4}:
        raise FieldError(f"number of records: {len(number)} byte(s), expected 1, 2 or 4")
    return int.from_bytes(number, "little")
