"""Pages of a search over ten years: in order, whole, and each row once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from ingest_service.store import observation_search
from ingest_service.store.callers import Caller
from ingest_service.store.observation_search import FoundObservation, ObservationSearch
from tests.support.ingest import UNIT, Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

CALLER = Caller(actor="an-ehr", kind="system", care_unit_ids=(UNIT,), trace_id="0" * 32)
WHOLE = timedelta(days=3653)
PRESSURE = "85354-9"
# Days before now: thick and thin, on both sides of a month and of a year, and long silence. The
# home's assignments begin in 2020.
AGES = (0, 1, 1, 2, 29, 30, 31, 90, 364, 365, 366, 700, 701, 1500)


async def _measured(database: Database) -> Home:
    home = await registered(database)
    readings = [home.cuff("120", "80", pulse="70", ago=timedelta(days=age)) for age in AGES]
    await home.give(*readings)
    return home


async def _pages(
    database: Database,
    home: Home,
    *,
    limit: int,
    is_ascending: bool,
    codes: tuple[str, ...] | None,
) -> list[FoundObservation]:
    found: list[FoundObservation] = []
    after: tuple[datetime, UUID] | None = None
    async with await AsyncConnection.connect(database.dsn("hemvital_api")) as connection:
        while True:
            search = ObservationSearch(
                within=((home.now - WHOLE, home.now + timedelta(days=1)),),
                patient_ids=(id_of("patient-1"),),
                codes=codes,
                is_ascending=is_ascending,
                after=after,
                limit=limit,
            )
            page = await observation_search.find(connection, CALLER, search)
            found += page
            if len(page) < limit:
                return found
            after = (page[-1].effective_at, page[-1].id)


def _ages(home: Home, found: Sequence[FoundObservation]) -> list[int]:
    return [(home.now - each.effective_at).days for each in found]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 28, 100])
@pytest.mark.parametrize("is_ascending", [False, True])
async def test_pages_hold_every_row_once_and_in_order(
    database: Database, limit: int, is_ascending: bool
) -> None:
    home = await _measured(database)

    found = await _pages(database, home, limit=limit, is_ascending=is_ascending, codes=None)

    # A pressure and a pulse from each reading.
    assert _ages(home, found) == sorted([*AGES, *AGES], reverse=is_ascending)
    assert len({each.id for each in found}) == 2 * len(AGES)


@pytest.mark.parametrize("is_ascending", [False, True])
async def test_pages_of_one_code_hold_every_row_once_and_in_order(
    database: Database, is_ascending: bool
) -> None:
    home = await _measured(database)

    found = await _pages(database, home, limit=3, is_ascending=is_ascending, codes=(PRESSURE,))

    assert _ages(home, found) == sorted(AGES, reverse=is_ascending)


async def test_a_page_that_recent_readings_fill_opens_few_chunks(database: Database) -> None:
    home = await _measured(database)
    search = ObservationSearch(
        within=((home.now - WHOLE, home.now + timedelta(days=1)),),
        patient_ids=(id_of("patient-1"),),
        limit=4,
    )

    async with await AsyncConnection.connect(database.dsn("hemvital_api")) as connection:
        await observation_search.find(connection, CALLER, search)
        cursor = await connection.execute(
            "SELECT count(DISTINCT relation) FROM pg_locks"
            " WHERE pid = pg_backend_pid() AND relation::regclass::text LIKE '%\\_chunk'"
        )
        opened = await cursor.fetchone()

    # Thirty days lie in at most two chunks of ninety.
    assert opened is not None
    assert 1 <= opened[0] <= 2
