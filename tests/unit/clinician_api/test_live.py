"""Who hears of changes, and how many streams a session may hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from uuid import uuid4

from clinician_api.services.live import MOST_STREAMS, Hub

UNIT = uuid4()


async def opened(stack: AsyncExitStack, hub: Hub, session: bytes) -> AsyncGenerator[int | None]:
    stream = await stack.enter_async_context(aclosing(hub.watch(UNIT, session)))
    assert await anext(stream) == 0
    return stream


async def test_a_session_that_opens_ever_more_streams_loses_its_oldest() -> None:
    hub = Hub()
    async with AsyncExitStack() as stack:
        other = await opened(stack, hub, b"other")
        streams = [await opened(stack, hub, b"one") for _ in range(MOST_STREAMS + 3)]

        for stream in streams[:3]:
            assert await anext(stream, "ended") == "ended"
        assert hub.watchers == MOST_STREAMS + 1
        hub.close()
        assert await anext(other, "ended") == "ended"
    assert hub.watchers == 0


async def test_a_stream_that_was_left_makes_room() -> None:
    hub = Hub()
    async with AsyncExitStack() as stack:
        first = await opened(stack, hub, b"one")
        for _ in range(MOST_STREAMS * 3):
            async with aclosing(hub.watch(UNIT, b"one")) as passing:
                await anext(passing)

        hub.close()
        assert await anext(first, "ended") == "ended"
    assert hub.watchers == 0


async def test_a_closed_hub_ends_its_streams() -> None:
    hub = Hub()

    async def watch() -> list[int | None]:
        async with aclosing(hub.watch(UNIT, b"one")) as changes:
            return [version async for version in changes]

    async with asyncio.timeout(2), asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch())
        await asyncio.sleep(0)
        assert hub.watchers == 1
        hub.close()

    assert watching.result() == [0]
    assert hub.watchers == 0
