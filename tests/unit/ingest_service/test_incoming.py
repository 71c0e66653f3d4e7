"""Messages are taken apart without trusting any of it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.messages import (
    Delivery,
    VoidRecord,
    encode,
    encode_message,
)
from ingest_service.admission.incoming import Incoming, Reason, take_apart
from ingest_service.admission.outcome import runs_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EPOCH = UUID(int=1)


def message(payload: bytes, properties: list[tuple[str, str]] | None = None) -> Incoming:
    given_properties = (
        properties
        if properties is not None
        else Delivery(epoch=EPOCH, first=4, count=2, schema="1.0").to_properties()
    )
    return Incoming(
        gateway_id="gateway-1", properties=given_properties, payload=payload, received_at=NOW
    )


@given(st.binary(max_size=200), st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8))))
def test_any_bytes_and_properties_give_entries(
    payload: bytes, properties: list[tuple[str, str]]
) -> None:
    entries = take_apart(message(payload, properties))

    assert entries
    assert all(entry.refusal for entry in entries)


@given(st.binary(max_size=200))
def test_every_announced_number_is_accounted_for(payload: bytes) -> None:
    assert [entry.number for entry in take_apart(message(payload))] == [4, 5]


def test_one_bad_record_does_not_spoil_its_neighbour() -> None:
    void = encode(VoidRecord(reason="over the limit", trace_id="0" * 32))

    good, bad = take_apart(message(encode_message(NOW, [void, b'{"type":"reading"}'])))

    assert isinstance(good.record, VoidRecord)
    assert good.refusal is None
    assert bad.refusal is not None
    assert bad.refusal.reason is Reason.SCHEMA


def test_runs_join_what_is_consecutive() -> None:
    void = encode(VoidRecord(reason="x", trace_id="0" * 32))
    entries = take_apart(message(encode_message(NOW, [void, void])))

    assert runs_of(entries) == [("gateway-1", EPOCH, 4, 5)]


# docs/reference/quarantine.md: `undecodable` is no JSON, and JSON is UTF-8 (RFC 8259, 8.1).
def test_a_record_that_is_no_text_is_undecodable() -> None:
    void = b'{"type":"void","reason":"\xff","trace_id":"' + b"0" * 32 + b'"}'

    [entry, _] = take_apart(message(encode_message(NOW, [void, void])))

    assert entry.refusal is not None
    assert entry.refusal.reason is Reason.UNDECODABLE


@pytest.mark.parametrize("version", ["", "x", "1x", "-1", "1.x", "2026-11-25", "1.0\n"])
def test_a_version_that_is_none_is_no_newer_one(version: str) -> None:
    properties = Delivery(epoch=EPOCH, first=4, count=2, schema=version).to_properties()

    entries = take_apart(message(b"{}", properties))

    assert [entry.number for entry in entries] == [4, 5]
    assert {entry.refusal and entry.refusal.reason for entry in entries} == {Reason.UNDECODABLE}


_NAME = "Kanarie Fågelsson"


@pytest.mark.parametrize(
    ("payload", "properties"),
    [
        (b'{"type":"%s"}', None),
        (b'{"type":"reading","time_quality":"%s"}', None),
        (b'{"type":"time_correction","time_quality":"it\'s %s \' or"}', None),
        (b"{}", [(_NAME, "x"), (_NAME, "x")]),
        (b"{}", [("epoch", str(EPOCH)), ("first", "1"), ("count", "1"), ("schema", _NAME)]),
    ],
)
def test_what_waits_does_not_say_what_it_holds(
    payload: bytes, properties: list[tuple[str, str]] | None
) -> None:
    record = payload.replace(b"%s", _NAME.encode())

    entries = take_apart(message(encode_message(NOW, [record, record]), properties))

    details = [entry.refusal.detail for entry in entries if entry.refusal]
    assert len(details) == len(entries)
    assert not [detail for detail in details if any(word in detail for word in _NAME.split())]
