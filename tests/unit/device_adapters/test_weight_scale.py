"""The Weight Scale Service's codec, adapter and conversation."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.readings import BodyWeight, Kind
from device_adapters.errors import DecodeError, FieldError, TruncatedError
from device_adapters.gatt.weight_scale import ADAPTER, MEASUREMENT, SERVICE, decode_measurement
from device_adapters.registry import choose
from device_adapters.session import Disconnect, Subscribe
from tests.unit.device_adapters.vectors import Vector, differences, readable, refused

ALL_FIELDS = bytes.fromhex("0ec832e9070c1f173b3a02d400db06")


@readable("weight_measurement.json")
def test_decodes_what_the_specification_says(vector: Vector) -> None:
    assert differences(decode_measurement(vector.value), vector.expected) == {}


@refused("weight_measurement.json")
def test_refuses_what_breaks_the_specification(vector: Vector) -> None:
    assert vector.error is not None
    with pytest.raises(vector.error):
        decode_measurement(vector.value)


@pytest.mark.parametrize("length", range(len(ALL_FIELDS)))
def test_refuses_every_truncation(length: int) -> None:
    with pytest.raises(TruncatedError):
        decode_measurement(ALL_FIELDS[:length])


def test_a_weight_is_as_fine_as_its_field() -> None:
    assert str(decode_measurement(bytes.fromhex("00343a")).weight) == "74.500"
    assert str(decode_measurement(bytes.fromhex("01983a")).weight) == "150.00"


@given(st.binary(max_size=18))
def test_any_bytes_give_a_reading_or_a_decode_error(value: bytes) -> None:
    with suppress(DecodeError):
        decode_measurement(value)


def test_an_unsuccessful_measurement_is_a_failed_attempt() -> None:
    assert decode_measurement(bytes.fromhex("00ffff")).kind is Kind.FAILED_ATTEMPT
    assert decode_measurement(ALL_FIELDS).kind is Kind.MEASUREMENT


def test_a_characteristic_of_another_service_is_refused() -> None:
    assert isinstance(ADAPTER.decode(MEASUREMENT, ALL_FIELDS), BodyWeight)
    with pytest.raises(FieldError, match="not of this service"):
        ADAPTER.decode("00002a9e-0000-1000-8000-00805f9b34fb", b"\x00" * 4)


def test_serves_what_advertises_its_service() -> None:
    adapters = {"weight-scale-service": ADAPTER}

    assert choose(adapters, None, [SERVICE]) == "weight-scale-service"
    assert choose(adapters, "Scale", []) is None
    assert frozenset({MEASUREMENT}) == ADAPTER.record_characteristics


def test_subscribes_and_listens() -> None:
    session = ADAPTER.open({MEASUREMENT})

    assert session.start() == (Subscribe(MEASUREMENT),)
    assert session.receive(MEASUREMENT, ALL_FIELDS) == ()
    assert session.expire() == (Disconnect(),)
