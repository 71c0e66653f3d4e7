"""The control point's answers, and which writes are allowed."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.errors import DecodeError
from device_adapters.gatt import record_access
from device_adapters.gatt.date_time import DATE_TIME
from device_adapters.gatt.record_access import (
    CONTROL_POINT,
    Count,
    Response,
    ResponseCode,
    decode_answer,
    is_write_allowed,
)
from tests.unit.device_adapters.vectors import Vector, load, refused

ANSWERS = [each for each in load("record_access.json") if {"code", "count"} & set(each.expected)]
REQUESTS = [each for each in load("record_access.json") if "we_write" in each.expected]


@pytest.mark.parametrize("vector", ANSWERS, ids=lambda vector: vector.id)
def test_decodes_what_the_source_says(vector: Vector) -> None:
    match vector.expected:
        case {"count": records}:
            expected = Count(records)
        case other:
            expected = Response(other["request"], ResponseCode[other["code"]])

    assert decode_answer(vector.value) == expected


@refused("record_access.json")
def test_refuses_what_is_no_answer(vector: Vector) -> None:
    assert vector.error is not None
    with pytest.raises(vector.error):
        decode_answer(vector.value)


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda vector: vector.id)
def test_asks_as_the_source_does(vector: Vector) -> None:
    assert getattr(record_access, vector.expected["we_write"]) == vector.value


@given(st.binary(max_size=24))
def test_any_bytes_give_an_answer_or_a_decode_error(value: bytes) -> None:
    with suppress(DecodeError):
        decode_answer(value)


@pytest.mark.parametrize("value", ["0101", "0300", "0401"], ids=["report", "abort", "count"])
def test_allows_what_only_reads(value: str) -> None:
    assert is_write_allowed(CONTROL_POINT, bytes.fromhex(value))


@given(st.binary(max_size=20))
def test_never_allows_a_delete(operands: bytes) -> None:
    assert not is_write_allowed(CONTROL_POINT, b"\x02" + operands)


@pytest.mark.parametrize("value", ["", "01", "010100", "02", "0201", "0701"])
def test_allows_no_other_procedure(value: str) -> None:
    assert not is_write_allowed(CONTROL_POINT, bytes.fromhex(value))


def test_allows_no_other_characteristic() -> None:
    assert not is_write_allowed(DATE_TIME, bytes.fromhex("0101"))
