"""Guided measuring: the rest before a reading, by the device's own clock where it has one."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from device_adapters import registry
from device_adapters.contract.messages import Measuring, ReadingRecord, decode_record
from gateway.decoding import Decoder
from gateway.store import measured
from gateway.store.database import Database
from gateway.store.journal import DeviceClock, Journal
from gateway.store.outbox import Outbox
from tests.unit.gateway.fakes import BARE_FRAME, CUFF, FakeClock, keep, timed_frame
from tests.unit.gateway.test_decoding import HOME

SHOWN = datetime(2026, 11, 23, 8, 0)  # noqa: DTZ001 - what the device showed
# Worked by hand from GSS: flags 0x02, pressures NaN (0x07FF), so an attempt that failed.
FAILED = bytes.fromhex("02ff07ff07ff07")


@pytest.fixture
def decoder(database: Database, journal: Journal, outbox: Outbox) -> Decoder:
    return Decoder(database, journal, outbox, registry.load(), HOME)


def at(seconds: float, user: int | None = None) -> bytes:
    frame = timed_frame(SHOWN + timedelta(seconds=seconds))
    if user is None:
        return frame
    return bytes([frame[0] | 0x08]) + frame[1:] + bytes([user])  # flag 0x08: user index


def failed(seconds: float) -> bytes:
    return FAILED + at(seconds)[7:]


def rests(decoder: Decoder, database: Database) -> list[Measuring | None]:
    while decoder.decode():
        pass
    rows = database.connection.execute("SELECT record FROM outbox ORDER BY number")
    found = [decode_record(encoded) for (encoded,) in rows]
    return [record.measuring for record in found if isinstance(record, ReadingRecord)]


def told(rest_s: float, *, is_too_close: bool) -> Measuring:
    return Measuring(rest_s=rest_s, is_too_close=is_too_close)


def test_a_reading_too_soon_after_the_one_before_is_marked(
    decoder: Decoder, journal: Journal, database: Database
) -> None:
    keep(journal, at(0), at(59), at(119), at(180))

    assert rests(decoder, database) == [
        None,
        told(59, is_too_close=True),
        told(60, is_too_close=False),
        told(61, is_too_close=False),
    ]


def test_the_configuration_says_how_long_a_rest_is(
    decoder: Decoder, journal: Journal, database: Database
) -> None:
    decoder.rest_s = 300
    keep(journal, at(0), at(299), at(600))

    assert [each.is_too_close for each in rests(decoder, database) if each] == [True, False]


def test_users_of_one_cuff_do_not_shorten_each_others_rest(
    decoder: Decoder, journal: Journal, database: Database
) -> None:
    keep(journal, at(0, user=1), at(20, user=2), at(90, user=1))

    assert rests(decoder, database) == [None, None, told(90, is_too_close=False)]


def test_a_record_read_again_is_not_too_close_to_itself(
    decoder: Decoder, journal: Journal, database: Database, clock: FakeClock
) -> None:
    keep(journal, at(0), at(120))
    first = rests(decoder, database)
    clock.pass_s(3600)
    keep(journal, at(0), at(120), at(240))

    assert rests(decoder, database) == [
        *first,
        None,
        told(120, is_too_close=False),
        told(120, is_too_close=False),
    ]


def test_records_out_of_order_are_told_by_the_one_before_each(
    decoder: Decoder, journal: Journal, database: Database
) -> None:
    keep(journal, at(0), at(600), at(30), at(310))

    assert rests(decoder, database) == [
        None,
        told(600, is_too_close=False),  # the later ones were not known yet
        told(30, is_too_close=True),
        told(280, is_too_close=False),
    ]


def test_an_attempt_that_failed_has_pressed_the_arm(
    decoder: Decoder, journal: Journal, database: Database
) -> None:
    keep(journal, failed(0), at(20))

    assert rests(decoder, database) == [None, told(20, is_too_close=True)]


def test_a_failed_attempt_is_no_measurement_that_could_be_too_close(
    decoder: Decoder, journal: Journal, database: Database
) -> None:
    keep(journal, at(0), failed(20))

    assert rests(decoder, database) == [None, None]


def test_an_oximeter_that_failed_may_be_tried_again_at_once(
    decoder: Decoder, journal: Journal, database: Database
) -> None:
    # Worked by hand from PLXS 1.0.1: flags 0x01 (time stamp); 2047 is NaN; 97 %, 60 per minute.
    connection = journal.connected("pulse-oximeter-service", CUFF)
    for values, seconds in (("ff07ff07", 0), ("61003c00", 5), ("61003c00", 65)):
        frame = b"\x01" + bytes.fromhex(values) + at(seconds)[-7:]
        journal.append(connection, "00002a5e-0000-1000-8000-00805f9b34fb", frame)
    journal.settle(connection, CUFF, None)

    assert rests(decoder, database) == [None, None, told(60, is_too_close=False)]


def test_a_device_that_lost_its_clock_starts_anew(
    decoder: Decoder, journal: Journal, database: Database, clock: FakeClock
) -> None:
    keep(journal, at(0), clock=DeviceClock(shown=SHOWN, read=clock.read()))
    lost = datetime(2000, 1, 1)  # noqa: DTZ001 - a device's clock
    keep(journal, timed_frame(lost), clock=DeviceClock(shown=lost, read=clock.read()))

    assert rests(decoder, database) == [None, None]


@pytest.mark.parametrize("jump_s", [-86_400, -3600, 0, 3600, 86_400])
def test_devices_without_a_clock_are_told_by_the_count_since_boot(
    decoder: Decoder, journal: Journal, database: Database, clock: FakeClock, jump_s: int
) -> None:
    keep(journal, BARE_FRAME)
    clock.pass_s(40)
    clock.at += timedelta(seconds=jump_s)
    keep(journal, BARE_FRAME)

    assert rests(decoder, database) == [None, told(40, is_too_close=True)]


def test_over_a_boot_only_clocks_that_were_right_are_compared(
    decoder: Decoder, journal: Journal, database: Database, clock: FakeClock
) -> None:
    keep(journal, BARE_FRAME)
    clock.pass_s(100)
    clock.boot_id = UUID(int=7)
    after = Journal(database, clock)
    keep(after, BARE_FRAME)
    clock.is_synchronised = False
    clock.boot_id = UUID(int=8)
    keep(Journal(database, clock), BARE_FRAME)

    assert rests(decoder, database) == [None, told(100, is_too_close=False), None]


def test_records_without_time_given_together_are_not_compared(
    decoder: Decoder, journal: Journal, database: Database
) -> None:
    keep(journal, BARE_FRAME, BARE_FRAME)

    assert rests(decoder, database) == [None, None]


def test_a_memory_longer_than_what_is_remembered_may_be_read_whole_again(
    decoder: Decoder, journal: Journal, database: Database
) -> None:
    memory = [at(100 * number) for number in range(2 * measured.KEPT)]
    keep(journal, *memory)
    first = rests(decoder, database)

    keep(journal, *memory, at(100 * len(memory) + 30))
    again = rests(decoder, database)[len(first) :]

    assert first[1:] == [told(100, is_too_close=False)] * (len(memory) - 1)
    assert again[1:] == [*first[1:], told(130, is_too_close=False)]


def test_what_is_remembered_is_bounded(
    decoder: Decoder, journal: Journal, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "KEPT", 3)
    keep(journal, *[at(100 * number) for number in range(8)])

    rests(decoder, database)

    (count,) = database.connection.execute("SELECT count(*) FROM measured").fetchone()
    assert count == 3


def test_a_crash_leaves_no_reading_remembered_that_has_no_number(
    decoder: Decoder, journal: Journal, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(journal, at(0))

    def full(*_: object, **__: object) -> int:
        raise OSError("the power went")

    monkeypatch.setattr(Outbox, "add", full)
    with pytest.raises(OSError, match="power"):
        decoder.decode()

    assert database.connection.execute("SELECT count(*) FROM measured").fetchone() == (0,)
