"""Who received a reading hears when it is taken back, however the two cross."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection

from clinician_api.services import ehr, receiving
from ingest_service.store import migration, observation_search, patients, receivers
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from ingest_service.store.observation_search import FoundObservation
from ingest_service.store.receivers import ChangedObservation
from tests.support.ingest import UNIT, Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

PATIENT = id_of("patient-1")
OTHER = id_of("patient-2")
MIGRATION = Path(migration.__file__).with_name("migrations") / "0011-receivers-and-retention.sql"


class Ehr:
    """A registered EHR system that reads as the API lets it."""

    def __init__(self, home: Home, name: str = "ehr") -> None:
        self.home = home
        self.caller = Caller(actor=name, kind="system", care_unit_ids=(UNIT,), trace_id="0" * 32)
        home.execute(
            "INSERT INTO api_client VALUES (%s, %s, %s, 'system/*.rs')",
            name,
            f"EHR {name}",
            [UNIT],
        )

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Connection]:
        dsn = self.home.database.dsn("hemvital_api")
        async with await AsyncConnection.connect(dsn) as connection:
            yield connection

    async def read(self, observation_id: UUID) -> FoundObservation:
        """Read one observation as a request would."""
        async with self.connected() as connection:
            return await ehr.observation(connection, self.caller, observation_id)


async def given(home: Home, **cuff: Any) -> UUID:
    """Admit a pressure and return its observation's id."""
    before = {row["id"] for row in home.rows("observation")}
    await home.give(home.cuff("128", "82", **cuff))
    [new] = [row["id"] for row in home.rows("observation") if row["id"] not in before]
    return UUID(new)


async def change(
    home: Home, observation_id: UUID, patient_id: UUID, *, commit: asyncio.Event | None = None
) -> None:
    """Make a new version as admission does: patients first, receivers last; commit when told."""
    async with await AsyncConnection.connect(home.database.dsn()) as connection:
        await patients.lock(connection, [patient_id])
        cursor = await connection.execute(
            "UPDATE observation SET version = version + 1, status = 'entered-in-error'"
            " WHERE id = %s RETURNING version",
            [observation_id],
        )
        [(version,)] = await cursor.fetchall()
        changed = ChangedObservation(
            observation_id=observation_id,
            version=version,
            patient_id=patient_id,
            change_id=uuid4(),
        )
        await receivers.must_hear(connection, [changed])
        if commit is not None:
            await commit.wait()


def news(home: Home) -> list[tuple[str, int, bool]]:
    """Return what must be heard: receiver, version, whether it was."""
    rows = home.rows("receiver_news")
    return sorted((row["receiver_id"], row["version"], row["told_at"] is not None) for row in rows)


async def test_who_reads_is_known_from_then_on(database: Database) -> None:
    home = await registered(database, patients=2)
    system, observation = Ehr(home), await given(home)
    await given(home, device="cuff-2")

    await system.read(observation)
    [first] = home.rows("receiver_patient")
    await system.read(observation)
    [second] = home.rows("receiver_patient")
    home.execute("UPDATE receiver_patient SET last_at = last_at - INTERVAL '25 hours'")
    await system.read(observation)
    [third] = home.rows("receiver_patient")

    assert (first["receiver_id"], first["patient_id"]) == ("ehr", str(PATIENT))
    assert second == first
    assert third["first_at"] == first["first_at"]
    assert third["last_at"] > first["last_at"]
    assert [(row["id"], row["kind"], row["name"]) for row in home.rows("receiver")] == [
        ("ehr", "pull", "EHR ehr")
    ]


async def test_who_reads_a_patient_s_details_is_known_too(database: Database) -> None:
    home = await registered(database, patients=2)
    system = Ehr(home)

    for _ in range(2):
        async with system.connected() as connection:
            await ehr.patient(connection, system.caller, OTHER)

    [row] = home.rows("receiver_patient")
    assert row["patient_id"] == str(OTHER)


async def test_every_receiver_of_the_patient_must_hear_and_nobody_else(
    database: Database,
) -> None:
    home = await registered(database, patients=2)
    one, two, stranger = Ehr(home, "one"), Ehr(home, "two"), Ehr(home, "stranger")
    observation, others = await given(home), await given(home, device="cuff-2")
    await one.read(observation)
    await two.read(observation)
    await stranger.read(others)

    await change(home, observation, PATIENT)

    assert news(home) == [("one", 2, False), ("two", 2, False)]


