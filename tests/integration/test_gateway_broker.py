"""The gateway's sending half on the real broker: outbox, forwarding and the MQTT client."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
import trustme

from deploy.local.services import BROKER, Services
from device_adapters.contract.messages import Receipt, Resend
from device_adapters.contract.standing import decode_status
from device_adapters.contract.topics import Leaf
from gateway.settings import Settings, load
from tests.support.gateway import FakeIngest, gateway_environment
from tests.support.sending import sending
from tests.support.services import Broker

pytestmark = pytest.mark.broker


@pytest.fixture
def gateway_id() -> str:
    return f"gateway-{secrets.token_hex(4)}"


@pytest.fixture
def settings(broker: Broker, gateway_id: str, tmp_path: Path) -> Settings:
    return load(gateway_environment(broker, gateway_id, tmp_path))


async def test_records_arrive_in_order_and_are_receipted(
    broker: Broker, gateway_id: str, settings: Settings
) -> None:
    with FakeIngest(broker, gateway_id) as ingest:
        async with sending(settings) as sender:
            sender.add(25)
            await sender.until_delivered()

    numbers = [arrival.number for arrival in ingest.arrivals]
    assert numbers == list(range(1, 26))
    traceparent = ingest.arrivals[0].delivery.traceparent
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", traceparent or "")
    assert ingest.arrivals[0].record.decode().find(str(traceparent)[3:35]) > 0


async def test_a_long_queue_goes_through_the_window(
    broker: Broker, gateway_id: str, settings: Settings
) -> None:
    with FakeIngest(broker, gateway_id) as ingest:
        async with sending(settings) as sender:
            sender.add(1000)  # 100 messages, 16 of them at a time
            await sender.until_delivered()

    assert len(ingest.records) == 1000


async def test_what_was_not_receipted_is_sent_again_after_a_start(
    broker: Broker, gateway_id: str, settings: Settings
) -> None:
    with FakeIngest(broker, gateway_id, answers=False) as ingest:
        async with sending(settings) as sender:
            sender.add(3)
            await sender.until(lambda: len(ingest.arrivals) == 3)
        ingest.answers = True
        async with sending(settings) as sender:
            await sender.until_delivered()

    assert [arrival.number for arrival in ingest.arrivals] == [1, 2, 3, 1, 2, 3]
    assert len({arrival.record for arrival in ingest.arrivals}) == 3


async def test_a_strange_downlink_is_survived(
    broker: Broker, gateway_id: str, settings: Settings
) -> None:
    with FakeIngest(broker, gateway_id, answers=False) as ingest:
        async with sending(settings) as sender:
            sender.add(1)
            await sender.until(lambda: len(ingest.arrivals) == 1)
            for leaf in (Leaf.RECEIPTS, Leaf.RESEND, Leaf.CONFIG):
                for payload in (b"", b"{}", b"\xff", b"[" * 100_000, b" " * 250_000):
                    ingest.say(leaf, payload)
            ingest.say(Leaf.RECEIPTS, ingest.receipt(sender.outbox.epoch))
            await sender.until_delivered()


async def test_a_conflict_and_a_request_are_answered(
    broker: Broker, gateway_id: str, settings: Settings
) -> None:
    with FakeIngest(broker, gateway_id) as ingest:
        async with sending(settings) as sender:
            first = sender.outbox.epoch
            ingest.known[first] = {2: b"other bytes"}
            sender.add(3)
            await sender.until(lambda: sender.outbox.epoch != first)
            await sender.until_delivered()
            second = sender.outbox.epoch
            count = len(ingest.arrivals)
            ingest.say(Leaf.RESEND, Resend(epoch=second, ranges=((1, 1),)))
            await sender.until(lambda: len(ingest.arrivals) > count)
            await sender.until_delivered()

    assert ingest.known[first][2] == b"other bytes"
    assert ingest.arrivals[1].record in ingest.known[second].values()
    assert ingest.arrivals[-1].number == 1


async def test_a_restored_database_gets_everything_again(
    broker: Broker, gateway_id: str, settings: Settings
) -> None:
    with FakeIngest(broker, gateway_id) as ingest:
        async with sending(settings) as sender:
            sender.add(5)
            await sender.until_delivered()
            ingest.incarnation, ingest.known = uuid4(), {}
            greeting = Receipt(
                incarnation=ingest.incarnation, epoch=sender.outbox.epoch, ranges=()
            )
            ingest.say(Leaf.RECEIPTS, greeting)
            await sender.until(lambda: len(ingest.records) == 5)
            await sender.until_delivered()


async def test_a_denied_message_stays_undelivered_and_says_why(
    broker: Broker, gateway_id: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    other = load(
        {**gateway_environment(broker, gateway_id, settings.state)}
        | {"HEMVITAL_GATEWAY_ID": f"{gateway_id}-other"}
    )

    async with sending(other) as sender:
        sender.add(1)
        await sender.until(lambda: "did not take a message" in caplog.text)

        assert sender.outbox.standing().undelivered == 1
    reasons = [getattr(record, "reason", "") for record in caplog.records]
    assert "Not authorized" in reasons


# paho does not close a socket whose handshake failed; it is closed when it is forgotten.
@pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")
async def test_a_broker_of_another_authority_is_named_as_the_cause(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)

    async with sending(msgspec.structs.replace(settings, broker_authority=other)) as sender:
        await sender.until(lambda: sender.publisher.problem is not None)

    assert "certificate verify failed" in str(sender.publisher.problem)
    assert "certificate verify failed" in str(getattr(caplog.records[-1], "reason", ""))


async def test_an_expired_certificate_is_named_as_the_cause(
    services: Services, settings: Settings, tmp_path: Path
) -> None:
    authority = services.certificates.gateways.certificate
    issuer = trustme.CA.from_pem(
        authority.read_bytes(), authority.with_suffix(".key").read_bytes()
    )
    expired = issuer.issue_cert(
        common_name=settings.id, not_after=datetime(2026, 1, 1, tzinfo=UTC)
    )
    files = tmp_path / "expired.pem", tmp_path / "expired.key"
    expired.cert_chain_pems[0].write_to_path(files[0])
    expired.private_key_pem.write_to_path(files[1])
    old = msgspec.structs.replace(settings, broker_certificate=files[0], broker_key=files[1])

    async with sending(old) as sender:
        await sender.until(lambda: "expired" in (sender.publisher.problem or ""))

    assert not sender.publisher.is_connected


async def test_a_broker_that_is_not_there_is_named_as_the_cause_until_it_is(
    disposable_services: Services, gateway_id: str, tmp_path: Path
) -> None:
    broker = Broker(services=disposable_services)
    settings = load(gateway_environment(broker, gateway_id, tmp_path / "gateway"))
    await asyncio.to_thread(disposable_services.kill, BROKER)

    async with sending(settings) as sender:
        await sender.until(lambda: "refused" in (sender.publisher.problem or ""))
        await asyncio.to_thread(disposable_services.restart, BROKER)
        await sender.until(lambda: sender.publisher.problem is None)

        assert sender.publisher.is_connected


async def test_the_status_is_kept_by_the_broker(
    broker: Broker, gateway_id: str, settings: Settings
) -> None:
    async with sending(settings) as sender:
        await sender.until(lambda: sender.publisher.is_connected)
        await asyncio.sleep(0.1)

    with FakeIngest(broker, gateway_id) as ingest:
        ingest.wait_for(lambda: bool(ingest.statuses), "retained status")

    assert decode_status(ingest.statuses[0]).is_online


async def test_a_broker_killed_in_the_middle_loses_nothing(
    disposable_services: Services, gateway_id: str, tmp_path: Path
) -> None:
    broker = Broker(services=disposable_services)
    settings = load(gateway_environment(broker, gateway_id, tmp_path / "gateway"))
    with FakeIngest(broker, gateway_id) as ingest:
        async with sending(settings, speed=10) as sender:
            sender.add(200)
            await sender.until(lambda: len(ingest.arrivals) >= 50)
            await asyncio.to_thread(disposable_services.kill, BROKER)
            sender.add(50)
            await asyncio.to_thread(disposable_services.start)
            # What was handed over and died with the broker waits for its timer.
            await sender.until_delivered()

    assert [len(known) for known in ingest.known.values()] == [250]


async def test_a_broker_that_lost_its_disk_gets_again_what_it_took(
    disposable_services: Services, gateway_id: str, tmp_path: Path
) -> None:
    broker = Broker(services=disposable_services)
    settings = load(gateway_environment(broker, gateway_id, tmp_path / "gateway"))
    async with sending(settings) as sender:
        sender.add(200)  # acknowledged by the broker, and nobody has it
        await sender.until(lambda: sender.outbox.next_due_ns() != 0)
        await asyncio.to_thread(disposable_services.kill, BROKER)
        shutil.rmtree(disposable_services.state.mosquitto)
        await asyncio.to_thread(disposable_services.start)
        with FakeIngest(broker, gateway_id) as ingest:
            await sender.until_delivered()  # long before the timer's 30 s

    assert [len(known) for known in ingest.known.values()] == [200]
