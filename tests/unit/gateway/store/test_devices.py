"""The book of devices: bounded, sparing with the disk, and kept over a restart."""

from __future__ import annotations

from device_adapters.contract.standing import MAX_DEVICES, DeviceStanding
from gateway.store.database import Database
from gateway.store.devices import DeviceBook
from tests.unit.gateway.fakes import START, FakeClock

CUFF = "F0:00:00:00:00:01"
SERVICE = "blood-pressure-service"


def rows(database: Database) -> int:
    (count,) = database.connection.execute("SELECT count(*) FROM standing").fetchone()
    return count


def test_it_says_what_it_was_told(database: Database, clock: FakeClock) -> None:
    book = DeviceBook(database, clock.now)

    book.heard(CUFF, SERVICE)
    clock.pass_s(10)
    book.visited(CUFF, has_given=True)
    given_at = clock.at
    clock.pass_s(10)
    book.visited(CUFF, has_given=False)
    book.battery(CUFF, 12)

    assert book.standings() == [
        DeviceStanding(
            id=CUFF,
            adapter=SERVICE,
            seen_at=START,
            visited_at=clock.at,
            given_at=given_at,
            battery_percent=12,
            battery_at=clock.at,
        )
    ]


def test_a_thousand_advertisements_are_a_few_writes(database: Database, clock: FakeClock) -> None:
    book = DeviceBook(database, clock.now)
    before = database.connection.total_changes

    for _ in range(1000):  # of a device that advertises once a second
        book.heard(CUFF, SERVICE)
        clock.pass_s(1)

    assert database.connection.total_changes - before == 3


def test_it_is_there_after_a_restart(database: Database, clock: FakeClock) -> None:
    book = DeviceBook(database, clock.now)
    book.heard(CUFF, SERVICE)
    book.battery(CUFF, 40)

    book.flush()

    assert DeviceBook(database, clock.now).standings() == book.standings()


def test_a_device_more_than_a_status_can_name_takes_the_place_of_the_one_unheard_longest(
    database: Database, clock: FakeClock
) -> None:
    book = DeviceBook(database, clock.now)
    addresses = [f"F0:00:00:00:01:{number:02X}" for number in range(MAX_DEVICES + 1)]

    for address in addresses:
        book.heard(address, SERVICE)
        clock.pass_s(1)
    book.flush()

    assert [each.id for each in book.standings()] == addresses[1:]
    assert rows(database) == MAX_DEVICES


def test_a_forgotten_device_is_gone_from_the_disk(database: Database, clock: FakeClock) -> None:
    book = DeviceBook(database, clock.now)
    book.heard(CUFF, SERVICE)
    book.flush()

    book.forget(CUFF)

    assert (book.standings(), rows(database)) == ([], 0)


def test_a_disk_that_refuses_stops_nobody(database: Database, clock: FakeClock) -> None:
    book = DeviceBook(database, clock.now)
    database.connection.execute("PRAGMA query_only = ON")

    book.heard(CUFF, SERVICE)
    book.flush()
    kept = rows(database)
    database.connection.execute("PRAGMA query_only = OFF")
    book.flush()

    assert (kept, rows(database)) == (0, 1)
