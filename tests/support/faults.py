"""What the fault suite stands on: a server's side of its own, and a count of each scenario."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID, uuid5

import psycopg
from psycopg import AsyncConnection

from deploy.local.books import Comparison, Stored
from deploy.local.services import BROKER, DATABASE, Services
from ingest_service import registration
from ingest_service.registration import Registration
from tests.support.radio import wait_until
from tests.support.services import OWNER, Broker, Database
from tests.support.worker import Worker, started

_SPACE: Final = UUID("00000000-0000-4000-8000-00000000fa17")
_UNIT: Final = str(uuid5(_SPACE, "unit"))
_PROVIDER: Final = str(uuid5(_SPACE, "provider"))
_WORKER_S: Final = 40.0

# The device's address as it is registered, the bytes that it gave, whose and of when.
_STORED: Final = """
SELECT device_id, encode(raw, 'hex'), patient_id::text, effective_at
  FROM device_record
 WHERE device_id = ANY(%s)
"""


def seed() -> int:
    """Return the seed of this run: ``HEMVITAL_TEST_SEED``, or another one each time."""
    given = os.environ.get("HEMVITAL_TEST_SEED")
    chosen = int(given) if given else secrets.randbelow(1_000_000)
    print(f"HEMVITAL_TEST_SEED={chosen}")  # noqa: T201 - shown where the test fails
    return chosen


def chance(seed: int) -> Random:
    """Return where a scenario's moments come from."""
    return Random(seed)  # noqa: S311 - when to kill is no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What became of the readings of one scenario."""

    scenario: str
    comparison: Comparison
    kept_in_window: int

    def line(self) -> str:
        """Return the count as one line."""
        found = self.comparison
        counts = (
            f"given {found.given}, stored {found.stored}, doubled {found.doubled}, "
            f"misplaced {found.misplaced}, lost {found.lost}, never fetched {found.held}, "
            f"in BlueZ's window {found.in_window}"
        )
        kept = f" (of devices that keep their records: {self.kept_in_window})"
        return f"{self.scenario}: {counts}{kept if found.in_window else ''}"


#: What has been counted so far; shown at the end of the run.
COUNTS: Final[list[Count]] = []


@dataclass(slots=True, kw_only=True)
class Site:
    """A broker, a database and one ingest worker that scenarios may kill."""

    services: Services
    database: Database
    directory: Path
    worker: Worker = field(init=False)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lives: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def broker(self) -> Broker:
        """Return how gateways come in."""
        return Broker(services=self.services)

    def address(self) -> str:
        """Return the address of a device that no other scenario has."""
        number = next(self._numbers)
        return f"F0:FA:00:00:{number >> 8:02X}:{number & 0xFF:02X}"

    def start_worker(self) -> None:
        """Start the worker and wait until it can take readings."""
        log = self.directory / f"worker-{next(self._lives)}.log"
        self.worker = started(self.database, log)
        self.wait_for_worker()

    def wait_for_worker(self) -> None:
        """Wait until the worker has subscribed for the last time that it connected."""
        wait_until(self._is_taking, within_s=_WORKER_S, what="the worker subscribed")

    def _is_taking(self) -> bool:
        assert self.worker.process.poll() is None, self.worker.log.read_text()[-2000:]
        return any(line["message"] == "subscribed" for line in self.worker.lines())

    @contextmanager
    def worker_held(self) -> Generator[None]:
        """Let the worker stand still: the broker keeps what is meant for it."""
        self.worker.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.worker.process.send_signal(signal.SIGCONT)

    def end_worker(self) -> None:
        """End the worker as a power cut would."""
        self.worker.process.kill()
        self.worker.process.wait(timeout=10)

    def kill_broker(self, *, with_disk: bool = False) -> None:
        """End the broker as a power cut would; also one that takes its disk with it."""
        self.services.kill(BROKER)
        if with_disk:
            shutil.rmtree(self.services.state.mosquitto)

    def start_broker(self) -> None:
        """Start the broker on what it has left."""
        self.services.restart(BROKER)

    def kill_database(self) -> None:
        """End the database as a power cut would."""
        self.services.kill(DATABASE)

    def start_database(self) -> None:
        """Start the database on what it has left."""
        self.services.restart(DATABASE)

    def copy_database(self) -> str:
        """Copy the database as it stands, and return the copy's name."""
        copy = f"{self.database.name}_copy"
        self.end_worker()
        self._as_owner(f"CREATE DATABASE {copy} TEMPLATE {self.database.name}")
        self.start_worker()
        return copy

    def put_back(self, copy: str) -> None:
        """Put a copy in the database's place, and say so as an operator does."""
        name = self.database.name
        self.end_worker()
        self._as_owner(
            f"DROP DATABASE {name} WITH (FORCE)", f"ALTER DATABASE {copy} RENAME TO {name}"
        )
        subprocess.run(
            [sys.executable, "-m", "ingest_service.command", "restored"],
            env={**os.environ, "HEMVITAL_INGEST_OWNER_DATABASE": self.database.dsn()},
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )
        self.start_worker()

    def _as_owner(self, *statements: str) -> None:
        dsn = self.services.database.dsn(OWNER)
        with closing(psycopg.connect(dsn, autocommit=True)) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def register(
        self,
        gateways: Sequence[str],
        owners: Mapping[str, Mapping[int | None, str]],
        oximeters: Collection[str],
    ) -> None:
        """Make gateways, devices and whose they are known.

        Args:
            gateways: Their ids.
            owners: Of each device, the patient of each user slot; None is a device without slots.
            oximeters: Which of the devices are none of the cuffs.
        """
        document = Registration.model_validate(_document(gateways, owners, oximeters))
        asyncio.run(_register(self.database.dsn(), document))

    def stored(self, devices: Collection[str]) -> list[Stored]:
        """Return what the database has of these devices."""
        with closing(psycopg.connect(self.database.dsn(), connect_timeout=5)) as connection:
            rows = connection.execute(_STORED, [list(devices)]).fetchall()
        return [
            Stored(record=(device, raw), patient_id=patient, effective_at=at.astimezone(UTC))
            for device, raw, patient, at in rows
        ]

    def count(self, what: str, *values: object) -> int:
        """Return how many rows a table has that follow its name and WHERE."""
        with closing(psycopg.connect(self.database.dsn(), connect_timeout=5)) as connection:
            query = f"SELECT count(*) FROM {what}".encode()  # noqa: S608 tables of the tests
            row = connection.execute(query, values).fetchone()
        return row[0] if row else 0


