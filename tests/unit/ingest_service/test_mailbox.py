"""What gateways say of themselves waits in a box that stays small whatever they send."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from ingest_service.jobs.mailbox import Mailbox
from ingest_service.jobs.uplink import Note

T0 = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def note(payload: bytes, *, gateway: str = "gateway-1", leaf: str = "status") -> Note:
    return Note(1, 1, f"homes/hemvital/v1/{gateway}/{leaf}", payload, T0, is_retained=False)


async def test_the_newest_status_of_each_gateway_is_kept_and_every_event() -> None:
    dropped: list[None] = []
    box = Mailbox(asyncio.get_running_loop(), lambda: dropped.append(None))

    for number in range(1000):
        box.put(note(b"%d" % number))
    box.put(note(b"other", gateway="gateway-2"))
    box.put(note(b"one", leaf="events"))
    box.put(note(b"two", leaf="events"))

    assert [each.payload for each in await box.take()] == [b"999", b"other", b"one", b"two"]
    assert dropped == []


async def test_more_than_fits_is_dropped_and_counted_and_what_came_first_stays() -> None:
    dropped: list[None] = []
    box = Mailbox(asyncio.get_running_loop(), lambda: dropped.append(None))
    large = bytes(250_000)

    for number in range(200):
        box.put(note(large, gateway=f"home-{number}"))
    for _ in range(2000):
        box.put(note(b"", leaf="events"))

    taken = await box.take()
    assert sum(len(each.payload) for each in taken) <= 32 * 1024 * 1024
    assert len([each for each in taken if each.is_status]) == 134  # 134 * 250 000 fit in 32 MiB
    assert len([each for each in taken if not each.is_status]) == 1000
    assert len(dropped) == 66 + 1000


async def test_whoever_waits_is_woken_by_another_thread() -> None:
    box = Mailbox(asyncio.get_running_loop(), lambda: None)

    async with asyncio.timeout(10):
        waiting = asyncio.ensure_future(box.take())
        await asyncio.sleep(0)
        await asyncio.to_thread(box.put, note(b"late"))
        [found] = await waiting

    assert found.payload == b"late"
