"""A real worker between the real broker and the real database, killed where it hurts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import AsyncConnection

from deploy.local.services import BROKER, DATABASE
from device_adapters.contract.messages import Resend
from ingest_service.admission.incoming import Incoming
from ingest_service.jobs.downlink import Downlink
from ingest_service.jobs.holes import ask_for_missing
from ingest_service.jobs.restored import tell_gateways
from ingest_service.store import connections, incarnation
from ingest_service.subscriber.broker import BrokerAddress
from tests.support.ingest import UNIT, Home, registered
from tests.support.services import Broker, Database
from tests.support.worker import (
    Gateway,
    broker_environment,
    keeping_time,
    wait_until,
    working,
)

pytestmark = [pytest.mark.timescale, pytest.mark.broker, pytest.mark.timeout(120)]


def readings(home: Home, count: int) -> list[Incoming]:
    return [
        home.message(home.cuff("128", "82", ago=timedelta(seconds=number)))
        for number in range(count)
    ]


def publish(gateway: Gateway, given: Iterable[Incoming]) -> None:
    for message in given:
        gateway.publish(message)


def jobs_downlink(broker: Broker) -> Downlink:
    return Downlink(
        BrokerAddress(
            host=broker.host,
            port=broker.services_port,
            authority=broker.services_authority,
            certificate=broker.ingest.certificate,
            key=broker.ingest.key,
            name="ingest-jobs",
        )
    )


async def test_a_message_is_stored_receipted_and_seen_in_log_and_metrics(
    own: Database, tmp_path: Path
) -> None:
    home = await registered(own)
    with working(own, tmp_path / "ingest.log") as worker, Gateway(own) as gw:
        record = home.cuff("192", "118")
        publish(gw, [home.message(record)])
        wait_until(lambda: gw.received() == {1})
        await asyncio.sleep(0.2)

        committed = [line for line in worker.lines() if line["message"] == "batch committed"]
        assert committed[0]["trace_ids"] == [record.trace_id]
        _, metrics = worker.get("/metrics")
        assert 'hemvital_ingest_records_total{outcome="stored"} 1.0' in metrics
        assert worker.get("/healthz") == (200, "alive")
        assert worker.get("/readyz") == (200, "ready")
        assert worker.get("/else")[0] == 404

        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(timeout=15) == 0
    assert len(home.rows("alert")) == 1


async def test_a_scrape_tells_lag_batches_refusals_and_duplicates(
    own: Database, tmp_path: Path
) -> None:
    home = await registered(own)
    with working(own, tmp_path / "ingest.log") as worker, Gateway(own) as gw:
        for message in (good := readings(home, 2)) + good:  # and again
            gw.publish(message)
        gw.publish(home.message(home.cuff("350", "82"), home.cuff("128", "82", device="nobodys")))
        gw.publish(home.raw_message(b"{", count=3))
        wait_until(lambda: gw.received() == set(range(1, 8)))
        await asyncio.sleep(0.3)

        samples = [line for line in worker.get("/metrics")[1].splitlines() if line[0] != "#"]

    found = {name: float(value) for name, value in (line.rsplit(" ", 1) for line in samples)}
    expected = {
        'hemvital_ingest_records_total{outcome="stored"}': 2,
        'hemvital_ingest_records_total{outcome="duplicate"}': 2,
        'hemvital_ingest_records_total{outcome="quarantined"}': 5,
        'hemvital_ingest_quarantined_total{reason="impossible_value"}': 1,
        'hemvital_ingest_quarantined_total{reason="unknown_device"}': 1,
        'hemvital_ingest_quarantined_total{reason="undecodable"}': 3,
        "hemvital_ingest_batch_messages_sum": 6,
        "hemvital_ingest_queued_messages": 0,
        "hemvital_ingest_alert_events_total": 0,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert 0 < found["hemvital_ingest_lag_seconds_sum"] < 60
    batches = found["hemvital_ingest_batch_messages_count"]
    assert found["hemvital_ingest_lag_seconds_count"] == batches
    assert found["hemvital_ingest_batch_seconds_count"] == batches


async def test_a_message_that_asks_for_no_acknowledgement_gets_none(
    own: Database, tmp_path: Path
) -> None:
    home = await registered(own)
    with working(own, tmp_path / "ingest.log") as worker, Gateway(own) as gw:
        # With QoS 0 a message has no id, and to acknowledge id 0 is a protocol error (MQTT 5.0,
        # 2.2.1): the broker would end the connection, with everybody's messages.
        gw.publish(home.message(home.cuff("128", "82")), qos=0)
        wait_until(lambda: gw.received() == {1})
        gw.publish(home.message(home.cuff("129", "82")))
        wait_until(lambda: gw.received() == {1, 2})

        assert [line for line in worker.lines() if line["message"].startswith("disconn")] == []


async def test_a_worker_killed_at_the_commit_doubles_nothing_and_loses_nothing(
    own: Database, tmp_path: Path
) -> None:
    home = await registered(own)
    given: list[Incoming] = []
    with (
        Gateway(own) as gw,
        psycopg.connect(own.dsn("hemvital_api"), autocommit=True) as pages,
    ):
        pages.execute("LISTEN worklist")
        for kill in range(5):
            batch = readings(home, 40)
            given += batch
            with working(own, tmp_path / f"log-{kill}", BATCH_MESSAGES="8") as worker:
                publish(gw, batch)
                # The notification leaves with the commit, before receipt and PUBACK.
                assert list(pages.notifies(timeout=20, stop_after=1))
                worker.process.send_signal(signal.SIGKILL)
                worker.process.wait(timeout=10)
        everything = set(range(1, len(given) + 1))
        with working(own, tmp_path / "log-last"):
            for message in given:  # what a gateway does without a receipt
                gw.publish(message)
            wait_until(lambda: gw.received() == everything)

    assert len(home.rows("device_record")) == len(given)
    assert len(home.rows("observation")) == len(given)
    assert home.rows("quarantine") == []


async def test_the_database_is_killed_and_comes_back_under_load(
    own: Database, tmp_path: Path
) -> None:
    home = await registered(own)
    with working(own, tmp_path / "ingest.log") as worker, Gateway(own) as gw:
        publish(gw, readings(home, 100))
        wait_until(lambda: bool(gw.received()))
        own.services.kill(DATABASE)
        publish(gw, readings(home, 100))
        wait_until(lambda: worker.get("/readyz")[0] == 503)
        own.services.start()
        wait_until(lambda: gw.received() == set(range(1, 201)))
        wait_until(lambda: worker.get("/readyz")[0] == 200)

    assert len(home.rows("device_record")) == 200
    assert home.rows("quarantine") == []


async def test_after_the_broker_was_killed_the_worker_listens_again(
    own: Database, tmp_path: Path
) -> None:
    home = await registered(own)
    with working(own, tmp_path / "ingest.log") as worker, Gateway(own) as gw:
        own.services.kill(BROKER)
        wait_until(lambda: worker.get("/readyz")[0] == 503)
        own.services.start()
        wait_until(lambda: worker.get("/readyz")[0] == 200)
        message = home.message(home.cuff("128", "82"))

        def is_receipted() -> bool:
            gw.publish(message)  # until there is a receipt, as a gateway does
            time.sleep(0.3)
            return gw.received() == {1}

        wait_until(is_receipted)

    assert len(home.rows("device_record")) == 1


async def test_two_workers_share_the_load_and_one_that_leaves_takes_nothing_with_it(
    own: Database, tmp_path: Path
) -> None:
    home = await registered(own)
    with (
        working(own, tmp_path / "log-1", CLIENT_ID="ingest-1") as first,
        working(own, tmp_path / "log-2", CLIENT_ID="ingest-2") as second,
        Gateway(own) as gw,
    ):
        publish(gw, readings(home, 150))
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(timeout=20) == 0
        publish(gw, readings(home, 150))
        wait_until(lambda: gw.received() == set(range(1, 301)))
        assert any("stored" in line for line in second.lines())

    assert len(home.rows("device_record")) == 300


async def test_a_dead_workers_share_is_stranded_until_it_is_released(
    own: Database, tmp_path: Path
) -> None:
    home = await registered(own)
    given = readings(home, 40)
    with (
        working(own, tmp_path / "log-1", CLIENT_ID="gone", SESSION_EXPIRY_S="3600") as gone,
        working(own, tmp_path / "log-2", CLIENT_ID="ingest-2") as alive,
        Gateway(own) as gw,
    ):
        gone.process.kill()
        gone.process.wait(timeout=10)
        publish(gw, given)
        await asyncio.sleep(3)  # far longer than the living one needs
        stranded = set(range(1, 41)) - gw.received()

        released = release(own, "gone")
        again = release(own, "gone")
        by_mistake = release(own, "ingest-2")
        wait_until(lambda: sum(line["message"] == "subscribed" for line in alive.lines()) == 2)
        after = readings(home, 40)
        publish(gw, after)
        wait_until(lambda: set(range(41, 81)) <= gw.received())
        still_stranded = set(range(1, 41)) - gw.received()
        publish(gw, given)  # what a gateway does without a receipt
        wait_until(lambda: gw.received() == set(range(1, 81)))

    # The broker shares out in turn, to the dead one too, and drops its queue with its session.
    assert len(stranded) == 20
    assert (released, again) == ("gone: released\n", "gone: the broker keeps no session\n")
    assert by_mistake == "ingest-2: released\n"  # and that one came back
    assert still_stranded == stranded
    assert len(home.rows("device_record")) == 80


async def test_whoever_comes_back_under_a_dead_workers_name_gets_its_share(
    own: Database, tmp_path: Path
) -> None:
    home = await registered(own)
    name = {"CLIENT_ID": "gone", "SESSION_EXPIRY_S": "3600"}
    with working(own, tmp_path / "log-1", **name) as gone, Gateway(own) as gw:
        gone.process.kill()
        gone.process.wait(timeout=10)
        publish(gw, readings(home, 40))
        await asyncio.sleep(1)
        assert gw.received() == set()

        with working(own, tmp_path / "log-2", **name) as heir:
            heir.process.send_signal(signal.SIGTERM)
            assert heir.process.wait(timeout=20) == 0

        wait_until(lambda: gw.received() == set(range(1, 41)))
        assert release(own, "gone") == "gone: released\n"  # the session, without a subscription
    assert len(home.rows("device_record")) == 40


def release(database: Database, client_id: str) -> str:
    """Release a worker's share as an operator does; return what the command says."""
    broker = Broker(services=database.services)
    return subprocess.run(
        [sys.executable, "-m", "ingest_service.command", "release", client_id],
        env=os.environ | broker_environment(broker),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout


async def test_a_gateway_is_asked_once_for_a_number_that_never_came(own: Database) -> None:
    home = await registered(own)
    broker = Broker(services=own.services)
    await home.send(home.message(home.cuff("128", "82"), first=1))
    await home.send(home.message(home.cuff("129", "82"), first=5))
    downlink = jobs_downlink(broker)
    with Gateway(own) as gw:
        downlink.start()
        wait_until(lambda: downlink.trouble is None)
        async with connections.pool(own.dsn("hemvital_jobs"), name="test", size=1) as pool:
            asked = [
                await ask_for_missing(
                    pool, downlink, now=home.now + timedelta(seconds=s), age_s=60
                )
                for s in (30, 90, 100)
            ]
        wait_until(lambda: bool(gw.requests))
        downlink.stop()

        assert asked == [0, 1, 0]
        assert [request.ranges for request in gw.requests] == [((2, 4),)]


async def test_a_hole_that_never_closes_is_asked_for_less_and_less(own: Database) -> None:
    home = await registered(own)
    await home.send(home.message(home.cuff("128", "82"), first=2))
    asked: list[int] = []
    async with connections.pool(own.dsn("hemvital_jobs"), name="test", size=1) as pool:
        for minutes in range(1, 3 * 24 * 60, 3):
            at = home.now + timedelta(minutes=minutes)
            asked.append(await ask_for_missing(pool, _Deaf(), now=at, age_s=30))

    per_day = [sum(asked[day * 480 : day * 480 + 480]) for day in range(3)]
    assert asked[:3] == [1, 1, 1]
    assert per_day[0] < 60
    assert per_day[2] <= 5


async def test_after_a_restore_an_idle_gateway_is_told_until_it_sends(own: Database) -> None:
    home = await registered(own)
    home.execute("INSERT INTO gateway (id, care_unit_id) VALUES ('silent', %s)", UNIT)
    await home.give(home.cuff("128", "82"), home.cuff("129", "82"))
    broker = Broker(services=own.services)
    downlink = jobs_downlink(broker)
    with Gateway(own) as gw:
        downlink.start()
        wait_until(lambda: downlink.trouble is None)
        async with connections.pool(own.dsn("hemvital_jobs"), name="test", size=1) as pool:
            before = await tell_gateways(pool, downlink, now=datetime.now(UTC))
            async with await AsyncConnection.connect(own.dsn()) as owner:
                new = await incarnation.renew(owner)
            start = datetime.now(UTC)
            told = [
                await tell_gateways(pool, downlink, now=start + timedelta(seconds=s))
                for s in (1, 30, 60)
            ]
            wait_until(lambda: len(gw.receipts) >= 2)
            await home.give(home.cuff("130", "82"))
            after = await tell_gateways(pool, downlink, now=start + timedelta(seconds=120))
            late = await tell_gateways(pool, downlink, now=start + timedelta(days=31))
        downlink.stop()

    assert before == 0
    assert told == [2, 0, 2]
    assert {receipt.incarnation for receipt in gw.receipts} == {new}
    assert {(receipt.epoch, receipt.ranges) for receipt in gw.receipts} == {
        (home.epoch, ((1, 2),))
    }
    assert (after, late) == (1, 0)
    assert home.rows("untold_gateway") == []


class _Deaf:
    """A gateway that is asked and never answers."""

    def ask(self, gateway_id: str, resend: Resend) -> bool:
        return True


def test_the_jobs_process_becomes_ready_and_stops(own: Database, tmp_path: Path) -> None:
    with keeping_time(own, tmp_path / "ingest.log") as jobs:
        jobs.process.send_signal(signal.SIGTERM)
        assert jobs.process.wait(timeout=20) == 0
