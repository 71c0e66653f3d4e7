"""Compressed texts on the real database, beside workers and rows of the release before."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest
import yoyo  # pyright: ignore[reportMissingTypeStubs] it has none
from procrastinate.schema import SchemaManager
from psycopg import AsyncConnection

from device_adapters.contract.messages import encode
from ingest_service.store import migration, observation_search, texts
from ingest_service.store.callers import Caller
from ingest_service.store.observation_search import FoundObservation
from ingest_service.store.text_dictionaries import DictionaryError
from ingest_service.store.texts import UnreadableTextError
from tests.support import older_release
from tests.support.ingest import CUFF, UNIT, Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

_CALLER: Final = Caller(
    actor="SE1", kind="staff", care_unit_ids=(UNIT,), trace_id="0" * 32, purpose="vård"
)


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database)


async def _read(home: Home, observation_id: str) -> FoundObservation | None:
    async with await AsyncConnection.connect(home.database.dsn("hemvital_api")) as connection:
        return await observation_search.read(connection, _CALLER, UUID(observation_id))


def _as_stored_before(home: Home) -> dict[str, Any]:
    """Replace the only observation by what a worker of the release before stores for it."""
    [row] = home.rows("observation")
    home.execute("DELETE FROM observation")
    home.execute("DELETE FROM observation_change")
    with psycopg.connect(home.database.dsn("hemvital_ingest")) as older:
        older_release.add(older, row)
    return row


async def test_a_text_is_stored_compressed_and_served_as_it_was(home: Home) -> None:
    await home.give(home.cuff("128.0", "82"))

    [row] = home.rows("observation")
    with psycopg.connect(home.database.dsn()) as connection:
        stored = connection.execute("SELECT resource, length(body) FROM observation").fetchone()
    assert stored is not None
    assert stored[0] is None
    assert stored[1] < len(row["resource"]) / 5
    found = await _read(home, row["id"])
    assert found is not None
    assert found.resource == row["resource"]
    assert '"value":128.0' in found.resource


async def test_what_an_older_worker_stores_is_served_and_told(home: Home) -> None:
    await home.give(home.cuff("128", "82"))

    row = _as_stored_before(home)

    found = await _read(home, row["id"])
    assert found is not None
    assert found.resource == row["resource"]
    [told] = home.rows("observation_change")
    assert (told["id"], told["version"]) == (row["id"], 1)


async def test_an_older_worker_retires_a_compressed_text_without_losing_it(home: Home) -> None:
    reading = home.cuff("128", "82")
    await home.give(reading)
    [before] = home.rows("observation")

    with psycopg.connect(home.database.dsn("hemvital_ingest")) as older:
        assert older_release.retire(older, reading.record_id) == 1

    [old] = home.rows("observation_history")
    assert old["resource"] == before["resource"]


async def test_an_older_workers_text_and_record_are_corrected(home: Home) -> None:
    reading = home.cuff("128", "82", ago=timedelta(hours=3))
    await home.give(reading)
    before = _as_stored_before(home)
    home.execute("UPDATE device_record SET record = %s", encode(reading))
    better = home.now - timedelta(hours=1)

    outcome = await home.give(home.correction(reading.record_id, better))

    assert outcome.counts == {"time_correction": 1}
    [old] = home.rows("observation_history")
    assert old["resource"] == before["resource"]
    [new] = home.rows("observation")
    assert better.isoformat() in new["resource"]


async def test_an_older_worker_stores_identities(home: Home) -> None:
    await home.give(home.cuff("128", "82"))
    [row] = home.rows("identity")
    home.execute("DELETE FROM identity")

    with psycopg.connect(home.database.dsn("hemvital_ingest")) as older:
        older_release.add_identity(older, row | {"phd_identifier": "F0A1"})

    assert [each["phd_identifier"] for each in home.rows("identity")] == ["F0A1"]


async def test_a_row_without_any_text_is_refused(home: Home) -> None:
    await home.give(home.cuff("128", "82"))
    [row] = home.rows("observation")

    with (
        psycopg.connect(home.database.dsn("hemvital_ingest")) as older,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        older_release.add(older, row | {"resource": None, "id": str(UUID(int=7))})


async def test_a_text_that_cannot_be_read_fails_by_name(home: Home) -> None:
    await home.give(home.cuff("128", "82"))
    [row] = home.rows("observation")
    home.execute("UPDATE observation SET body = %s", b"no frame")

    with pytest.raises(UnreadableTextError, match=row["id"]):
        await _read(home, row["id"])


def test_the_database_keeps_every_dictionary(database: Database) -> None:
    with psycopg.connect(database.dsn("hemvital_api")) as connection:
        kept = connection.execute("SELECT id, content FROM text_dictionary").fetchall()

    assert dict(kept) == texts.dictionaries()


def test_another_dictionary_under_a_known_number_stops_the_migration(database: Database) -> None:
    with psycopg.connect(database.dsn()) as connection:
        connection.execute("UPDATE text_dictionary SET content = 'x' WHERE id = 40001")

    with pytest.raises(DictionaryError, match="40001"):
        migration.apply(database.dsn())


@pytest.fixture
def older_database(empty_database: Database) -> Database:
    """A database as the release before left it."""
    ours = Path(migration.__file__).with_name("migrations")
    sources = str(ours), SchemaManager.get_migrations_path()
    newer = {file.stem for file in ours.glob("*.sql") if file.stem >= "0008"}
    # yoyo has no types. The connection is made as `apply` makes it.
    uri = migration._uri(empty_database.dsn())  # pyright: ignore[reportPrivateUsage]
    backend: Any = yoyo.get_backend(uri)  # pyright: ignore[reportUnknownMemberType]
    scripts: Any = yoyo.read_migrations(*sources)  # pyright: ignore[reportUnknownMemberType]
    ordered = backend.to_apply(scripts)
    before = [one for one in ordered if one.id not in newer]
    backend.apply_migrations(ordered.__class__(before, ordered.post_apply))
    backend.connection.close()
    return empty_database


def test_a_worker_that_stores_while_the_schema_changes_is_waited_for(
    older_database: Database,
) -> None:
    home = Home(database=older_database)
    first, second, third = (_made_by_hand(home, number) for number in (1, 2, 3))
    applied = list[int]()
    migrating = threading.Thread(
        target=lambda: applied.append(migration.apply(older_database.dsn()))
    )

    with psycopg.connect(older_database.dsn("hemvital_ingest")) as older:
        older_release.add(older, first)
        migrating.start()
        _wait_until_somebody_waits(older_database)
        older_release.add(older, second)
    migrating.join(timeout=30)
    with psycopg.connect(older_database.dsn("hemvital_ingest")) as older:
        older_release.add(older, third)

    assert applied[0] > 0
    stored = [first, second, third]
    assert {row["id"]: row["resource"] for row in home.rows("observation")} == {
        row["id"]: row["resource"] for row in stored
    }
    told = sorted(row["id"] for row in home.rows("observation_change"))
    assert told == sorted(row["id"] for row in stored)


def _made_by_hand(home: Home, number: int) -> dict[str, Any]:
    """Return an observation's columns; the schema of the release before has no more."""
    return {
        "id": str(UUID(int=number)),
        "record_id": str(UUID(int=number)),
        "version": 1,
        "care_provider_id": str(id_of("p")),
        "care_unit_id": str(UNIT),
        "patient_id": str(id_of("patient-1")),
        "device_id": CUFF,
        "code": "85354-9",
        "status": "final",
        "effective_at": home.now.isoformat(),
        "time_quality": "synchronised",
        "systolic": "128",
        "diastolic": "82",
        "is_irregular": False,
        "is_doubtful": False,
        "last_updated": home.now.isoformat(),
        "resource": f'{{"resourceType":"Observation","id":"{number}"}}',
    }


def _wait_until_somebody_waits(database: Database) -> None:
    deadline = time.monotonic() + 20
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        while not connection.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
            assert time.monotonic() < deadline, "the migration never came to the table"
            time.sleep(0.05)