@contextmanager
def site(services: Services, database: Database, directory: Path) -> Generator[Site]:
    """Run a worker on services that may be killed."""
    whole = Site(services=services, database=database, directory=directory)
    whole.start_worker()
    try:
        yield whole
    finally:
        services.start()  # the database is dropped by whoever made it
        whole.end_worker()


async def _register(dsn: str, document: Registration) -> None:
    async with await AsyncConnection.connect(dsn) as opened:
        await registration.register(opened, document, now=datetime.now(UTC))


def patient_id(name: str) -> str:
    """Return the id under which a patient of this name is registered."""
    return str(uuid5(_SPACE, name))


def _document(
    gateways: Sequence[str],
    owners: Mapping[str, Mapping[int | None, str]],
    oximeters: Collection[str],
) -> Mapping[str, Any]:
    patients = {name for slots in owners.values() for name in slots.values()}
    since = "2020-01-01T00:00:00Z"
    kind: Callable[[str], str] = lambda device: (  # noqa: E731 - too short for a name of its own
        "pulse_oximetry" if device in oximeters else "blood_pressure"
    )
    return {
        "care_providers": [{"id": _PROVIDER, "hsa_id": "SE2321000016-0000", "name": "Region"}],
        "care_units": [
            {
                "id": _UNIT,
                "care_provider_id": _PROVIDER,
                "hsa_id": "SE2321000016-1003",
                "name": "Unit",
            }
        ],
        "gateways": [{"id": each, "care_unit_id": _UNIT} for each in gateways],
        "patients": [
            {
                "id": patient_id(name),
                "care_unit_id": _UNIT,
                "identifier": name,
                "identifier_system": "urn:hemvital:sid:test-person",
                "family": "Test",
                "given": name,
                "birth_date": "1950-01-01",
                "gender": "unknown",
            }
            for name in sorted(patients)
        ],
        "devices": [
            {"id": device, "care_unit_id": _UNIT, "kind": kind(device)} for device in owners
        ],
        "assignments": [
            {
                "id": str(uuid5(_SPACE, f"{device} {slot}")),
                "device_id": device,
                "user_index": slot,
                "patient_id": patient_id(name),
                "since": since,
                "decided_by": "a nurse",
            }
            for device, slots in owners.items()
            for slot, name in slots.items()
        ],
    }
