"""From journal entries to records: identity, time, correction, and what cannot be decoded."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters import registry
from device_adapters.contract import identity
from device_adapters.contract.messages import (
    ReadingRecord,
    Record,
    TimeCorrection,
    TimeQuality,
    VoidRecord,
    decode_record,
    encode,
)
from device_adapters.contract.readings import BloodPressure, Kind, Reading, UnsupportedFrame
from device_adapters.registry import Adapters
from device_adapters.session import Session, read_frame
from gateway.clock import Moment
from gateway.decoding import Decoder, to_record
from gateway.store.database import Database
from gateway.store.journal import ConnectionFacts, DeviceClock, Entry, Journal
from gateway.store.outbox import Outbox
from tests.unit.gateway.fakes import (
    BARE_FRAME,
    BOOT,
    CUFF,
    MEASUREMENT,
    START,
    FakeClock,
    keep,
    timed_frame,
)

HOME = ZoneInfo("Europe/Stockholm")
SHOWN = datetime(2026, 11, 23, 8, 10)  # noqa: DTZ001 - what the device showed


@pytest.fixture
def decoder(database: Database, journal: Journal, outbox: Outbox) -> Decoder:
    return new_decoder(database, journal, outbox, registry.load())


def new_decoder(
    database: Database, journal: Journal, outbox: Outbox, adapters: Adapters
) -> Decoder:
    return Decoder(database, journal, outbox, adapters, HOME)


def records(outbox: Outbox) -> list[Record]:
    found: list[Record] = []
    while batch := outbox.due(0, max_records=100, max_bytes=65536):
        outbox.sent(batch, 0)
        found += [decode_record(record) for record in batch.records]
    return found


def readings(outbox: Outbox) -> list[ReadingRecord]:
    return [record for record in records(outbox) if isinstance(record, ReadingRecord)]


def test_a_reading_travels_with_all_that_is_known(
    decoder: Decoder, journal: Journal, outbox: Outbox
) -> None:
    measured = SHOWN - timedelta(minutes=15)
    clock = DeviceClock(
        shown=SHOWN,
        read=Moment(
            at=datetime(2026, 11, 23, 7, 20, tzinfo=UTC),
            monotonic_ns=571_000_000_000,  # the journal's clock starts at 07:10:30 with 1 s
            is_synchronised=True,
        ),
    )
    keep(journal, timed_frame(measured), clock=clock)

    decoder.decode()
    (record,) = readings(outbox)

    assert record.record_id == identity.of_device_record(
        "F0:00:00:00:00:01", 0, MEASUREMENT, timed_frame(measured)
    )
    assert record.is_identity_own
    assert record.effective_at.isoformat() == "2026-11-23T08:05:00+01:00"
    assert record.time_quality is TimeQuality.CORRECTED
    assert record.reception.device_clock_offset_s == 600.0
    assert record.reception.received_at == START
    assert record.reception.boot_id == BOOT
    assert record.adapter == "blood-pressure-service"
    assert isinstance(record.reading, BloodPressure)
    assert record.reading.systolic == Decimal(120)


def test_a_reading_without_time_goes_by_the_gateways_number(
    decoder: Decoder, journal: Journal, outbox: Outbox
) -> None:
    keep(journal, BARE_FRAME, BARE_FRAME)

    decoder.decode()
    first, second = readings(outbox)

    assert (first.is_identity_own, second.is_identity_own) == (False, False)
    assert first.record_id == identity.of_gateway_number(outbox.epoch, 1)
    assert second.record_id == identity.of_gateway_number(outbox.epoch, 2)
    assert first.effective_at.isoformat() == "2026-11-23T08:10:30+01:00"


def test_the_same_stored_record_read_twice_is_one_record(
    decoder: Decoder, journal: Journal, outbox: Outbox, clock: FakeClock
) -> None:
    keep(journal, timed_frame(SHOWN))
    clock.pass_s(3600)
    keep(journal, timed_frame(SHOWN))

    decoder.decode()
    first, second = readings(outbox)

    assert first.record_id == second.record_id


def test_nothing_is_decoded_twice(decoder: Decoder, journal: Journal, outbox: Outbox) -> None:
    keep(journal, BARE_FRAME)

    counts = decoder.decode(), decoder.decode()

    assert counts == (1, 0)
    assert len(records(outbox)) == 1


def test_a_frame_that_no_codec_reads_travels_with_its_bytes(
    decoder: Decoder, journal: Journal, outbox: Outbox
) -> None:
    keep(journal, BARE_FRAME[:5], b"\xff" * 20)

    decoder.decode()
    cut, strange = readings(outbox)

    assert (cut.reading.kind, strange.reading.kind) == (
        Kind.INCOMPLETE,
        Kind.UNSUPPORTED_FRAME,
    )
    assert strange.reception.raw == b"\xff" * 20


def test_an_adapter_that_is_gone_leaves_its_bytes_readable(
    decoder: Decoder, journal: Journal, outbox: Outbox
) -> None:
    keep(journal, BARE_FRAME, adapter="sold-last-year")

    decoder.decode()
    (record,) = readings(outbox)

    assert record.reading == UnsupportedFrame(reason="adapter sold-last-year is not installed")


@given(
    raw=st.binary(max_size=20)
    | st.binary(min_size=6, max_size=6).flatmap(
        lambda numbers: st.binary(min_size=7, max_size=7).map(
            lambda shown: b"\x02" + numbers + shown
        )
    ),
    shown=st.none() | st.datetimes(),
    received=st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    is_synchronised=st.booleans(),
)
def test_whatever_a_device_sends_becomes_a_record_that_the_contract_accepts(
    raw: bytes, shown: datetime | None, received: datetime, is_synchronised: bool
) -> None:
    moment = Moment(at=received, monotonic_ns=1, is_synchronised=is_synchronised)
    entry = Entry(
        number=1,
        adapter="blood-pressure-service",
        facts=ConnectionFacts(
            device=CUFF, clock=DeviceClock(shown=shown, read=moment) if shown else None
        ),
        characteristic=MEASUREMENT,
        raw=raw,
        received=moment,
        boot_id=BOOT,
        trace_id="0" * 32,
    )
    reading = read_frame(registry.load()["blood-pressure-service"], MEASUREMENT, raw)
    assert reading is not None

    record = to_record(entry, reading, BOOT, HOME)

    accepted = decode_record(encode(record))
    assert isinstance(accepted, ReadingRecord)
    assert (accepted.record_id, accepted.reading) == (record.record_id, reading)


class BrokenAdapter:
    """A third party's adapter that breaks its promise."""

    record_characteristics = frozenset({MEASUREMENT})

    def matches(self, name: str | None, services: Collection[str]) -> bool:
        return False

    def open(self, characteristics: Collection[str]) -> Session:
        raise NotImplementedError

    def decode(self, characteristic: str, value: bytes) -> Reading | None:
        if value == b"none":
            return None
        if value == b"huge":
            return UnsupportedFrame(reason="x" * 70_000)
        known: dict[bytes, Reading] = {}
        return known[value]


