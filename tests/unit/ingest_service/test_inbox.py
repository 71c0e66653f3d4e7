"""The queue between the broker's thread and the loop."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

from ingest_service.subscriber.inbox import Inbox, Letter


def letter(number: int, payload: bytes = b"x") -> Letter:
    return Letter(1, number, "topic", [], payload, datetime(2026, 3, 1, tzinfo=UTC))


async def test_everything_left_by_a_thread_is_taken_once_and_in_order() -> None:
    inbox = Inbox(asyncio.get_running_loop())
    count = 20_000
    thread = threading.Thread(target=lambda: [inbox.put(letter(n)) for n in range(count)])
    taken: list[int] = []

    thread.start()
    async with asyncio.timeout(30):
        while len(taken) < count:
            batch = await inbox.take(most=64, most_bytes=10_000)
            assert 1 <= len(batch) <= 64
            taken += [one.message_id for one in batch]
    thread.join()

    assert taken == list(range(count))


async def test_a_waiting_loop_is_woken() -> None:
    inbox = Inbox(asyncio.get_running_loop())
    timer = threading.Timer(0.05, inbox.put, [letter(7)])

    timer.start()
    async with asyncio.timeout(5):
        [one] = await inbox.take(most=10, most_bytes=10)

    assert one.message_id == 7


async def test_a_batch_ends_with_the_message_that_fills_it() -> None:
    inbox = Inbox(asyncio.get_running_loop())
    for number in range(3):
        inbox.put(letter(number, b"x" * 600))

    batch = await inbox.take(most=10, most_bytes=1000)

    assert len(batch) == 2
    assert len(inbox) == 1


async def test_what_nobody_can_acknowledge_is_forgotten() -> None:
    inbox = Inbox(asyncio.get_running_loop())
    inbox.put(letter(1))

    inbox.forget()

    assert len(inbox) == 0