async def test_the_same_change_again_is_no_further_news(database: Database) -> None:
    home = await registered(database)
    system, observation = Ehr(home), await given(home)
    await system.read(observation)
    changed = ChangedObservation(
        observation_id=observation, version=2, patient_id=PATIENT, change_id=uuid4()
    )

    counts: list[int] = []
    for changes in ([changed], [changed], []):
        dsn = database.dsn("hemvital_ingest")
        async with await AsyncConnection.connect(dsn) as connection:
            counts.append(await receivers.must_hear(connection, changes))

    assert counts == [1, 0, 0]


async def test_news_is_told_by_that_version_or_a_later_one(database: Database) -> None:
    home = await registered(database)
    system, observation = Ehr(home), await given(home)
    await system.read(observation)
    await change(home, observation, PATIENT)
    await change(home, observation, PATIENT)

    async with system.connected() as connection:
        await receivers.told(connection, "ehr", [(observation, 1), (uuid4(), 9)])
    after_an_old_one = news(home)
    async with system.connected() as connection:
        await receivers.told(connection, "somebody", [(observation, 3)])
        await receivers.told(connection, "ehr", [(observation, 2)])
    after_the_second = news(home)
    await system.read(observation)

    assert after_an_old_one == [("ehr", 2, False), ("ehr", 3, False)]
    assert after_the_second == [("ehr", 2, True), ("ehr", 3, False)]
    assert news(home) == [("ehr", 2, True), ("ehr", 3, True)]


async def _until_somebody_waits(home: Home) -> None:
    async with await AsyncConnection.connect(home.database.dsn(), autocommit=True) as connection:
        async with asyncio.timeout(10):
            while True:
                cursor = await connection.execute(
                    "SELECT count(*) FROM pg_locks WHERE NOT granted"
                )
                if await cursor.fetchone() != (0,):
                    return
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("starts_at", ["before read 1", "after read 1", "before read 2"])
async def test_a_change_that_crosses_a_first_contact_is_not_missed(
    database: Database, starts_at: str
) -> None:
    home = await registered(database)
    system, observation = Ehr(home), await given(home)
    commit = asyncio.Event()
    changing: list[asyncio.Task[None]] = []
    reads = 0

    async def begin(point: str) -> None:
        if point == starts_at:
            changing.append(asyncio.create_task(change(home, observation, PATIENT, commit=commit)))
            await asyncio.sleep(0.3)  # everything but its commit, unless it has to wait

    async with system.connected() as connection:

        async def read() -> Sequence[FoundObservation]:
            nonlocal reads
            reads += 1
            await begin(f"before read {reads}")
            found = await observation_search.read(connection, system.caller, observation)
            await begin(f"after read {reads}")
            return [found] if found else []

        async def hold_the_change() -> None:
            # Its commit comes when the reader waits for it, or after the reader is done.
            if starts_at != "before read 2":
                await _until_somebody_waits(home)
                commit.set()

        holding = asyncio.create_task(hold_the_change())
        [row] = await receiving.received(connection, system.caller, read, most=1)
    commit.set()
    async with asyncio.timeout(10):
        await holding
        await asyncio.gather(*changing)

    assert changing
    assert (row.version, news(home)) in [(2, []), (1, [("ehr", 2, False)])]
    assert reads == 2


async def test_a_change_waits_for_a_first_contact_that_is_not_committed(
    database: Database,
) -> None:
    home = await registered(database)
    system, observation = Ehr(home), await given(home)

    async with system.connected() as connection:
        await observation_search.read(connection, system.caller, observation)
        assert await receivers.meet(connection, system.caller, [PATIENT])
        changing = asyncio.create_task(change(home, observation, PATIENT))
        await _until_somebody_waits(home)
    async with asyncio.timeout(10):
        await changing

    assert news(home) == [("ehr", 2, False)]


async def test_another_request_s_first_contact_is_no_proof_for_an_older_read(
    database: Database,
) -> None:
    """The receiver became known after this request read, and after a change had looked."""
    home = await registered(database)
    system, observation = Ehr(home), await given(home)
    reads = 0

    async with system.connected() as connection:

        async def read() -> Sequence[FoundObservation]:
            nonlocal reads
            reads += 1
            found = await observation_search.read(connection, system.caller, observation)
            if reads == 1:
                await change(home, observation, PATIENT)
                await system.read(observation)  # the other request
            return [found] if found else []

        [row] = await receiving.received(connection, system.caller, read, most=1)

    assert row.version == 2


