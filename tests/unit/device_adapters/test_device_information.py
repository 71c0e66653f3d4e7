"""The Device Information Service's strings and identifiers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.messages import Device
from device_adapters.errors import TrailingBytesError, TruncatedError
from device_adapters.gatt.device_information import (
    FIRMWARE,
    MANUFACTURER,
    MODEL,
    PnpId,
    decode_pnp_id,
    decode_system_id,
    decode_text,
    describe,
)
from tests.unit.device_adapters.vectors import Vector, load

VECTORS = load("device_information.json")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.id)
def test_decodes_what_the_source_says(vector: Vector) -> None:
    match vector.expected:
        case {"system_id": expected}:
            assert decode_system_id(vector.value) == expected
        case {"pnp": expected}:
            assert decode_pnp_id(vector.value) == PnpId(*expected)
        case other:
            assert decode_text(vector.value) == other["text"]


def test_refuses_identifiers_of_another_length() -> None:
    with pytest.raises(TruncatedError):
        decode_system_id(bytes(7))
    with pytest.raises(TrailingBytesError):
        decode_pnp_id(bytes(8))


@given(st.binary(max_size=600))
def test_any_bytes_give_a_short_printable_text_or_none(value: bytes) -> None:
    text = decode_text(value)

    assert text is None or (text.isprintable() and 0 < len(text) <= 128)


def test_describes_a_device_by_what_could_be_read() -> None:
    read = {MANUFACTURER: b"Example Medical AB\0", MODEL: b"BPM-100 ", FIRMWARE: b"\0\0"}

    assert describe("F0:A1:B2:C3:D4:E5", "x" * 300, read) == Device(
        id="F0:A1:B2:C3:D4:E5",
        name="x" * 128,
        manufacturer="Example Medical AB",
        model="BPM-100",
    )
