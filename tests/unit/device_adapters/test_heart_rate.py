"""The Heart Rate Service's codec."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.readings import Kind
from device_adapters.errors import DecodeError, TruncatedError
from device_adapters.gatt.heart_rate import decode_measurement
from tests.unit.device_adapters.vectors import Vector, differences, readable, refused


@readable("heart_rate_measurement.json")
def test_decodes_what_the_source_says(vector: Vector) -> None:
    assert differences(decode_measurement(vector.value), vector.expected) == {}


@refused("heart_rate_measurement.json")
def test_refuses_what_breaks_the_specification(vector: Vector) -> None:
    assert vector.error is not None
    with pytest.raises(vector.error):
        decode_measurement(vector.value)


@pytest.mark.parametrize("length", range(6))
def test_refuses_every_truncation(length: int) -> None:
    with pytest.raises(TruncatedError):
        decode_measurement(bytes.fromhex("1e5532002100")[:length])


@given(st.binary(max_size=24))
def test_any_bytes_give_a_reading_or_a_decode_error(value: bytes) -> None:
    with suppress(DecodeError):
        decode_measurement(value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("0648", Kind.MEASUREMENT), ("0048", Kind.MEASUREMENT), ("0448", Kind.FAILED_ATTEMPT)],
    ids=["contact", "cannot tell", "no contact"],
)
def test_a_sensor_that_touches_nobody_measures_nobody(value: str, kind: Kind) -> None:
    assert decode_measurement(bytes.fromhex(value)).kind is kind
