"""Old bytes are emptied on an operator's word; resources, and whoever is on hold, lose nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from ingest_service.store import holds, raw_bytes
from ingest_service.store.raw_bytes import RecordBatch
from tests.support.ingest import Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

HELD, FREE = id_of("patient-1"), id_of("patient-2")
NOW = datetime(2036, 12, 1, tzinfo=UTC)


async def aged(database: Database) -> Home:
    """Return a home with two patients' records of 2020 and today, the first one's on hold."""
    home = await registered(database, patients=2)
    await home.give(
        home.cuff("121", "81"),
        home.cuff("350", "82"),
        home.cuff("122", "82", device="cuff-2"),
        home.cuff("351", "82", device="cuff-2"),
        home.cuff("352", "82", device="cuff-2"),
    )
    home.execute("UPDATE device_record SET stored_at = '2020-05-01'")
    home.execute("UPDATE quarantine SET received_at = '2020-05-01'")
    home.execute(
        "UPDATE quarantine SET resolved_at = '2020-06-01', resolution = 'rejected',"
        " resolved_by = 'a nurse' WHERE id <> (SELECT max(id) FROM quarantine)"
    )
    await home.give(home.cuff("123", "83", device="cuff-2"))
    home.execute(
        "INSERT INTO legal_hold (patient_id, reason, decided_by) VALUES (%s, 'x', 'y')", HELD
    )
    return home


def forget(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ingest_service.command", "forget-raw", *arguments],
        env={"HEMVITAL_INGEST_OWNER_DATABASE": database.dsn()},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def emptied(home: Home) -> list[tuple[str, str, bool]]:
    """Return whose records' bytes are gone: patient, year of storing, whether."""
    rows = home.rows("device_record")
    for row in rows:
        assert {row["raw"] == "\\x", row["record"] == "\\x"} == {row["forgotten_at"] is not None}
    return sorted(
        (row["patient_id"], row["stored_at"][:4], row["forgotten_at"] is not None) for row in rows
    )


async def test_it_counts_first_and_empties_only_what_is_old_and_not_on_hold(
    database: Database,
) -> None:
    home = await aged(database)
    resources = home.rows("observation")
    days = str((datetime.now(UTC) - datetime(2021, 1, 1, tzinfo=UTC)).days)

    counted = forget(database, "--older-than-days", days)
    untouched = emptied(home)
    done = forget(database, "--older-than-days", days, "--execute")
    again = forget(database, "--older-than-days", days, "--execute")

    this_year = f"{datetime.now(UTC):%Y}"
    assert counted.returncode == 0, counted.stderr
    assert "device_record: 1 with bytes, 2020-05-01 to 2020-05-01; 1 on hold" in counted.stdout
    assert "quarantine: 1 with bytes, 2020-06-01 to 2020-06-01; 1 on hold" in counted.stdout
    assert not any(is_emptied for _, _, is_emptied in untouched)
    assert done.stdout == "Emptied: device_record 1, quarantine 1.\n"
    assert again.stdout == "Emptied: device_record 0, quarantine 0.\n"
    assert emptied(home) == sorted(
        [
            (str(HELD), "2020", False),
            (str(FREE), "2020", True),
            (str(FREE), this_year, False),
        ]
    )
    assert home.rows("observation") == resources
    waits = {
        (row["resolution"], row["device_id"] == "cuff-2"): row["payload"] == "\\x"
        for row in home.rows("quarantine")
    }
    # On hold · ended, nobody's hold · still waiting.
    assert waits == {("rejected", False): False, ("rejected", True): True, (None, True): False}


async def test_without_a_number_it_is_ten_years(database: Database) -> None:
    home = await aged(database)
    ten_years_ago = datetime.now(UTC) - timedelta(days=3653)
    home.execute("UPDATE device_record SET stored_at = %s", ten_years_ago + timedelta(days=1))
    younger = forget(database, "--execute")
    home.execute("UPDATE device_record SET stored_at = %s", ten_years_ago - timedelta(days=1))

    older = forget(database, "--execute")

    assert younger.stdout == "Emptied: device_record 0, quarantine 0.\n"
    assert older.stdout == "Emptied: device_record 2, quarantine 0.\n"


def test_what_is_young_is_never_forgotten(database: Database) -> None:
    refused = forget(database, "--older-than-days", "399", "--execute")

    assert (refused.returncode, refused.stderr) == (2, "--older-than-days: 400 at least\n")


async def test_it_goes_on_where_a_batch_ended(database: Database) -> None:
    home = await aged(database)
    home.execute("DELETE FROM legal_hold")
    sizes: list[int] = []
    last: UUID | None = None

    async with await AsyncConnection.connect(database.dsn()) as connection:
        while True:
            batch: RecordBatch = await raw_bytes.forget_records(
                connection, before=NOW, at=NOW, after=last, most=2
            )
            await connection.commit()
            sizes.append(batch.rows)
            if (last := batch.last) is None:
                break

    assert sizes == [2, 1, 0]


async def test_a_hold_that_is_being_set_holds(database: Database) -> None:
    home = await aged(database)
    home.execute("DELETE FROM legal_hold")

    async with await AsyncConnection.connect(database.dsn()) as holding:
        await holds.put(holding, FREE, reason="a claim", by="a lawyer", at=NOW)

        async def empty() -> int:
            async with await AsyncConnection.connect(database.dsn()) as connection:
                batch = await raw_bytes.forget_records(
                    connection, before=NOW, at=NOW, after=None, most=10
                )
                return batch.rows

        emptying = asyncio.create_task(empty())
        await asyncio.sleep(0.3)
        assert not emptying.done()
        await holding.commit()

        async with asyncio.timeout(10):
            rows = await emptying

    assert rows == 1
    assert [patient for patient, _, is_emptied in emptied(home) if is_emptied] == [str(HELD)]


async def test_a_forgotten_record_is_still_known(database: Database) -> None:
    """Its id alone decides what is a duplicate."""
    home = await registered(database)
    record = home.cuff("121", "81")
    await home.give(record)
    home.execute("UPDATE device_record SET stored_at = '2020-05-01'")
    done = forget(database, "--older-than-days", "400", "--execute")

    outcome = await Home(database=database, now=home.now).give(record)

    assert done.stdout == "Emptied: device_record 1, quarantine 0.\n"
    assert outcome.counts["duplicate"] == 1
    assert len(home.rows("observation")) == 1
