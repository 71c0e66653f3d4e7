"""The floor of a gateway's radio: a bare bleak program that hears, or reads, and keeps nothing."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from dbus_fast.errors import DBusFastError

_STAYS_S: Final = 30.0
_ERRORS: Final = (BleakError, DBusFastError, OSError, EOFError, AssertionError, KeyError)


def main(argv: Sequence[str] | None = None) -> int:
    """Hear until SIGTERM and, with ``--read``, take every value and throw it away."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare_radio", description=__doc__)
    parser.add_argument("--read", metavar="UUID", help="the characteristic to subscribe to")
    arguments = parser.parse_args(argv)
    asyncio.run(_run(arguments.read))
    return 0


async def _run(characteristic: str | None) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    heard: asyncio.Queue[BLEDevice] = asyncio.Queue()
    visited: set[str] = set()

    def hear(device: BLEDevice, _advertisement: AdvertisementData) -> None:
        if characteristic is not None and device.address not in visited:
            visited.add(device.address)
            heard.put_nowait(device)

    async with BleakScanner(hear, scanning_mode="active"), asyncio.TaskGroup() as tasks:
        print("ready", flush=True)
        connecting = asyncio.Lock()

        async def visit_all(characteristic: str) -> None:
            while True:
                device = await heard.get()
                tasks.create_task(_visit(device, characteristic, connecting, visited))

        visiting = tasks.create_task(visit_all(characteristic)) if characteristic else None
        await stop.wait()  # until it is told
        if visiting is not None:
            visiting.cancel()


async def _visit(
    device: BLEDevice, characteristic: str, connecting: asyncio.Lock, visited: set[str]
) -> None:
    gone = asyncio.Event()
    client = BleakClient(device, disconnected_callback=lambda _: gone.set())
    try:
        with suppress(*_ERRORS):
            async with connecting:
                await client.connect()
            await client.start_notify(characteristic, lambda _sender, _data: None)
            with suppress(TimeoutError):
                async with asyncio.timeout(_STAYS_S):
                    await gone.wait()
            await client.disconnect()
    finally:
        visited.discard(device.address)


if __name__ == "__main__":
    sys.exit(main())
