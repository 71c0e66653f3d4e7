"""What is missing and what waits, as the jobs' process tells it to whoever scrapes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from ingest_service.jobs.backlog import BacklogMetrics
from ingest_service.store import connections
from tests.support.ingest import Home, registered
from tests.support.services import Database
from tests.support.worker import keeping_time, wait_until

pytestmark = pytest.mark.timescale

_Series = dict[tuple[str, str], float]


def series(families: list[Metric]) -> _Series:
    """Return every sample by its name and the value of its one label, if it has one."""
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in families
        for sample in family.samples
    }


async def measured(database: Database, now: datetime) -> _Series:
    metrics = BacklogMetrics(lambda: now)
    async with connections.pool(database.dsn("hemvital_jobs"), name="test", size=1) as pool:
        await metrics.refresh(pool)
    return series(list(metrics.collect()))


async def waiting(home: Home) -> None:
    """Leave holes of 3 + 1 and of 2**40 numbers, and readings that wait, one of them red."""
    for first in (1, 5, 7):
        await home.send(home.message(home.cuff("128", "82"), first=first))
    home.gateway_id = "stranger"
    await home.send(home.message(home.cuff("128", "82"), first=2**40 + 1))
    home.gateway_id = "gateway-1"
    years = timedelta(days=365 * 8)  # nobody had the devices then
    await home.send(home.message(home.cuff("128", "82", ago=years), first=8))
    await home.send(home.message(home.cuff("192", "118", ago=years), first=9))
    home.execute(
        "UPDATE quarantine SET received_at = %s, raised_at = raised_at - INTERVAL '10 minutes'"
        " WHERE reason = 'unassigned'",
        home.now - timedelta(hours=2),
    )


@pytest.mark.broker
@pytest.mark.timeout(120)
async def test_a_scrape_tells_holes_and_what_waits(own: Database, tmp_path: Path) -> None:
    await waiting(await registered(own))

    with keeping_time(own, tmp_path / "jobs.log") as jobs:
        wait_until(lambda: "hemvital_quarantine_waiting" in jobs.get("/metrics")[1])
        found = series(list(text_string_to_metric_families(jobs.get("/metrics")[1])))

    assert found["hemvital_gateway_missing_numbers", "gateway-1"] == 4
    assert found["hemvital_gateway_missing_numbers", "stranger"] == 2**40
    assert found["hemvital_gateways_with_missing_numbers", ""] == 2
    assert found["hemvital_quarantine_waiting", "unassigned"] == 2
    assert found["hemvital_quarantine_waiting", "unknown_gateway"] == 1
    assert found["hemvital_quarantine_waiting", "too_large"] == 0
    assert found["hemvital_quarantine_oldest_seconds", "unassigned"] == pytest.approx(7200, abs=60)
    assert found["hemvital_quarantine_oldest_seconds", "too_large"] == 0
    assert found["hemvital_quarantine_red_waiting", "unassigned"] == 1
    assert found["hemvital_quarantine_red_oldest_seconds", "unassigned"] == pytest.approx(
        600, abs=60
    )
    at = found["hemvital_backlog_measured_timestamp_seconds", ""]
    assert datetime.now(UTC).timestamp() - at < 60
    assert found["hemvital_jobs_ready", ""] == 1


async def test_what_is_filled_and_decided_is_told_no_more(database: Database) -> None:
    home = await registered(database)
    await waiting(home)

    for first in (2, 3, 4, 6):
        await home.send(home.message(home.cuff("128", "82"), first=first))
    home.execute("UPDATE quarantine SET resolved_at = now()")
    found = await measured(database, home.now)

    assert ("hemvital_gateway_missing_numbers", "gateway-1") not in found
    assert found["hemvital_gateways_with_missing_numbers", ""] == 1
    assert {v for (name, _), v in found.items() if name == "hemvital_quarantine_waiting"} == {0}


async def test_only_the_gateways_that_miss_most_have_a_series(database: Database) -> None:
    home = await registered(database)
    home.execute(
        """
        INSERT INTO gateway_epoch (gateway_id, epoch, received, hole_since)
        SELECT 'home-' || n, gen_random_uuid(), int8multirange(int8range(n + 1, n + 2)), now()
          FROM generate_series(1, 150) AS n
        """
    )

    found = await measured(database, home.now)

    told = {gateway for name, gateway in found if name == "hemvital_gateway_missing_numbers"}
    assert told == {f"home-{n}" for n in range(51, 151)}
    assert found["hemvital_gateways_with_missing_numbers", ""] == 150


async def test_what_cannot_be_measured_now_keeps_its_value_and_its_time(
    database: Database,
) -> None:
    home = await registered(database)
    metrics = BacklogMetrics(lambda: home.now)
    async with connections.pool(database.dsn("hemvital_jobs"), name="test", size=1) as pool:
        await metrics.refresh(pool)
        before = series(list(metrics.collect()))
        home.execute("REVOKE SELECT ON gateway_epoch FROM hemvital_jobs")
        await metrics.refresh(pool)

    assert series(list(metrics.collect())) == before
