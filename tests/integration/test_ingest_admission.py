"""Admission on the real database: stored once, receipted always, refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import uuid4

import msgspec
import psycopg
import pytest

from device_adapters.contract.messages import (
    MAX_ACCEPTED_BYTES,
    Device,
    ReadingRecord,
    VoidRecord,
    encode,
    encode_message,
)
from device_adapters.contract.readings import HeartRate, PressureUnit, UnsupportedFrame
from ingest_service.admission.incoming import Incoming
from tests.support.ingest import CUFF, UNIT, Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

_BEFORE = timedelta(days=365 * 8)  # nobody had the devices then


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database, patients=2)


async def test_a_reading_is_stored_with_its_observations_and_receipted(home: Home) -> None:
    record = home.cuff("128", "82", pulse="72.0")

    outcome = await home.give(record)

    assert outcome.counts == {"stored": 1}
    assert {row["code"] for row in home.rows("observation")} == {"85354-9", "8867-4"}
    [stored] = home.rows("device_record")
    assert stored["patient_id"] == str(id_of("patient-1"))
    assert stored["raw"] == "\\x" + record.reception.raw.hex()
    [(gateway_id, receipt)] = outcome.receipts
    assert (gateway_id, receipt.ranges) == ("gateway-1", ((1, 1),))
    assert outcome.trace_ids == [record.trace_id]


async def test_values_keep_the_digits_that_were_sent(home: Home) -> None:
    await home.give(home.cuff("120.0", "80", pulse="72.0"))

    resources = [row["resource"] for row in home.rows("observation")]
    assert any('"value":120.0' in resource for resource in resources)
    assert any('"value":72.0' in resource for resource in resources)


async def test_the_same_message_again_is_a_duplicate_with_a_receipt(home: Home) -> None:
    message = home.message(home.cuff("128", "82"))
    await home.send(message)

    again = await home.send(message)

    assert again.counts == {"duplicate": 1}
    assert again.receipts[0][1].ranges == ((1, 1),)
    assert len(home.rows("observation")) == 1
    assert home.rows("quarantine") == []


async def test_the_same_record_under_another_number_and_gateway_is_a_duplicate(home: Home) -> None:
    record = home.cuff("128", "82")
    home.execute("INSERT INTO gateway VALUES ('gateway-2', %s)", UNIT)
    await home.give(record)

    again = await home.give(record)
    home.gateway_id, home.epoch = "gateway-2", uuid4()
    other_gateway = await home.give(record)

    assert again.counts == other_gateway.counts == {"duplicate": 1}
    assert len(home.rows("device_record")) == 1
    outcomes = sorted(row["outcome"] for row in home.rows("delivery"))
    assert outcomes == ["duplicate", "duplicate", "stored"]


async def test_a_record_twice_in_one_batch_is_stored_once(home: Home) -> None:
    message = home.message(home.cuff("128", "82"))
    same_number = home.message(home.cuff("130", "82"), first=2)

    outcome = await home.send(message, message, same_number, same_number)

    assert outcome.counts == {"stored": 2, "duplicate": 2}


async def test_a_number_used_for_other_bytes_is_a_conflict_and_its_bytes_are_kept(
    home: Home,
) -> None:
    await home.send(home.message(home.cuff("128", "82"), first=7))
    other = home.cuff("192", "118")

    outcome = await home.send(home.message(other, first=7))
    await home.send(home.message(other, first=7))

    [(_, receipt)] = outcome.receipts
    assert receipt.conflicts == (7,)
    [kept] = home.rows("quarantine")
    assert kept["reason"] == "number_reused"
    assert bytes.fromhex(kept["payload"][2:]) == encode(other)
    assert len(home.rows("device_record")) == 1


async def test_receipts_are_cumulative_and_name_holes_by_leaving_them_out(home: Home) -> None:
    await home.send(home.message(home.cuff("128", "82"), first=1))

    outcome = await home.send(home.message(home.cuff("129", "82"), home.cuff("127", "8"), first=4))

    [(_, receipt)] = outcome.receipts
    assert receipt.ranges == ((1, 1), (4, 5))
    [epoch] = home.rows("gateway_epoch")
    assert epoch["hole_since"] is not None
    filled = await home.send(home.message(home.cuff("128", "81"), home.cuff("128", "80"), first=2))
    assert filled.receipts[0][1].ranges == ((1, 5),)
    assert home.rows("gateway_epoch")[0]["hole_since"] is None


async def test_a_void_number_is_receipted_and_its_reason_told(home: Home) -> None:
    outcome = await home.give(VoidRecord(reason="too large to travel", trace_id="0" * 32))

    assert outcome.counts == {"void": 1}
    assert [(void.reason, void.number) for void in outcome.voids] == [("too large to travel", 1)]
    assert outcome.receipts[0][1].ranges == ((1, 1),)


async def test_a_receipt_names_what_was_sent_however_many_holes_lie_nearer(home: Home) -> None:
    # Islands 2, 4 … 20000, then a long run whose last number is far from the one sent again.
    home.execute(
        "INSERT INTO gateway_epoch (gateway_id, epoch, received, hole_since) "
        "SELECT 'gateway-1', %s, range_agg(int8range(n, n + 1)) + '{[20002,90000]}', now() "
        "FROM generate_series(2, 20000, 2) AS n",
        home.epoch,
    )

    outcome = await home.send(home.message(home.cuff("128", "82"), first=20_002))

    [(_, receipt)] = outcome.receipts
    assert (20_002, 90_000) in receipt.ranges
    assert len(receipt.ranges) == 32
    assert list(receipt.ranges) == sorted(receipt.ranges)


async def test_a_readable_record_is_not_taken_for_the_unreadable_one_before_it(
    home: Home,
) -> None:
    await home.send(home.raw_message(b'{"sent_at": "2026-', first=1))

    outcome = await home.send(home.message(home.cuff("192", "118"), first=1))

    # The gateway numbers it anew, and sends it.
    assert outcome.receipts[0][1].conflicts == (1,)
    home.epoch = uuid4()
    assert (await home.send(home.message(home.cuff("192", "118"), first=1))).counts == {
        "stored": 1
    }


def _reading_json(home: Home, **changes: object) -> bytes:
    record = msgspec.json.decode(encode(home.cuff("128", "82")))
    return msgspec.json.encode(record | changes)


def _undecodable(home: Home) -> Incoming:
    return home.raw_message(b'{"sent_at": "2026-')


def _not_utf8(home: Home) -> Incoming:
    return home.raw_message(b"\xff\xfe\x00")


def _deep(home: Home) -> Incoming:
    return home.raw_message(b'{"sent_at":"2026-03-01T07:00:00Z","records":[' + b"[" * 100_000)


def _wrong_type(home: Home) -> Incoming:
    payload = encode_message(home.now, [_reading_json(home, effective_at=17)])
    return home.raw_message(payload)


def _record_missing(home: Home) -> Incoming:
    return home.raw_message(encode_message(home.now, [encode(home.cuff("128", "82"))]), count=2)


def _without_zone(home: Home) -> Incoming:
    payload = encode_message(home.now, [_reading_json(home, effective_at="2026-03-01T07:00:00")])
    return home.raw_message(payload)


def _newer_major(home: Home) -> Incoming:
    return home.message(home.cuff("128", "82"), schema="2.0")


def _too_large(home: Home) -> Incoming:
    return home.raw_message(b"x" * (MAX_ACCEPTED_BYTES + 1))


def _unknown_device(home: Home) -> Incoming:
    return home.message(home.cuff("128", "82", device="F0:A1:00:00:00:99"))


def _in_2035(home: Home) -> Incoming:
    at = datetime(2035, 1, 1, tzinfo=UTC)
    return home.message(msgspec.structs.replace(home.cuff("128", "82"), effective_at=at))


def _in_1970(home: Home) -> Incoming:
    at = datetime(1970, 1, 1, tzinfo=UTC)
    return home.message(msgspec.structs.replace(home.cuff("128", "82"), effective_at=at))


def _before_the_assignment(home: Home) -> Incoming:
    return home.message(home.cuff("128", "82", ago=timedelta(days=365 * 8)))


def _impossible_pressure(home: Home) -> Incoming:
    return home.message(home.cuff("350", "82"))


def _systolic_below_diastolic(home: Home) -> Incoming:
    return home.message(home.cuff("80", "120"))


def _impossible_kpa(home: Home) -> Incoming:
    return home.message(home.cuff("120", "80", unit=PressureUnit.KPA))


def _impossible_saturation(home: Home) -> Incoming:
    return home.message(home.oximeter("104"))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_undecodable, "undecodable"),
        (_not_utf8, "undecodable"),
        (_deep, "undecodable"),
        (_wrong_type, "schema"),
        (_record_missing, "schema"),
        (_without_zone, "schema"),
        (_newer_major, "unsupported_version"),
        (_too_large, "too_large"),
        (_unknown_device, "unknown_device"),
        (_in_2035, "time_implausible"),
        (_in_1970, "time_implausible"),
        (_before_the_assignment, "unassigned"),
        (_impossible_pressure, "impossible_value"),
        (_systolic_below_diastolic, "impossible_value"),
        (_impossible_kpa, "impossible_value"),
        (_impossible_saturation, "impossible_value"),
    ],
)
async def test_bad_input_waits_with_its_reason_and_is_receipted_and_the_good_is_stored(
    home: Home, make: Callable[[Home], Incoming], reason: str
) -> None:
    good_before = home.message(home.cuff("128", "82"))
    bad = make(home)
    good_after = home.message(home.cuff("129", "83"))

    outcome = await home.send(good_before, bad, good_after)

    assert outcome.counts["stored"] == 2
    [kept] = home.rows("quarantine")
    assert kept["reason"] == reason
    assert kept["care_unit_id"] == str(UNIT)
    assert kept["payload_size"] >= len(kept["payload"][2:]) // 2
    [(_, receipt)] = outcome.receipts
    first, last = receipt.ranges[0][0], receipt.ranges[-1][1]
    assert len(receipt.ranges) == 1
    assert (first, last) == (1, len(home.rows("delivery")))
    await home.send(bad)
    assert len(home.rows("quarantine")) == 1


async def test_of_a_payload_that_is_too_large_the_start_is_kept_with_size_and_digest(
    home: Home,
) -> None:
    await home.send(_too_large(home))

    [kept] = home.rows("quarantine")
    assert len(kept["payload"][2:]) // 2 == 4096
    assert kept["payload_size"] == MAX_ACCEPTED_BYTES + 1
    assert "blake2b" in kept["detail"]


async def test_an_unknown_gateway_waits_at_the_units_of_known_devices_and_is_receipted(
    home: Home,
) -> None:
    home.gateway_id = "gateway-9"

    outcome = await home.give(
        home.cuff("128", "82"), home.cuff("128", "82", device="F0:A1:00:00:00:99")
    )

    kept = sorted(home.rows("quarantine"), key=lambda row: row["number"])
    assert [row["reason"] for row in kept] == ["unknown_gateway"] * 2
    assert [row["care_unit_id"] for row in kept] == [str(UNIT), None]
    assert outcome.receipts[0][1].ranges == ((1, 2),)


_WAITING: Final[list[tuple[Callable[[Home], ReadingRecord], bool]]] = [
    # The limits of whoever ever had the device: red above 180, and above 130 a minute.
    (lambda home: home.cuff("181", "90", ago=_BEFORE), True),
    (lambda home: home.cuff("180", "90", ago=_BEFORE), False),
    (lambda home: home.oximeter("90", pulse="131", ago=_BEFORE), True),
    # Nobody's known: the safety net.
    (lambda home: home.cuff("180", "90", device="F0:A1:00:00:00:99"), True),
    (lambda home: home.cuff("179", "90", device="F0:A1:00:00:00:99"), False),
    (lambda home: home.cuff("24.0", "12.0", device="x", unit=PressureUnit.KPA), True),
    (lambda home: home.cuff(None, device="F0:A1:00:00:00:99"), False),
    (lambda home: home.record(HeartRate(heart_rate_per_min=Decimal(150)), device="x"), True),
    # Impossible, and no less alarming for it.
    (lambda home: home.oximeter("45"), True),
    (lambda home: home.cuff("350", "82"), True),
    (lambda home: home.oximeter("104"), False),
]


@pytest.mark.parametrize(("make", "is_red"), _WAITING)
async def test_a1_a_waiting_reading_that_would_be_red_is_work_for_the_unit(
    home: Home, make: Callable[[Home], ReadingRecord], *, is_red: bool
) -> None:
    message = home.message(make(home))
    outcome = await home.send(message)

    [kept] = home.rows("quarantine")
    assert kept["care_unit_id"] == str(UNIT)
    assert kept["priority"] == ("red" if is_red else None)
    raised = kept["raised_at"] and datetime.fromisoformat(kept["raised_at"])
    assert raised == (home.now if is_red else None)
    assert [one.is_red for one in outcome.refused] == [is_red]
    await home.send(message)
    assert len(home.rows("quarantine")) == 1


async def test_a1_what_cannot_be_judged_without_an_owner_is_red(home: Home) -> None:
    home.break_plan()

    await home.give(home.cuff("128", "82", ago=_BEFORE))

    assert [row["priority"] for row in home.rows("quarantine")] == ["red"]


async def test_what_a_device_says_of_itself_is_taken_over_once(home: Home) -> None:
    home.execute("UPDATE device SET model = 'As registered' WHERE id = %s", CUFF)
    said = Device(id=CUFF, manufacturer="Maker\x00", model="BP-1", serial="17", firmware="1.0")

    await home.give(msgspec.structs.replace(home.cuff("128", "82"), device=said))
    first = next(row for row in home.rows("device") if row["id"] == CUFF)
    await home.give(msgspec.structs.replace(home.cuff("129", "82"), device=said))
    again = next(row for row in home.rows("device") if row["id"] == CUFF)
    newer = msgspec.structs.replace(said, serial="18", firmware="1.1")
    await home.give(msgspec.structs.replace(home.cuff("130", "82"), device=newer))
    last = next(row for row in home.rows("device") if row["id"] == CUFF)

    described = ("manufacturer", "model", "serial", "firmware")
    assert [first[name] for name in described] == ["Maker", "As registered", "17", "1.0"]
    assert again == first
    assert [last[name] for name in described] == ["Maker", "As registered", "17", "1.1"]
    assert last["last_updated"] > first["last_updated"]


async def test_a_message_without_its_place_is_kept_once_however_often_it_comes(
    home: Home,
) -> None:
    message = Incoming(
        gateway_id="gateway-1", properties=[("epoch", "x")], payload=b"{}", received_at=home.now
    )

    first = await home.send(message)
    await home.send(message)

    assert first.receipts == []
    [kept] = home.rows("quarantine")
    assert (kept["reason"], kept["number"]) == ("undecodable", None)


async def test_a_frame_that_no_codec_reads_is_stored_with_its_bytes(home: Home) -> None:
    frame = home.record(UnsupportedFrame(reason="reserved flag set: 0x56"), raw=b"\x56\x01")

    outcome = await home.give(frame)

    assert outcome.counts == {"stored": 1}
    [stored] = home.rows("device_record")
    assert (stored["kind"], stored["raw"]) == ("unsupported_frame", "\\x5601")
    assert home.rows("observation") == []


async def test_two_equal_records_without_a_clock_are_both_stored_and_the_later_is_flagged(
    home: Home,
) -> None:
    def same(ago: timedelta) -> ReadingRecord:
        return home.cuff("128", "82", raw=b"same", has_own_identity=False, ago=ago)

    await home.give(same(timedelta(minutes=9)))
    await home.give(same(timedelta(minutes=8)))
    await home.give(same(timedelta(minutes=1)), same(timedelta(seconds=30)))

    rows = sorted(home.rows("device_record"), key=lambda row: row["number"])
    assert [row["is_suspected_double"] for row in rows] == [False, True, False, True]


async def test_a_slot_belongs_to_whom_it_is_assigned_and_no_slot_to_nobody(home: Home) -> None:
    home.execute("DELETE FROM assignment WHERE user_index IS NULL")
    for slot in (1, 2):
        home.execute(
            "INSERT INTO assignment (id, device_id, user_index, patient_id, valid, decided_by) "
            "VALUES (%s, %s, %s, %s, '[2020-01-01,)', 'a nurse')",
            uuid4(), "F0:A1:00:00:00:01", slot, id_of(f"patient-{slot}"),
        )  # fmt: skip

    await home.give(home.cuff("128", "82", user_index=1), home.cuff("129", "82", user_index=2))
    await home.give(home.cuff("130", "82"), home.cuff("131", "82", user_index=255))

    rows = sorted(home.rows("device_record"), key=lambda row: row["number"])
    assert [row["patient_id"] for row in rows] == [
        str(id_of("patient-1")),
        str(id_of("patient-2")),
    ]
    assert [row["reason"] for row in home.rows("quarantine")] == ["unassigned"] * 2


async def test_pages_are_told_once_for_a_batch_and_only_if_something_changed(home: Home) -> None:
    async with await psycopg.AsyncConnection.connect(
        home.database.dsn("hemvital_api"), autocommit=True
    ) as pages:
        await pages.execute("LISTEN worklist")
        message = home.message(home.cuff("128", "82"))
        await home.send(message, home.message(home.cuff("127", "82")))
        await home.send(message)
        told = [notice.payload async for notice in pages.notifies(timeout=0.5)]

    assert told == [str(UNIT)]
