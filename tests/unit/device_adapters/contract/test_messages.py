"""The contract: what every release must read, and what it must refuse."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.messages import (
    MAX_SENT_BYTES,
    ContractError,
    Delivery,
    Measuring,
    ReadingRecord,
    Record,
    TimeCorrection,
    VoidRecord,
    decode_delivery,
    decode_message,
    decode_record,
    encode,
    is_supported,
)
from device_adapters.contract.readings import (
    MAX_SAMPLES,
    NAN,
    BloodPressure,
    BodyTemperature,
    BodyWeight,
    HeartRate,
    Kind,
    OximetrySeries,
    PulseOximetry,
    TemperatureSite,
    TemperatureUnit,
)
from device_adapters.contract.standing import decode_status
from device_adapters.gatt.blood_pressure import ADAPTER as CUFF
from device_adapters.gatt.pulse_oximeter import ADAPTER as OXIMETER
from device_adapters.gatt.thermometer import ADAPTER as THERMOMETER
from device_adapters.gatt.weight_scale import ADAPTER as SCALE
from device_adapters.ieee11073 import sfloat
from device_adapters.session import read_frame

ENVELOPES = Path(__file__).parents[3] / "vectors" / "envelopes"
ADAPTERS = {
    "blood-pressure-service": CUFF,
    "health-thermometer-service": THERMOMETER,
    "pulse-oximeter-service": OXIMETER,
    "weight-scale-service": SCALE,
}


class Envelope(msgspec.Struct):
    """A message as it was on the wire."""

    properties: list[tuple[str, str]]
    payload: msgspec.Raw


@pytest.mark.parametrize("path", sorted(ENVELOPES.glob("*.json")), ids=lambda path: path.stem)
def test_reads_the_envelopes_of_every_release(path: Path) -> None:
    delivery, records = read(path)

    assert is_supported(delivery.schema)
    assert len(records) == len(delivery.numbers) == 6


def test_reads_every_kind_of_record_in_an_old_envelope() -> None:
    delivery, records = read(ENVELOPES / "1.0.json")

    assert list(delivery.numbers) == [41, 42, 43, 44, 45, 46]
    assert [type(record) for record in records] == [
        *[ReadingRecord] * 4,
        VoidRecord,
        TimeCorrection,
    ]


def test_reads_in_an_old_envelope_what_was_meant() -> None:
    _, (pressure, failed, oximetry, unsupported, _, _) = read(ENVELOPES / "1.0.json")

    assert isinstance(pressure, ReadingRecord)
    assert pressure.effective_at.isoformat() == "2026-03-01T07:31:05+01:00"
    assert isinstance(pressure.reading, BloodPressure)
    assert pressure.reading.systolic == Decimal(124)
    assert isinstance(failed, ReadingRecord)
    assert isinstance(failed.reading, BloodPressure)
    assert failed.reading.systolic == NAN
    assert failed.reading.kind is Kind.FAILED_ATTEMPT
    assert isinstance(oximetry, ReadingRecord)
    assert isinstance(oximetry.reading, PulseOximetry)
    assert str(oximetry.reading.spo2) == "94.0"
    assert isinstance(unsupported, ReadingRecord)
    assert unsupported.reading.kind is Kind.UNSUPPORTED_FRAME


@pytest.mark.parametrize("name", ["1.0", "1.1", "1.2"])
def test_an_old_envelopes_raw_bytes_still_decode_to_its_readings(name: str) -> None:
    _, records = read(ENVELOPES / f"{name}.json")

    for record in records:
        if isinstance(record, ReadingRecord) and record.adapter in ADAPTERS:
            frame = record.reception
            if isinstance(record.reading, OximetrySeries):
                continue  # reduced from many frames, none of which is kept
            adapter = ADAPTERS[record.adapter]
            assert read_frame(adapter, frame.characteristic, frame.raw) == record.reading


def test_passes_over_members_of_a_later_minor_release() -> None:
    _, records = read(ENVELOPES / "1.0.json")
    _, later = read(ENVELOPES / "1.7-unknown-members.json")

    assert later == records


def test_reads_in_an_envelope_of_1_1_what_it_added() -> None:
    _, records = read(ENVELOPES / "1.1.json")
    celsius, fahrenheit, weight, failed, rate, series = (
        record.reading for record in records if isinstance(record, ReadingRecord)
    )

    assert isinstance(celsius, BodyTemperature)
    assert str(celsius.temperature) == "37.60"
    assert celsius.site == TemperatureSite.FINGER
    assert isinstance(fahrenheit, BodyTemperature)
    assert fahrenheit.unit is TemperatureUnit.FAHRENHEIT
    assert isinstance(weight, BodyWeight)
    assert str(weight.weight) == "65.000"
    assert failed.kind is Kind.FAILED_ATTEMPT
    assert isinstance(rate, HeartRate)
    assert rate.rr_intervals == (33,)
    assert isinstance(series, OximetrySeries)
    assert series.spo2 == (Decimal("97.0"), Decimal("96.5"), None, Decimal(95))
    assert series.pulse_per_min == (Decimal(72), None, None, Decimal("71.0"))


def test_reads_in_an_envelope_of_1_2_what_it_added() -> None:
    _, records = read(ENVELOPES / "1.2.json")

    told = [record.measuring for record in records if isinstance(record, ReadingRecord)]
    assert told == [
        None,  # the device's first reading
        Measuring(rest_s=35.0, is_too_close=True),
        Measuring(rest_s=90.0, is_too_close=False),
        None,  # the first of its second user
        Measuring(rest_s=86_400.0, is_too_close=False),
    ]


@pytest.mark.parametrize("name", ["1.0", "1.1", "1.2"])
def test_a_record_survives_the_wire(name: str) -> None:
    _, records = read(ENVELOPES / f"{name}.json")

    assert [decode_record(encode(record)) for record in records] == records


@pytest.mark.parametrize(
    "number",
    ["1E+999999999", "0E+999999999", "1E-999999999", "NaN", "Infinity", "sNaN", "1E+11", "9" * 25],
)
@pytest.mark.parametrize("field", ["systolic", "diastolic", "mean", "pulse_per_min"])
def test_refuses_a_number_that_no_device_sends(field: str, number: str) -> None:
    with pytest.raises(ContractError, match=rf"^reading\.{field}: not a number"):
        decode_record(changed(f"reading.{field}", number))


@pytest.mark.parametrize("field", ["spo2", "pulse_per_min", "pulse_amplitude_index"])
def test_refuses_such_a_number_of_an_oximeter(field: str) -> None:
    with pytest.raises(ContractError, match=rf"^reading\.{field}: not a number"):
        decode_record(changed(f"reading.{field}", "1E+999999999", record=2))


@pytest.mark.parametrize(
    ("record", "field", "value"),
    [
        (0, "temperature", "1E+999999999"),
        (2, "weight", "1E+999999999"),
        (2, "bmi", "NaN"),
        (2, "height", "1E+11"),
        (4, "heart_rate_per_min", "Infinity"),
        (5, "spo2", ["97", None, "1E+999999999", "95"]),
        (5, "pulse_per_min", ["72", None, "sNaN", "71"]),
    ],
)
def test_refuses_such_a_number_of_every_other_device(
    record: int, field: str, value: object
) -> None:
    with pytest.raises(ContractError, match=rf"^reading\.{field}: not a number"):
        decode_record(changed(f"reading.{field}", value, record, release="1.1"))


@pytest.mark.parametrize(
    ("record", "field", "value"),
    [
        (0, "unit", "K"),
        (0, "site", 256),
        (2, "unit", "lb"),
        (2, "user_index", -1),
        (4, "energy_kj", 0x10000),
        (4, "rr_intervals", [0] * 256),
        (4, "rr_intervals", [0x10000]),
        (5, "period_ms", 0),
        (5, "spo2", []),
        (5, "spo2", ["97"] * (MAX_SAMPLES + 1)),
        (5, "pulse_per_min", ["72"] * 3),  # one less than of SpO2
    ],
)
def test_refuses_what_no_other_device_can_send(record: int, field: str, value: object) -> None:
    with pytest.raises(ContractError, match="reading"):
        decode_record(changed(f"reading.{field}", value, record, release="1.1"))


def test_the_longest_series_fits_what_a_gateway_sends() -> None:
    longest = ["-0.00002048"] * MAX_SAMPLES  # as many characters as an SFLOAT can take
    record = msgspec.json.decode(changed("reading.spo2", longest, 5, release="1.1"))
    record["reading"]["pulse_per_min"] = longest

    assert len(encode(decode_record(msgspec.json.encode(record)))) < MAX_SENT_BYTES


@given(st.integers(0, 0xFFFF))
def test_accepts_every_number_that_a_device_can_send(raw: int) -> None:
    number = sfloat(raw)
    sent = str(number) if isinstance(number, Decimal) else {"special": str(number)}

    record = decode_record(changed("reading.systolic", sent))

    assert isinstance(record, ReadingRecord)
    assert isinstance(record.reading, BloodPressure)
    assert record.reading.systolic == number


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("device.id", "x" * 65),
        ("device.id", ""),
        ("device.name", "x" * 129),
        ("trace_id", "x" * 32),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e473"),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e473\n"),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736\n"),
        ("reset_generation", -1),
        ("reset_generation", 2**31),
        ("adapter", "x" * 65),
        ("reception.characteristic", "x" * 65),
        ("reception.raw", "A" * 5468),
        ("reception.monotonic_ns", -1),
        ("reception.monotonic_ns", 2**63),
        ("reception.received_at", "2026-03-01T06:31:20"),
        ("effective_at", "2026-03-01T07:31:05"),
        ("reading.user_index", 256),
        ("reading.status", 0x10000),
        ("reading.device_time.year", 0x10000),
        ("reading.device_time.month", -1),
        ("reading.unit", "mmHg"),
    ],
)
def test_refuses_what_is_out_of_bounds_and_names_it(name: str, value: object) -> None:
    with pytest.raises(ContractError) as caught:
        decode_record(changed(name, value))

    assert f"$.{name}" in str(caught.value)


def test_refuses_a_sensor_status_wider_than_three_bytes() -> None:
    with pytest.raises(ContractError, match="sensor_status"):
        decode_record(changed("reading.sensor_status", 0x1000000, record=2))


def test_refuses_an_offset_that_no_place_has() -> None:
    with pytest.raises(ContractError, match="effective_at: offset from UTC"):
        decode_record(changed("effective_at", "2026-03-01T07:31:05+14:01"))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_record_or_a_contract_error(record: bytes) -> None:
    with pytest.raises(ContractError):
        decode_record(record)


def test_refuses_nesting_without_end() -> None:
    with pytest.raises(ContractError):
        decode_record(b'{"type":"void","later":' + b"[" * 100_000)


def test_refuses_fewer_records_than_announced() -> None:
    envelope = msgspec.json.decode((ENVELOPES / "1.0.json").read_bytes(), type=Envelope)
    properties = [(name, "5" if name == "count" else value) for name, value in envelope.properties]

    with pytest.raises(ContractError, match="5 records announced, 6 sent"):
        decode_message(bytes(envelope.payload), decode_delivery(properties))


@pytest.mark.parametrize(
    ("name", "value"), [("count", "0"), ("count", "501"), ("first", "0"), ("epoch", "x")]
)
def test_refuses_a_place_that_cannot_be(name: str, value: str) -> None:
    envelope = msgspec.json.decode((ENVELOPES / "1.0.json").read_bytes(), type=Envelope)
    properties = [(key, value if key == name else old) for key, old in envelope.properties]

    with pytest.raises(ContractError, match=name):
        decode_delivery(properties)


def test_refuses_a_property_given_twice() -> None:
    with pytest.raises(ContractError, match="user property first: given twice"):
        decode_delivery([("first", "1"), ("first", "2")])


def test_refuses_a_status_whose_time_has_no_zone() -> None:
    with pytest.raises(ContractError, match=r"\$\.at"):
        decode_status(b'{"is_online": true, "at": "2026-03-01T06:31:20"}')


def read(path: Path) -> tuple[Delivery, list[Record]]:
    envelope = msgspec.json.decode(path.read_bytes(), type=Envelope)
    delivery = decode_delivery(envelope.properties)
    return delivery, [decode_record(each) for each in decode_message(envelope.payload, delivery)]


def changed(name: str, value: object, record: int = 0, *, release: str = "1.0") -> bytes:
    """Return a record of a release with one member set, by its path."""
    path = ENVELOPES / f"{release}.json"
    records = msgspec.json.decode(path.read_bytes())["payload"]["records"]
    *parents, last = name.split(".")
    member: dict[str, Any] = records[record]
    for parent in parents:
        member = member[parent]
    member[last] = value
    return msgspec.json.encode(records[record])
