"""Forwarding: what is sent when, and what the server's answers do."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

import pytest

from device_adapters.contract import messages
from device_adapters.contract.messages import Delivery, Receipt, Resend
from device_adapters.contract.topics import Leaf
from gateway.forwarding import Forwarder
from gateway.observability import Metrics
from gateway.publisher import Downlink
from gateway.store.database import Database
from gateway.store.outbox import Batch, Outbox
from tests.unit.gateway.fakes import FakeClock

SERVER = UUID("5e000000-0000-4000-8000-000000000001")
RECORD = b'{"type":"void","reason":"test","trace_id":"00000000000000000000000000000000"}'


class FakePublisher:
    """Takes messages while it has room; keeps the contract of the broker's client."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.max_bytes = 65536
        self.taken: list[tuple[int, ...]] = []
        self.downlink: asyncio.Queue[Downlink] = asyncio.Queue()

    def publish(self, batch: Batch, payload: bytes) -> bool:
        if len(self.taken) >= self.room:
            return False
        delivery = Delivery(
            epoch=batch.epoch, first=batch.first, count=len(batch.records), schema="1.0"
        )
        assert messages.decode_message(payload, delivery) == batch.records
        self.taken.append(tuple(delivery.numbers))
        return True


@pytest.fixture
def publisher() -> FakePublisher:
    return FakePublisher()


@pytest.fixture
def forwarder(outbox: Outbox, publisher: FakePublisher, clock: FakeClock) -> Forwarder:
    return Forwarder(
        outbox,
        publisher,
        Metrics(),
        now=clock.now,
        monotonic_ns=lambda: clock.monotonic_ns,
        max_records=2,
    )


def add(database: Database, outbox: Outbox, count: int) -> None:
    with database.transaction() as connection:
        for _ in range(count):
            outbox.add(connection, RECORD, "0" * 32, None)


def receipt(outbox: Outbox, *ranges: tuple[int, int]) -> Downlink:
    answer = Receipt(incarnation=SERVER, epoch=outbox.epoch, ranges=ranges)
    return Downlink(Leaf.RECEIPTS, messages.encode(answer))


async def test_a_record_goes_out_again_until_its_receipt(
    database: Database,
    outbox: Outbox,
    forwarder: Forwarder,
    publisher: FakePublisher,
    clock: FakeClock,
) -> None:
    add(database, outbox, 3)

    forwarder.send_due()
    clock.pass_s(29)
    forwarder.send_due()
    clock.pass_s(1)
    forwarder.take(receipt(outbox, (1, 2)))
    forwarder.send_due()
    forwarder.take(receipt(outbox, (3, 3)))
    clock.pass_s(3600)
    forwarder.send_due()

    assert publisher.taken == [(1, 2), (3,), (3,)]


async def test_a_reconnect_brings_out_again_what_has_no_receipt(
    database: Database,
    outbox: Outbox,
    forwarder: Forwarder,
    publisher: FakePublisher,
    clock: FakeClock,
) -> None:
    clock.pass_s(3600)
    add(database, outbox, 2)
    for wait_s in (0, 30, 60, 120):  # its timer stands at 240 s now
        clock.pass_s(wait_s)
        forwarder.send_due()

    forwarder.reconnected()
    clock.pass_s(5)
    forwarder.send_due()
    clock.pass_s(30)  # and its timer has begun anew
    forwarder.send_due()

    assert publisher.taken == [(1, 2)] * 6


async def test_a_connection_that_comes_and_goes_makes_no_storm(
    database: Database,
    outbox: Outbox,
    forwarder: Forwarder,
    publisher: FakePublisher,
    clock: FakeClock,
) -> None:
    clock.pass_s(3600)
    add(database, outbox, 2)
    forwarder.send_due()

    for _ in range(600):
        clock.pass_s(0.5)
        forwarder.reconnected()
        forwarder.send_due()

    assert len(publisher.taken) <= 1 + 300 // 30 + 1


async def test_a_full_window_keeps_the_rest_for_later(
    database: Database, outbox: Outbox, forwarder: Forwarder, publisher: FakePublisher
) -> None:
    add(database, outbox, 6)
    publisher.room = 1

    is_done = forwarder.send_due()
    publisher.room = 1000
    is_done_later = forwarder.send_due()

    assert (is_done, is_done_later) == (False, True)
    assert publisher.taken == [(1, 2), (3, 4), (5, 6)]


async def test_a_window_that_opens_again_is_used_at_once(
    database: Database, outbox: Outbox, forwarder: Forwarder, publisher: FakePublisher
) -> None:
    add(database, outbox, 4)
    publisher.room = 1
    running = asyncio.ensure_future(forwarder.run())
    await asyncio.sleep(0.01)

    publisher.room = 1000
    forwarder.wake()
    await asyncio.sleep(0.01)
    running.cancel()

    assert publisher.taken == [(1, 2), (3, 4)]


async def test_what_the_server_asks_for_goes_out_at_once(
    database: Database, outbox: Outbox, forwarder: Forwarder, publisher: FakePublisher
) -> None:
    add(database, outbox, 3)
    forwarder.send_due()
    forwarder.take(receipt(outbox, (1, 3)))

    request = Resend(epoch=outbox.epoch, ranges=((2, 2),))
    forwarder.take(Downlink(Leaf.RESEND, messages.encode(request)))
    forwarder.send_due()

    assert publisher.taken == [(1, 2), (3,), (2,)]


STRANGE = [b"", b"[]", b"\xff\xfe", b"[" * 10_000, b'{"epoch":1}']


@pytest.mark.parametrize("leaf", [Leaf.RECEIPTS, Leaf.RESEND, Leaf.CONFIG])
async def test_a_strange_message_changes_nothing(
    database: Database,
    outbox: Outbox,
    forwarder: Forwarder,
    leaf: Leaf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    add(database, outbox, 1)

    for payload in STRANGE:
        forwarder.take(Downlink(leaf, payload))

    assert outbox.standing().undelivered == 1
    assert len(caplog.records) == len(STRANGE)


async def test_a_receipt_with_an_impossible_range_changes_nothing(
    database: Database, outbox: Outbox, forwarder: Forwarder
) -> None:
    add(database, outbox, 1)
    forwarder.send_due()

    forwarder.take(receipt(outbox, (1, 1), (2**63, 2**64)))

    assert outbox.standing().undelivered == 1


async def test_drained_when_the_last_receipt_has_come(
    database: Database, outbox: Outbox, forwarder: Forwarder
) -> None:
    add(database, outbox, 1)
    forwarder.send_due()

    async with asyncio.timeout(1):
        asyncio.get_running_loop().call_later(0.01, forwarder.take, receipt(outbox, (1, 1)))
        await forwarder.drained()

    assert outbox.standing().undelivered == 0
