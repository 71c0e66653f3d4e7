"""The sending half of a gateway: its real outbox, forwarding and MQTT client, without radio."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from device_adapters.contract.messages import Record, VoidRecord, encode
from device_adapters.contract.standing import GatewayStatus
from gateway.forwarding import Forwarder
from gateway.observability import Metrics
from gateway.publisher import MqttPublisher
from gateway.settings import Settings
from gateway.store.database import Database, open_database
from gateway.store.outbox import Outbox


class SendingHalf:
    """The sending half of a gateway, without radio.

    ``speed`` makes the timer of what was sent before run faster than the world.
    """

    def __init__(self, settings: Settings, speed: int) -> None:
        self.database: Database = open_database(settings.state, datetime.now(UTC))
        self.outbox = Outbox(self.database, now=lambda: datetime.now(UTC))
        self.publisher = MqttPublisher(settings)
        self.forwarder = Forwarder(
            self.outbox,
            self.publisher,
            Metrics(),
            now=lambda: datetime.now(UTC),
            monotonic_ns=lambda: time.monotonic_ns() * speed,
            max_records=10,
        )

    def add(self, count: int) -> None:
        """Give it records that hold a number and nothing else."""
        trace_ids = [secrets.token_hex(16) for _ in range(count)]
        self.give([VoidRecord(reason="test", trace_id=trace_id) for trace_id in trace_ids])

    def give(self, records: Sequence[Record]) -> None:
        """Give it records to deliver."""
        with self.database.transaction() as connection:
            for record in records:
                self.outbox.add(connection, encode(record), record.trace_id, None)
        self.forwarder.wake()

    async def until(self, condition: Callable[[], bool], seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self.forwarder.wake()
                await asyncio.sleep(0.01)

    async def until_delivered(self, seconds: float = 15) -> None:
        await self.until(lambda: not self.outbox.standing().undelivered, seconds)


@asynccontextmanager
async def sending(settings: Settings, *, speed: int = 1) -> AsyncGenerator[SendingHalf]:
    sender = SendingHalf(settings, speed)

    def reconnected() -> None:
        sender.forwarder.reconnected()
        sender.publisher.publish_status(GatewayStatus(is_online=True))

    running = asyncio.ensure_future(sender.forwarder.run())
    sender.publisher.start(on_change=sender.forwarder.wake, on_connected=reconnected)
    try:
        yield sender
    finally:
        running.cancel()
        await asyncio.wait([running])
        await sender.publisher.stop(5)
        sender.database.close()
