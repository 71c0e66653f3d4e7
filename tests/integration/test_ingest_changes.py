"""The change feed: every version that became current, in order, and none passed over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection

from ingest_service.admission import writing
from ingest_service.store import changes, observations
from ingest_service.store.callers import Caller
from ingest_service.store.changes import Change
from ingest_service.store.patients import Patient
from tests.support.ingest import UNIT, Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

_START: Final = (datetime(2020, 1, 1, tzinfo=UTC), UUID(int=0))


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database, patients=2)


def _caller(*units: UUID) -> Caller:
    return Caller(actor="ehr", kind="system", care_unit_ids=units, trace_id="0" * 32)


def _age(home: Home, by: timedelta) -> None:
    """Let everything that was told have been told that much earlier."""
    home.execute("UPDATE observation_change SET last_updated = last_updated - %s", by)


async def _since(
    home: Home, after: tuple[datetime, UUID] = _START, *, most: int = 100, unit: UUID = UNIT
) -> list[Change]:
    async with await AsyncConnection.connect(home.database.dsn("hemvital_api")) as connection:
        return await changes.since(connection, _caller(unit), after, most=most)


async def test_what_is_stored_is_told_in_order_once_it_is_old_enough(home: Home) -> None:
    await home.give(home.cuff("128", "82", pulse="70"))
    await home.give(home.oximeter("96"))

    young = await _since(home)
    _age(home, timedelta(minutes=2))
    old = await _since(home)

    assert young == []
    stored = {row["id"]: row["code"] for row in home.rows("observation")}
    codes = [stored[str(change.id)] for change in old]
    assert (set(codes[:2]), set(codes[2:])) == ({"85354-9", "8867-4"}, {"2708-6", "8867-4"})
    assert old == sorted(old, key=lambda change: (change.last_updated, change.id))


async def test_no_transaction_that_stores_outlasts_what_readers_wait(home: Home) -> None:
    """Not even that of a command, whose session has no time-out of its own."""
    reading = home.cuff("128", "82")
    patient = Patient(id_of("patient-1"), UNIT, id_of("p"))
    mapped = writing.observations_of(reading, patient, gateway_id="gateway-1", now=home.now)
    rows = writing.observation_rows(reading, mapped, patient, now=home.now)

    async with await AsyncConnection.connect(home.database.dsn("hemvital_ingest")) as connection:
        before = await _timeout(connection)
        await observations.add(connection, rows)
        after = await _timeout(connection)

    assert before == timedelta(0)
    assert timedelta(0) < after < changes.HORIZON


async def test_a_transaction_that_is_given_a_timeout_midway_ends_by_it(home: Home) -> None:
    async with await AsyncConnection.connect(home.database.dsn("hemvital_ingest")) as connection:
        await connection.execute("SELECT set_config('transaction_timeout', '200ms', true)")
        with pytest.raises(psycopg.errors.TransactionTimeout):
            await connection.execute("SELECT pg_sleep(10)")


async def _timeout(connection: AsyncConnection) -> timedelta:
    cursor = await connection.execute(
        "SELECT setting::int FROM pg_settings WHERE name = 'transaction_timeout'"
    )
    found = await cursor.fetchone()
    return timedelta(milliseconds=found[0] if found else -1)


async def test_the_time_is_the_databases_own_and_not_the_workers(home: Home) -> None:
    before = datetime.now(UTC)
    home.now -= timedelta(hours=5)  # a worker whose clock is wrong, or which waited long
    await home.give(home.cuff("128", "82"))

    [told] = home.rows("observation_change")
    assert datetime.fromisoformat(told["last_updated"]) > before


async def test_pages_follow_each_other_without_gap_or_repetition(home: Home) -> None:
    for _ in range(3):
        await home.give(*(home.cuff("128", "82", pulse="70") for _ in range(4)))
    # Many of one moment, so that the id has to tell them apart.
    home.execute("UPDATE observation_change SET last_updated = date_trunc('hour', now()) - %s",
                 timedelta(hours=1))  # fmt: skip
    pages = list[Change]()
    after = _START

    while page := await _since(home, after, most=5):
        assert len(page) <= 5
        pages += page
        after = (page[-1].last_updated, page[-1].id)

    assert len(pages) == 24
    assert {str(change.id) for change in pages} == {row["id"] for row in home.rows("observation")}
    assert len({change.id for change in pages}) == 24


async def test_other_units_changes_are_not_told(home: Home) -> None:
    await home.give(home.cuff("128", "82"))
    _age(home, timedelta(minutes=2))

    assert await _since(home, unit=uuid4()) == []


async def test_a_corrected_version_is_told_and_the_one_before_is_not_current(home: Home) -> None:
    reading = home.cuff("128", "82", ago=timedelta(days=200))
    await home.give(reading, home.cuff("131", "84"))
    better = home.now - timedelta(minutes=3)
    await home.give(home.correction(reading.record_id, better))
    _age(home, timedelta(minutes=2))

    told = await _since(home)
    async with await AsyncConnection.connect(home.database.dsn("hemvital_api")) as connection:
        current = await changes.current(connection, _caller(UNIT), told)
        elsewhere = await changes.current(connection, _caller(uuid4()), told)

    assert [change.version for change in told] == [1, 1, 2]
    assert sorted(found.version for found in current) == [1, 2]
    assert current[-1].effective_at == better
    assert better.isoformat() in current[-1].resource
    assert elsewhere == []