async def test_many_first_contacts_and_changes_at_once(database: Database) -> None:
    """Whoever ends with an old version is told; and nobody waits for another in a circle."""
    home = await registered(database, patients=3)
    devices = {PATIENT: {}, OTHER: {"device": "cuff-2"}, id_of("patient-3"): {"device": "cuff-3"}}
    observations = {await given(home, **cuff): patient for patient, cuff in devices.items()}
    systems = [Ehr(home, f"ehr-{n}") for n in range(8)]
    got: list[tuple[str, UUID, int]] = []

    async def reading(system: Ehr) -> None:
        for observation_id in (*observations, *reversed(observations)):
            found = await system.read(observation_id)
            got.append((system.caller.actor, observation_id, found.version))

    async def changing() -> None:
        for observation_id, patient_id in observations.items():
            await change(home, observation_id, patient_id)

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for system in systems:
            tasks.create_task(reading(system))
        for _ in range(4):
            tasks.create_task(changing())

    last = {(actor, observation_id): version for actor, observation_id, version in got}
    current = {UUID(row["id"]): row["version"] for row in home.rows("observation")}
    untold = {
        (row["receiver_id"], UUID(row["observation_id"]))
        for row in home.rows("receiver_news")
        if row["told_at"] is None
    }
    assert len(last) == 24
    behind = {key for key, version in last.items() if version < current[key[1]]}
    assert behind <= untold


def _ingest(database: Database, *arguments: str) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-m", "ingest_service.command", *arguments, "--json"],
        env={"HEMVITAL_INGEST_DATABASE": database.dsn("hemvital_ingest")},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_an_operator_sees_who_has_not_heard_and_no_patient(database: Database) -> None:
    home = await registered(database)
    system, observation = Ehr(home), await given(home)
    await system.read(observation)
    for _ in range(2):
        await change(home, observation, PATIENT)
    home.execute("UPDATE receiver_news SET told_at = created_at WHERE version = 2")
    home.execute("UPDATE receiver_news SET created_at = created_at - INTERVAL '3 hours'")

    [listed] = _ingest(database, "receivers", "list")
    [untold] = _ingest(database, "receivers", "untold")

    assert (listed["id"], listed["patients"], listed["news"], listed["untold"]) == ("ehr", 1, 2, 1)
    assert 10_800 <= listed["oldest_untold_s"] < 10_900
    assert (untold["receiver_id"], untold["observation_id"], untold["version"]) == (
        "ehr",
        str(observation),
        3,
    )
    assert 10_800 <= untold["age_s"] < 10_900
    assert str(PATIENT) not in json.dumps([listed, untold])


async def test_who_read_before_is_taken_from_the_access_log(database: Database) -> None:
    """What the migration does for an installation that has served EHR systems already."""
    home = await registered(database, patients=2)
    Ehr(home, "known")
    for actor, kind, day, whose in [
        ("known", "system", 1, [PATIENT]),
        ("known", "system", 3, [PATIENT, id_of("gone")]),
        ("revoked and removed", "system", 2, [OTHER]),
        ("SE2321000016-1001", "staff", 2, [PATIENT]),
        ("known", "system", 4, []),
    ]:
        home.execute(
            "INSERT INTO access_log (at, actor, actor_kind, action, patient_ids)"
            " VALUES (make_timestamptz(2026, 1, %s, 0, 0, 0, 'UTC'), %s, %s, 'read', %s)",
            day,
            actor,
            kind,
            whose,
        )

    for statement in MIGRATION.read_text(encoding="utf-8").split(";"):
        if "FROM access_log" in statement:
            home.execute(statement)

    assert sorted((row["id"], row["name"]) for row in home.rows("receiver")) == [
        ("known", "EHR known"),
        ("revoked and removed", "revoked and removed"),
    ]
    met = [
        (row["receiver_id"], row["patient_id"], row["first_at"][:10], row["last_at"][:10])
        for row in home.rows("receiver_patient")
    ]
    assert sorted(met) == [
        ("known", str(PATIENT), "2026-01-01", "2026-01-03"),
        ("revoked and removed", str(OTHER), "2026-01-02", "2026-01-02"),
    ]
