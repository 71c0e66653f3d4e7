"""The canary goes through every part, and tells which one is deaf (rule A10)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from psycopg import AsyncConnection

from deploy.local.services import BROKER, DATABASE
from ingest_service.canary import nobody
from ingest_service.canary.door import Reached
from ingest_service.canary.legs import Leg
from ingest_service.canary.numbers import InUseError, held
from ingest_service.canary.service import Canary
from ingest_service.jobs import service as jobs_service
from ingest_service.jobs.downlink import Downlink
from ingest_service.store import canary as stored
from ingest_service.store import connections
from tests.support.api import Api, running_api
from tests.support.canary import Outside, canary, gave, job, known, outside
from tests.support.ingest import Home
from tests.support.services import Broker, Database
from tests.support.worker import keeping_time, wait_until, working

pytestmark = [pytest.mark.timescale, pytest.mark.broker, pytest.mark.timeout(120)]

MINUTE = timedelta(minutes=1)


async def eventually(is_so: Callable[[], bool], seconds: float = 20) -> None:
    """Wait without holding the loop."""
    await asyncio.to_thread(wait_until, is_so, seconds)


def passed_at(page_url: str) -> str | None:
    return httpx.get(page_url, timeout=5).json()["passed_at"]


def metrics_of(one: Canary, now: datetime) -> dict[tuple[str, str], float]:
    one.metrics.clock = lambda: now
    registry = CollectorRegistry()
    registry.register(one.metrics)
    text = generate_latest(registry).decode()
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@dataclass(slots=True, kw_only=True)
class Chain:
    """Everything that a reading passes, and the canary that goes through it."""

    own: Database
    home: Home
    api: Api
    ear: Outside
    one: Canary
    start: datetime

    @property
    def page(self) -> str:
        return f"{self.api.monitoring_url}/canary"

    def after(self, minutes: int) -> datetime:
        return self.start + minutes * MINUTE

    async def whole(self, at: datetime) -> None:
        """Pass every part."""
        assert await self.one.send(at) is Reached.DATABASE
        assert (await job(self.own, at)).judged_to == at
        await eventually(lambda: passed_at(self.page) == at.isoformat())
        assert await self.one.look(at) is None

    async def without_jobs(self, at: datetime) -> None:
        assert await self.one.send(at) is Reached.DATABASE
        assert await self.one.look(at) is Leg.JOB
        assert metrics_of(self.one, at)["hemvital_canary_deaf", "job"] == 1
        await self.whole(at)

    async def without_judging(self, at: datetime) -> None:
        """Store readings of a patient without a plan: nothing judges them."""
        self.home.execute("ALTER TABLE plan DISABLE TRIGGER USER")
        self.home.execute("DELETE FROM plan")
        assert await self.one.send(at) is Reached.DATABASE
        assert (await job(self.own, at)).stored_to == at
        assert await self.one.look(at) is Leg.JUDGED
        await known(self.own, self.start)
        await self.whole(at + MINUTE)

    async def without_worker(self, at: datetime) -> None:
        assert await self.one.send(at) is Reached.BROKER
        await job(self.own, at)
        assert await self.one.look(at) is Leg.STORED
        assert self.one.metrics.way.why in {"no ingest worker is subscribed", "no receipt came"}

    async def without_database(self, at: datetime) -> None:
        self.own.services.kill(DATABASE)
        assert await self.one.send(at) is Reached.BROKER
        assert await self.one.look(at) is Leg.STORED
        self.own.services.restart(DATABASE)
        await eventually(lambda: is_back(self.home.count))
        await sent_again(self.one, at + MINUTE)
        await self.whole(at + MINUTE)

    async def without_broker(self, at: datetime) -> None:
        self.own.services.kill(BROKER)
        assert await self.one.send(at) is Reached.NOWHERE
        await job(self.own, at)
        assert await self.one.look(at) is Leg.PUBLISHED
        assert "ConnectionRefusedError" in (self.one.metrics.way.why or "")
        self.own.services.restart(BROKER)
        await sent_again(self.one, at + MINUTE)
        await self.whole(at + MINUTE)

    async def without_pages(self, at: datetime) -> None:
        self.api.stop()
        heard = len(self.ear.heard)
        assert await self.one.send(at) is Reached.DATABASE
        await job(self.own, at)
        assert await self.one.look(at) is Leg.PAGE
        assert len(self.ear.heard) == heard  # silence, though all but the pages works


async def test_each_part_that_dies_is_named(own: Database, tmp_path: Path) -> None:
    """A pass every few minutes; one part dies between two of them, and comes back."""
    start = datetime.now(UTC) - 28 * MINUTE
    home = await known(own, start)
    with outside() as ear, running_api(tmp_path, dsn=own.dsn("hemvital_api")) as api:
        page = f"{api.monitoring_url}/canary"
        async with canary(
            own, tmp_path / "canary", start, page_url=page, heartbeat_url=ear.url
        ) as one:
            chain = Chain(own=own, home=home, api=api, ear=ear, one=one, start=start)
            with working(own, tmp_path / "worker-1.log"):
                await chain.whole(start)
                assert ear.heard == ["/ping/secret-key"]
                assert await one.look(start) is None
                assert len(ear.heard) == 1  # one sign of life for each reading
                found = metrics_of(one, chain.after(2))
                assert found["hemvital_canary_age_seconds", ""] == 120
                assert found["hemvital_canary_heartbeats_total", "sent"] == 1

                await chain.without_jobs(chain.after(4))
                await chain.without_judging(chain.after(8))
            await chain.without_worker(chain.after(13))
            with working(own, tmp_path / "worker-2.log"):
                await chain.whole(chain.after(14))
                await chain.without_database(chain.after(18))
                await chain.without_broker(chain.after(23))
                await chain.without_pages(chain.after(28))
                assert metrics_of(one, chain.after(28))["hemvital_canary_age_seconds", ""] == 240

    causes = [row["cause"] for row in home.rows("incident_event") if row["event"] != "ended"]
    # While the database was away nothing could be written; the outside heard no sign of life.
    assert causes == ["leg_job", "leg_judged", "leg_stored", "leg_published", "leg_page"]
    assert home.count("quarantine") == 0
    assert home.count("gateway_epoch WHERE hole_since IS NOT NULL") == 0


def is_back(count: Callable[[str], int]) -> bool:
    try:
        return count("canary_pass") >= 0
    except psycopg.OperationalError:
        return False


async def sent_again(one: Canary, at: datetime) -> None:
    """Send until a worker that lost its broker or its database has come back."""
    deadline = time.monotonic() + 30
    while await one.send(at) is not Reached.DATABASE:
        assert time.monotonic() < deadline


async def test_the_processes_pass_a_reading_the_outside_hears_and_a_second_canary_does_no_harm(
    own: Database, tmp_path: Path
) -> None:
    home = await known(own, datetime.now(UTC))
    with (
        outside() as ear,
        working(own, tmp_path / "worker.log"),
        keeping_time(own, tmp_path / "jobs.log") as jobs,
        running(own, tmp_path, ear.url) as process,
    ):
        await eventually(lambda: has_stored(own))
        await tick(own)
        await eventually(lambda: bool(ear.heard))
        await eventually(lambda: "hemvital_canary_age_seconds" in jobs.get("/metrics")[1])
        text = jobs.get("/metrics")[1]
        shown = subprocess_of(own, "canary", "show")
        process.terminate()
        await asyncio.to_thread(process.wait, 10)
        await two_at_once(own, home, tmp_path)

    assert process.returncode == 0
    legs = {
        sample.labels["leg"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "hemvital_canary_leg_age_seconds"
    }
    assert set(legs) == {"stored", "judged", "job"}
    assert all(0 <= age_s < 60 for age_s in legs.values())
    # The canary stands in no home: it is no gateway that is counted.
    assert "hemvital_gateways_registered 0.0" in text
    assert shown.returncode == 0
    assert shown.stdout.endswith("The canary's readings come through.\n")
    assert "secret-key" not in (tmp_path / "canary.log").read_text()


async def test_show_names_the_leg_that_is_late_and_fails(database: Database) -> None:
    now = datetime.now(UTC)
    home = await known(database, now)
    never = subprocess_of(database, "canary", "show")
    home.execute("INSERT INTO canary_pass VALUES (%s, %s, %s)", now, now, now - timedelta(hours=1))

    late = subprocess_of(database, "canary", "show")

    assert (never.returncode, late.returncode) == (1, 1)
    assert never.stdout.startswith("The jobs have never looked")
    assert "nothing passes the leg 'judged'" in late.stdout
    assert "60 min ago" in late.stdout
    async with await AsyncConnection.connect(database.dsn("hemvital_api")) as connection:
        assert await stored.age(connection, now) == timedelta(hours=1)


def has_stored(own: Database) -> bool:
    with psycopg.connect(own.dsn()) as opened:
        return opened.execute("SELECT FROM device_record").fetchone() is not None


@contextmanager
def running(own: Database, folder: Path, heartbeat_url: str) -> Generator[subprocess.Popen[bytes]]:
    """Run the canary's process until it ends or the test does."""
    broker = Broker(services=own.services)
    identity = broker.gateway(nobody.GATEWAY)
    settings = {
        "DATABASE": own.dsn("hemvital_canary"),
        "STATE": str(folder / "canary"),
        "BROKER_HOST": broker.host,
        "BROKER_PORT": str(broker.port),
        "BROKER_AUTHORITY": str(broker.authority),
        "BROKER_CERTIFICATE": str(identity.certificate),
        "BROKER_KEY": str(identity.key),
        "HEARTBEAT_URL": heartbeat_url,
        "HTTP_PORT": "0",
    }
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
    environment |= {f"HEMVITAL_INGEST_CANARY_{name}": text for name, text in settings.items()}
    with (folder / "canary.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ingest_service.command", "canary", "run"],
            env=environment,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