@pytest.fixture
def broken(database: Database, journal: Journal, outbox: Outbox) -> Decoder:
    return new_decoder(database, journal, outbox, {"blood-pressure-service": BrokenAdapter()})


def test_an_adapter_that_raises_stops_nobody(
    broken: Decoder, journal: Journal, outbox: Outbox
) -> None:
    keep(journal, b"x", b"y")

    broken.decode()

    reasons = [record.reading for record in readings(outbox)]
    assert reasons == [UnsupportedFrame(reason="adapter failed: KeyError")] * 2


def test_what_is_no_reading_is_done_with(
    broken: Decoder, journal: Journal, outbox: Outbox
) -> None:
    keep(journal, b"none")

    assert broken.decode() == 1
    assert broken.decode() == 0
    assert records(outbox) == []


def test_a_record_that_no_message_takes_becomes_void(
    broken: Decoder, journal: Journal, outbox: Outbox
) -> None:
    keep(journal, b"huge")

    broken.decode()
    (record,) = records(outbox)

    assert isinstance(record, VoidRecord)
    assert "over the limit" in record.reason


def test_times_are_corrected_once_the_clock_is_right(
    decoder: Decoder, journal: Journal, outbox: Outbox, clock: FakeClock
) -> None:
    clock.is_synchronised = False  # it shows 07:10:30, and it is 09:10:30
    device = DeviceClock(shown=datetime(2026, 11, 23, 10, 10, 20), read=clock.read())  # noqa: DTZ001
    keep(journal, timed_frame(datetime(2026, 11, 23, 10, 10, 0)), clock=device)  # noqa: DTZ001
    keep(journal, BARE_FRAME)
    decoder.decode()
    first = readings(outbox)

    clock.pass_s(60)
    clock.at += timedelta(hours=2)
    clock.is_synchronised = True
    looked_at = decoder.correct(clock.read(), BOOT), decoder.correct(clock.read(), BOOT)
    corrections = records(outbox)

    assert [record.time_quality for record in first] == [TimeQuality.UNKNOWN] * 2
    assert looked_at == (2, 0)
    assert [
        (each.record_id, each.effective_at.isoformat(), each.time_quality)
        for each in corrections
        if isinstance(each, TimeCorrection)
    ] == [
        # The device's clock was 10 s behind: 10:10:20 at 10:10:30 home time.
        (first[0].record_id, "2026-11-23T10:10:10+01:00", TimeQuality.CORRECTED),
        (first[1].record_id, "2026-11-23T10:10:30+01:00", TimeQuality.ESTIMATED),
    ]


