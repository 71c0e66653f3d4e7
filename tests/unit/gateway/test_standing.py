"""What is wrong and since when, over restarts, flapping and a full disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from device_adapters.contract.standing import (
    MAX_CONDITIONS,
    GatewayEvent,
    Happening,
    Problem,
    decode_event,
)
from gateway.standing import Standing
from gateway.store import events as events_store
from gateway.store.database import Database
from gateway.store.events import Events
from tests.unit.gateway.fakes import START, FakeClock

CUFF = "F0:00:00:00:00:01"


@pytest.fixture
def events(database: Database) -> Events:
    return Events(database)


@pytest.fixture
def standing(database: Database, clock: FakeClock, events: Events) -> Standing:
    return Standing(database, clock, events)


def told(events: Events) -> list[GatewayEvent]:
    found: list[GatewayEvent] = []
    while waiting := events.oldest():
        found.append(decode_event(waiting.body))
        events.taken(waiting.number)
    return found


def kinds(events: Events) -> list[tuple[Happening, Problem | None]]:
    return [(event.kind, event.condition) for event in told(events)]


def fill_pages(connection: sqlite3.Connection) -> None:
    for _ in range(10_000):
        connection.execute("INSERT INTO event (body, created_us) VALUES (zeroblob(600), 0)")


@contextmanager
def full_disk(database: Database) -> Generator[None]:
    """SQLite itself refuses to grow the file, as it does on a full disk."""
    connection = database.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        fill_pages(connection)
    yield
    connection.execute("PRAGMA max_page_count = 1000000")
    connection.execute("DELETE FROM event WHERE created_us = 0")


def test_a_condition_has_a_beginning_and_an_end(standing: Standing, events: Events) -> None:
    standing.begin(Problem.BATTERY_LOW, device_id=CUFF, detail="12 %")
    (condition,) = standing.conditions
    standing.end(Problem.BATTERY_LOW, device_id=CUFF)

    assert (condition.kind, condition.since) == (Problem.BATTERY_LOW, START)
    assert (condition.device_id, condition.detail) == (CUFF, "12 %")
    assert standing.conditions == ()
    assert kinds(events) == [
        (Happening.BEGAN, Problem.BATTERY_LOW),
        (Happening.ENDED, Problem.BATTERY_LOW),
    ]


def test_said_again_it_keeps_its_beginning_and_takes_the_detail(
    standing: Standing, clock: FakeClock, events: Events
) -> None:
    standing.begin(Problem.RADIO_DEAF, detail="no adapter")
    clock.pass_s(3600)
    standing.begin(Problem.RADIO_DEAF, detail="BlueZ is gone")

    (condition,) = standing.conditions
    assert (condition.since, condition.detail) == (START, "BlueZ is gone")
    assert kinds(events) == [(Happening.BEGAN, Problem.RADIO_DEAF)]


def test_an_end_of_what_never_began_is_nothing(standing: Standing, events: Events) -> None:
    standing.end(Problem.DISK_FULL)

    assert told(events) == []


def test_a_beginning_outlives_a_restart(
    standing: Standing, database: Database, clock: FakeClock, events: Events
) -> None:
    standing.begin(Problem.DEVICE_NOT_SEEN, device_id=CUFF)
    standing.begin(Problem.DISK_FULL)
    standing.end(Problem.DISK_FULL)
    clock.pass_s(86_400)

    again = Standing(database, clock, events)

    assert [(each.kind, each.since) for each in again.conditions] == [
        (Problem.DEVICE_NOT_SEEN, START)
    ]


def test_what_begins_again_within_a_minute_is_the_same(
    standing: Standing, clock: FakeClock
) -> None:
    standing.begin(Problem.RADIO_DEAF)
    clock.pass_s(10)
    standing.end(Problem.RADIO_DEAF)
    clock.pass_s(59)
    standing.begin(Problem.RADIO_DEAF)

    assert [each.since for each in standing.conditions] == [START]


def test_what_begins_again_later_is_another(standing: Standing, clock: FakeClock) -> None:
    standing.begin(Problem.RADIO_DEAF)
    standing.end(Problem.RADIO_DEAF)
    clock.pass_s(61)
    standing.begin(Problem.RADIO_DEAF)

    assert [each.since for each in standing.conditions] == [START + timedelta(seconds=61)]


def test_what_comes_and_goes_by_the_second_makes_few_events_and_few_writes(
    standing: Standing, clock: FakeClock, events: Events, database: Database
) -> None:
    before = database.connection.total_changes

    for number in range(3600):
        standing.begin(Problem.RADIO_DEAF, detail=f"reason {number}")
        clock.pass_s(0.5)
        standing.end(Problem.RADIO_DEAF)
        clock.pass_s(0.5)
        standing.settle()

    assert [each.since for each in standing.conditions] == [START]
    assert len(told(events)) <= 3
    assert database.connection.total_changes - before < 100
    clock.pass_s(61)
    standing.settle()
    assert standing.conditions == ()


def test_a_beginning_told_by_a_wrong_clock_is_put_right_with_it(
    standing: Standing, clock: FakeClock
) -> None:
    clock.is_synchronised = False
    standing.begin(Problem.RADIO_DEAF)
    clock.pass_s(30)
    clock.at += timedelta(days=2)
    clock.is_synchronised = True

    standing.settle()

    assert [each.since for each in standing.conditions] == [START + timedelta(days=2)]


def test_devices_that_are_no_longer_here_are_not_wrong(standing: Standing) -> None:
    for device in (CUFF, "F0:00:00:00:00:02"):
        standing.begin(Problem.DEVICE_NOT_SEEN, device_id=device)
    standing.begin(Problem.DISK_FULL)

    standing.end_devices(Problem.DEVICE_NOT_SEEN, but=[CUFF])

    assert [(each.kind, each.device_id) for each in standing.conditions] == [
        (Problem.DISK_FULL, None),
        (Problem.DEVICE_NOT_SEEN, CUFF),
    ]


def test_there_is_an_end_to_conditions(standing: Standing) -> None:
    for number in range(MAX_CONDITIONS + 10):
        standing.begin(Problem.BATTERY_LOW, device_id=f"F0:00:00:00:{number >> 8:02X}:00")
        standing.begin(Problem.BATTERY_LOW, device_id=f"F0:00:00:00:00:{number & 255:02X}")
        standing.begin(Problem.BATTERY_LOW, device_id=f"F0:00:00:01:00:{number & 255:02X}")

    assert len(standing.conditions) <= MAX_CONDITIONS


def test_a_detail_and_a_device_that_are_too_much_still_make_a_readable_event(
    standing: Standing, events: Events
) -> None:
    standing.begin(Problem.BROKER_REFUSES, device_id="not an address", detail="x" * 5000)

    (event,) = told(events)
    assert event.detail == "x" * 200
    assert event.device_id is None


def test_a_full_disk_takes_nothing_from_what_is_wrong(
    standing: Standing, database: Database, clock: FakeClock, events: Events
) -> None:
    standing.begin(Problem.RADIO_DEAF)
    with full_disk(database):
        standing.begin(Problem.DISK_FULL, detail="0 bytes left")
        standing.end(Problem.RADIO_DEAF)
        standing.note(Happening.CONFIGURED, detail="version 2")
        standing.settle()
        held = [each.kind for each in standing.conditions]

    standing.settle()

    assert held == [Problem.DISK_FULL]
    assert [each.kind for each in Standing(database, clock, events).conditions] == held
    assert kinds(events) == [
        (Happening.BEGAN, Problem.RADIO_DEAF),
        (Happening.BEGAN, Problem.DISK_FULL),
        (Happening.ENDED, Problem.RADIO_DEAF),
        (Happening.CONFIGURED, None),
    ]


def test_a_report_in_the_middle_of_another_transaction_waits(
    standing: Standing, database: Database, clock: FakeClock, events: Events
) -> None:
    with database.transaction():
        standing.begin(Problem.DISK_FULL)

    standing.settle()

    assert [each.kind for each in Standing(database, clock, events).conditions] == [
        Problem.DISK_FULL
    ]


def test_events_are_bounded_and_the_oldest_go_first(
    standing: Standing, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_store, "KEPT", 5)

    for number in range(8):
        standing.note(Happening.CONFIGURED, detail=f"version {number}")

    assert events.dropped == 3
    assert [event.detail for event in told(events)] == [f"version {n}" for n in range(3, 8)]


def test_each_event_has_an_id_of_its_own(
    database: Database, clock: FakeClock, events: Events
) -> None:
    ids = iter([UUID(int=1), UUID(int=2)])
    standing = Standing(database, clock, events, new_id=lambda: next(ids))

    standing.note(Happening.STARTED)
    standing.note(Happening.STARTED)

    assert [event.id for event in told(events)] == [UUID(int=1), UUID(int=2)]


def test_whoever_tells_the_server_hears_of_changes_only(
    standing: Standing, clock: FakeClock
) -> None:
    calls: list[Any] = []
    standing.tell(lambda: calls.append(1))

    standing.begin(Problem.RADIO_DEAF)
    standing.begin(Problem.RADIO_DEAF)
    standing.end(Problem.DISK_FULL)
    standing.end(Problem.RADIO_DEAF)

    assert len(calls) == 2