def subprocess_of(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
    return subprocess.run(
        [sys.executable, "-m", "ingest_service.command", *arguments],
        env=environment | {"HEMVITAL_INGEST_DATABASE": database.dsn("hemvital_ingest")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


async def tick(own: Database) -> None:
    """Defer the jobs' step as the schedule does each minute, for the process that runs."""
    async with connections.pool(own.dsn("hemvital_jobs"), name="test", size=1) as pool:
        app = jobs_service.app_of(
            own.dsn("hemvital_jobs"),
            pool,
            Downlink.__new__(Downlink),
            clock=lambda: datetime.now(UTC),
            hole_age_s=60,
        )
        async with app.open_async():
            await app.configure_task("canary").defer_async(timestamp=0)


async def two_at_once(own: Database, home: Home, folder: Path) -> None:
    """Let two more come in by the same certificate at the same time."""
    now = datetime.now(UTC)
    async with canary(own, folder / "one", now) as one, canary(own, folder / "two", now) as two:
        with pytest.raises(InUseError, match="another canary runs on"), held(folder / "one"):
            pass
        one.receipt_s = two.receipt_s = 10
        for second in range(2):
            at = now + timedelta(seconds=second)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(one.send(at))
                tasks.create_task(two.send(at))

    assert home.count("device_record") >= 3  # the door knows them as one: they may meet in it
    assert home.count("quarantine") == 0
    assert home.count("gateway_epoch WHERE hole_since IS NOT NULL") == 0


async def test_what_had_no_receipt_leaves_no_hole(database: Database, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    home = await known(database, now)
    for outcomes in ("received received lost", "lost received"):  # a process, and the next one
        with held(tmp_path / "canary") as numbers:
            for outcome in outcomes.split():
                epoch, number = numbers.take()
                if outcome == "received":
                    await gave(home, now, epoch=epoch, number=number)
                    numbers.note_received()

    # It is the last of its epoch: nobody asks for what came after it.
    kept = [(row["epoch"], row["number"]) for row in home.rows("device_record")]
    assert sorted(number for _, number in kept) == [1, 1, 2]
    assert len({epoch for epoch, _ in kept}) == 2
    assert home.count("gateway_epoch WHERE hole_since IS NOT NULL") == 0


async def test_a_certificate_of_another_gateway_does_not_open_the_door(
    database: Database, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    async with canary(database, tmp_path / "canary", now) as one:
        other = Broker(services=database.services).gateway("gateway-1")
        one.door = type(one.door)(
            host=one.door.host,
            port=one.door.port,
            authority=one.door.authority,
            certificate=other.certificate,
            key=other.key,
            gateway_id=one.door.gateway_id,
        )

        assert await one.send(now) is Reached.NOWHERE

    assert one.metrics.way.why is not None
    assert "refuses" in one.metrics.way.why