def test_times_of_another_boot_are_left_unknown(
    decoder: Decoder, journal: Journal, outbox: Outbox, clock: FakeClock
) -> None:
    clock.is_synchronised = False
    keep(journal, BARE_FRAME)
    decoder.decode()
    clock.is_synchronised = True

    assert decoder.correct(clock.read(), UUID(int=7)) == 0


def test_a_clock_set_between_measurement_and_reading_does_not_spoil_the_offset(
    decoder: Decoder, journal: Journal, outbox: Outbox, clock: FakeClock
) -> None:
    clock.is_synchronised = False
    connection = journal.connected("blood-pressure-service", CUFF)
    device = DeviceClock(shown=datetime(2026, 11, 23, 10, 10, 30), read=clock.read())  # noqa: DTZ001
    clock.pass_s(10)
    clock.at += timedelta(hours=2)  # now it is right: 09:10:40 UTC
    clock.is_synchronised = True
    journal.append(connection, MEASUREMENT, timed_frame(datetime(2026, 11, 23, 10, 10, 35)))  # noqa: DTZ001
    journal.settle(connection, CUFF, device)

    decoder.decode()
    (record,) = readings(outbox)

    assert record.effective_at.isoformat() == "2026-11-23T10:10:35+01:00"
    assert record.time_quality is TimeQuality.SYNCHRONISED


def test_an_oximeter_that_says_its_clock_is_not_set_is_believed(
    decoder: Decoder, journal: Journal, outbox: Outbox
) -> None:
    # Worked by hand from PLXS 1.0.1: flags 0x11 (time stamp, clock not set), 97 %, 60 per minute.
    spot_check = bytes.fromhex("11 6100 3c00") + timed_frame(SHOWN)[-7:]
    connection = journal.connected("pulse-oximeter-service", CUFF)
    journal.append(connection, "00002a5e-0000-1000-8000-00805f9b34fb", spot_check)
    journal.settle(connection, CUFF, None)

    decoder.decode()
    (record,) = readings(outbox)

    assert not record.is_identity_own
    assert record.effective_at == START
    assert record.time_quality is TimeQuality.ESTIMATED
