"""The Pulse Oximeter Service's codecs, adapter and conversation."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.readings import Kind
from device_adapters.errors import DecodeError, FieldError, TruncatedError
from device_adapters.gatt.pulse_oximeter import (
    ADAPTER,
    CONTINUOUS,
    FEATURES,
    SERVICE,
    SPOT_CHECK,
    decode_continuous,
    decode_features,
    decode_spot_check,
)
from device_adapters.gatt.record_access import CONTROL_POINT, is_write_allowed
from device_adapters.session import Command, Disconnect, Session, Subscribe, Write
from tests.unit.device_adapters.vectors import Vector, differences, readable, refused

ALL_FIELDS = bytes.fromhex("0facf3bef5e8070b1d170839204022000066e3")


@readable("plx_spot_check.json")
def test_decodes_what_the_source_says(vector: Vector) -> None:
    assert differences(decode_spot_check(vector.value), vector.expected) == {}


@refused("plx_spot_check.json")
def test_refuses_what_breaks_the_specification(vector: Vector) -> None:
    assert vector.error is not None
    with pytest.raises(vector.error):
        decode_spot_check(vector.value)


@pytest.mark.parametrize("length", range(len(ALL_FIELDS)))
def test_refuses_every_truncation(length: int) -> None:
    with pytest.raises(TruncatedError):
        decode_spot_check(ALL_FIELDS[:length])


@given(st.binary(max_size=24))
def test_any_bytes_give_a_reading_or_a_decode_error(value: bytes) -> None:
    with suppress(DecodeError):
        decode_spot_check(value)


@pytest.mark.parametrize("bit", [10, 11, 12, 13, 15])
def test_a_status_that_forbids_its_use_makes_it_a_failed_attempt(bit: int) -> None:
    reading = decode_spot_check(bytes.fromhex("0261004800") + (1 << bit).to_bytes(2, "little"))

    assert reading.kind is Kind.FAILED_ATTEMPT


@pytest.mark.parametrize("bit", [5, 6, 7, 8, 9, 14])
def test_every_other_status_leaves_it_a_measurement(bit: int) -> None:
    reading = decode_spot_check(bytes.fromhex("0261004800") + (1 << bit).to_bytes(2, "little"))

    assert reading.kind is Kind.MEASUREMENT


@readable("plx_continuous.json")
def test_decodes_a_continuous_measurement(vector: Vector) -> None:
    assert differences(decode_continuous(vector.value), vector.expected) == {}


@given(st.binary(max_size=24))
def test_any_bytes_give_a_continuous_measurement_or_a_decode_error(value: bytes) -> None:
    with suppress(DecodeError):
        decode_continuous(value)


@readable("plx_features.json")
def test_decodes_features(vector: Vector) -> None:
    expected = {**vector.expected, "features": sorted(vector.expected["features"])}

    assert differences(decode_features(vector.value), expected) == {}


@refused("plx_features.json")
def test_refuses_features_of_another_length(vector: Vector) -> None:
    assert vector.error is not None
    with pytest.raises(vector.error):
        decode_features(vector.value)


@pytest.mark.parametrize(
    ("characteristic", "value"),
    [(CONTINUOUS, "0061004800"), (CONTROL_POINT, "06000101")],
)
def test_a_stream_and_an_answer_are_no_readings(characteristic: str, value: str) -> None:
    assert ADAPTER.decode(characteristic, bytes.fromhex(value)) is None


def test_a_characteristic_of_another_service_is_refused() -> None:
    with pytest.raises(FieldError, match="not of this service"):
        ADAPTER.decode(FEATURES, b"\x00\x00")


def test_serves_what_advertises_its_service() -> None:
    assert ADAPTER.matches(None, [SERVICE])
    assert not ADAPTER.matches("Oximeter", [])
    assert frozenset({SPOT_CHECK}) == ADAPTER.record_characteristics


def test_subscribes_to_both_before_it_asks_for_all_records() -> None:
    assert a_session().start() == (
        Subscribe(SPOT_CHECK),
        Subscribe(CONTROL_POINT),
        Write(CONTROL_POINT, bytes.fromhex("0101")),
    )


@pytest.mark.parametrize("answer", ["06000101", "06000106"], ids=["success", "no records"])
def test_is_done_when_all_records_were_reported(answer: str) -> None:
    session = a_session()

    assert session.receive(SPOT_CHECK, ALL_FIELDS) == ()
    assert session.receive(CONTROL_POINT, bytes.fromhex(answer)) == (Disconnect(),)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("0600010a", "report of stored records: server_busy"),
        ("06000108", "report of stored records: not_completed"),
        ("0600010b", "answer of the control point: response code: 11 is not specified"),
        ("06", "answer of the control point: operator: needed 1 byte(s), 0 left"),
    ],
)
def test_hangs_up_and_says_why_when_the_report_fails(answer: str, problem: str) -> None:
    assert a_session().receive(CONTROL_POINT, bytes.fromhex(answer)) == (Disconnect(problem),)


@pytest.mark.parametrize("answer", ["06000301", "050003"], ids=["of an abort", "a count"])
def test_passes_over_answers_to_other_requests(answer: str) -> None:
    assert a_session().receive(CONTROL_POINT, bytes.fromhex(answer)) == ()


def test_aborts_a_report_that_does_not_end() -> None:
    assert a_session().expire() == (
        Write(CONTROL_POINT, bytes.fromhex("0300")),
        Disconnect("report of stored records: no answer in time"),
    )


def test_only_listens_where_there_is_no_control_point() -> None:
    session = ADAPTER.open({SPOT_CHECK, FEATURES})

    assert session.start() == (Subscribe(SPOT_CHECK),)
    assert session.expire() == (Disconnect(),)


@given(st.lists(st.tuples(st.sampled_from([SPOT_CHECK, CONTROL_POINT]), st.binary(max_size=24))))
def test_whatever_the_device_sends_no_command_is_refused(frames: list[tuple[str, bytes]]) -> None:
    session = a_session()

    commands: list[Command] = [*session.start()]
    for characteristic, value in frames:
        commands += session.receive(characteristic, value)
    commands += session.expire()

    writes = [command for command in commands if isinstance(command, Write)]
    assert writes
    assert all(is_write_allowed(write.characteristic, write.value) for write in writes)


def a_session() -> Session:
    return ADAPTER.open({SPOT_CHECK, FEATURES, CONTROL_POINT})
