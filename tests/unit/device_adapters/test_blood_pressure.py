"""The Blood Pressure Service's codecs, adapter and conversation."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.readings import CuffStatus, Kind, UnsupportedFrame
from device_adapters.errors import DecodeError, FieldError, TruncatedError
from device_adapters.gatt.blood_pressure import (
    ADAPTER,
    FEATURE,
    INTERMEDIATE_CUFF_PRESSURE,
    MEASUREMENT,
    SERVICE,
    decode_feature,
    decode_intermediate_cuff_pressure,
    decode_measurement,
)
from device_adapters.session import Disconnect, Subscribe, read_frame
from tests.unit.device_adapters.vectors import Vector, differences, flags, readable, refused

ALL_FIELDS = bytes.fromhex("1fa0f06ef08ef0ea070301071f054800030400")


@readable("blood_pressure_measurement.json")
def test_decodes_what_the_source_says(vector: Vector) -> None:
    expected = dict(vector.expected)
    status_bits = expected.pop("status_bits", None)

    reading = decode_measurement(vector.value)

    assert differences(reading, expected) == {}
    if status_bits is not None:
        assert flags(CuffStatus(reading.status or 0)) == status_bits


@refused("blood_pressure_measurement.json")
def test_refuses_what_breaks_the_specification(vector: Vector) -> None:
    assert vector.error is not None
    with pytest.raises(vector.error):
        decode_measurement(vector.value)


@refused("blood_pressure_measurement.json")
def test_a_refused_frame_becomes_an_unsupported_one(vector: Vector) -> None:
    frame = read_frame(ADAPTER, MEASUREMENT, vector.value)

    assert isinstance(frame, UnsupportedFrame)
    assert frame.is_truncated == (vector.error is TruncatedError)
    assert frame.kind is (Kind.INCOMPLETE if frame.is_truncated else Kind.UNSUPPORTED_FRAME)


@pytest.mark.parametrize("length", range(len(ALL_FIELDS)))
def test_refuses_every_truncation(length: int) -> None:
    with pytest.raises(TruncatedError):
        decode_measurement(ALL_FIELDS[:length])


def test_an_error_names_the_field_and_the_bytes_it_lacks() -> None:
    with pytest.raises(TruncatedError, match=r"^pulse rate: needed 2 byte\(s\), 1 left$"):
        decode_measurement(bytes.fromhex("04780050005a0048"))


@given(st.binary(max_size=24))
def test_any_bytes_give_a_reading_or_a_decode_error(value: bytes) -> None:
    with suppress(DecodeError):
        decode_measurement(value)


@readable("intermediate_cuff_pressure.json")
def test_decodes_an_intermediate_pressure(vector: Vector) -> None:
    assert differences(decode_intermediate_cuff_pressure(vector.value), vector.expected) == {}


@given(st.binary(max_size=24))
def test_any_bytes_give_an_intermediate_pressure_or_a_decode_error(value: bytes) -> None:
    with suppress(DecodeError):
        decode_intermediate_cuff_pressure(value)


@readable("blood_pressure_feature.json")
def test_decodes_a_feature(vector: Vector) -> None:
    assert flags(decode_feature(vector.value)) == sorted(vector.expected["feature"])


@refused("blood_pressure_feature.json")
def test_refuses_a_feature_of_another_length(vector: Vector) -> None:
    assert vector.error is not None
    with pytest.raises(vector.error):
        decode_feature(vector.value)


def test_keeps_feature_bits_of_a_later_version() -> None:
    assert decode_feature(b"\x00\x80") == 0x8000


def test_an_intermediate_pressure_is_no_reading() -> None:
    assert ADAPTER.decode(INTERMEDIATE_CUFF_PRESSURE, bytes.fromhex("009a00ff07ff07")) is None


def test_a_characteristic_of_another_service_is_refused() -> None:
    with pytest.raises(FieldError, match="not of this service"):
        ADAPTER.decode(FEATURE, b"\x00\x00")


def test_serves_what_advertises_its_service() -> None:
    assert ADAPTER.matches(None, [SERVICE])
    assert not ADAPTER.matches("Blood Pressure", [])
    assert frozenset({MEASUREMENT}) == ADAPTER.record_characteristics


def test_listens_until_the_cuff_hangs_up_or_falls_silent() -> None:
    session = ADAPTER.open({MEASUREMENT, FEATURE})

    assert session.start() == (Subscribe(MEASUREMENT),)
    assert session.receive(MEASUREMENT, ALL_FIELDS) == ()
    assert session.expire() == (Disconnect(),)
    assert 5 < session.idle_s < 60
