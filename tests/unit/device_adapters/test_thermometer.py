"""The Health Thermometer Service's codec, adapter and conversation."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.readings import BodyTemperature, Kind, UnsupportedFrame
from device_adapters.errors import DecodeError, FieldError, TruncatedError
from device_adapters.gatt.thermometer import (
    ADAPTER,
    INTERMEDIATE_TEMPERATURE,
    MEASUREMENT,
    SERVICE,
    decode_temperature,
)
from device_adapters.registry import choose
from device_adapters.session import Disconnect, Subscribe, read_frame
from tests.unit.device_adapters.vectors import Vector, differences, readable, refused

ALL_FIELDS = bytes.fromhex("06b00e00fedc070c050b321b04")


@readable("temperature_measurement.json")
def test_decodes_what_the_source_says(vector: Vector) -> None:
    assert differences(decode_temperature(vector.value), vector.expected) == {}


@refused("temperature_measurement.json")
def test_refuses_what_breaks_the_specification(vector: Vector) -> None:
    assert vector.error is not None
    with pytest.raises(vector.error):
        decode_temperature(vector.value)


@pytest.mark.parametrize("length", range(len(ALL_FIELDS)))
def test_refuses_every_truncation(length: int) -> None:
    with pytest.raises(TruncatedError):
        decode_temperature(ALL_FIELDS[:length])


def test_keeps_the_precision_that_was_sent() -> None:
    assert str(decode_temperature(ALL_FIELDS).temperature) == "37.60"


@given(st.binary(max_size=16))
def test_any_bytes_give_a_reading_or_a_decode_error(value: bytes) -> None:
    with suppress(DecodeError):
        decode_temperature(value)


def test_a_temperature_that_is_no_number_is_a_failed_attempt() -> None:
    assert decode_temperature(bytes.fromhex("00ffff7f00")).kind is Kind.FAILED_ATTEMPT
    assert decode_temperature(ALL_FIELDS).kind is Kind.MEASUREMENT


def test_a_frame_that_no_record_can_carry_travels_as_bytes() -> None:
    found = read_frame(ADAPTER, MEASUREMENT, bytes.fromhex("000100007f"))

    assert found == UnsupportedFrame(reason="temperature: power of ten out of range")


def test_a_temperature_on_its_way_up_is_no_reading() -> None:
    assert ADAPTER.decode(INTERMEDIATE_TEMPERATURE, ALL_FIELDS) is None
    assert isinstance(ADAPTER.decode(MEASUREMENT, ALL_FIELDS), BodyTemperature)


def test_a_characteristic_of_another_service_is_refused() -> None:
    with pytest.raises(FieldError, match="not of this service"):
        ADAPTER.decode("00002a35-0000-1000-8000-00805f9b34fb", ALL_FIELDS)


def test_serves_what_advertises_its_service() -> None:
    adapters = {"health-thermometer-service": ADAPTER}

    assert choose(adapters, None, [SERVICE]) == "health-thermometer-service"
    assert choose(adapters, "Thermometer", []) is None
    assert frozenset({MEASUREMENT}) == ADAPTER.record_characteristics


def test_subscribes_to_measurements_alone_and_listens() -> None:
    session = ADAPTER.open({MEASUREMENT, INTERMEDIATE_TEMPERATURE})

    assert session.start() == (Subscribe(MEASUREMENT),)
    assert session.receive(MEASUREMENT, ALL_FIELDS) == ()
    assert session.expire() == (Disconnect(),)
