"""What goes on for ever ends when it is told to, even if it was not listening."""

from __future__ import annotations

import asyncio

import pytest

from ingest_service import stopping


async def for_ever(awaited: asyncio.Future[None]) -> None:
    await asyncio.wait_for(awaited, timeout=60)
    await asyncio.sleep(3600)


async def test_a_cancellation_that_is_forgotten_comes_again() -> None:
    awaited = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(for_ever(awaited))
    await asyncio.sleep(0)  # it waits now
    awaited.set_result(None)

    async with asyncio.timeout(10):
        await stopping.end([task], again_s=0.01)

    assert task.cancelled()


async def test_what_fails_when_it_is_told_to_end_fails_where_it_is_awaited() -> None:
    async def failing() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise OSError("the disk is full") from None

    task = asyncio.create_task(failing())
    await asyncio.sleep(0)

    await stopping.end([task])

    with pytest.raises(OSError, match="the disk is full"):
        await task


async def test_nothing_to_end_is_no_error() -> None:
    await stopping.end([])
