"""From a device's indication to the disk, while the same loop decodes, sends and takes receipts.

A process of its own gives records as ten devices would, all at once, over sockets; the gateway's
journal, decoding and forwarding run on one loop and one file, as in the gateway. The floor is a
bare append with a flush to a file on the same disk.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4
from zoneinfo import ZoneInfo

from device_adapters import registry
from device_adapters.contract.messages import Device, Receipt, encode
from device_adapters.contract.topics import Leaf
from gateway.clock import ClockSource, SystemClock
from gateway.decoding import Decoder
from gateway.forwarding import Forwarder
from gateway.observability import Metrics
from gateway.publisher import Downlink
from gateway.service import Decoding
from gateway.store.database import checkpoint, open_database
from gateway.store.journal import Journal
from gateway.store.outbox import Batch, Outbox

DEVICES: Final = 10
EACH: Final = 200
_EVERY_S: Final = 0.05  # what a cuff takes for an indication and its confirmation
_CHECKPOINT_S: Final = 1.0  # far oftener than the gateway, to meet many
_MEASUREMENT: Final = "00002a35-0000-1000-8000-00805f9b34fb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Milliseconds: the middle, the 99th of a hundred, the longest."""

    p50_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """Return the spread of these."""
        found = sorted(seconds)
        return cls(
            p50_ms=found[len(found) // 2] * 1e3,
            p99_ms=found[len(found) * 99 // 100] * 1e3,
            max_ms=found[-1] * 1e3,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The window and its two parts, beside the floor."""

    records: int
    floor: Spread
    waited: Spread  # from the indication to the callback
    journalled: Spread  # from the callback to the disk
    window: Spread


class _Server:
    """Takes every message and receipts it, as a server that is never late."""

    def __init__(self) -> None:
        self.downlink: asyncio.Queue[Downlink] = asyncio.Queue()
        self.max_bytes = 65536
        self._incarnation = uuid4()

    def publish(self, batch: Batch, payload: bytes) -> bool:
        """Take a message and answer."""
        receipt = Receipt(
            incarnation=self._incarnation, epoch=batch.epoch, ranges=((1, batch.last),)
        )
        self.downlink.put_nowait(Downlink(Leaf.RECEIPTS, encode(receipt)))
        return bool(payload)


def run(directory: Path) -> Result:
    """Measure on the disk of a directory."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        before = _floor(Path(name))
        waited, journalled = asyncio.run(_give_all(Path(name)))
        after = _floor(Path(name))
    return Result(
        records=len(waited),
        floor=Spread.of([*before, *after]),
        waited=Spread.of(waited),
        journalled=Spread.of(journalled),
        window=Spread.of([sum(each) for each in zip(waited, journalled, strict=True)]),
    )


def tell(result: Result) -> list[str]:
    """Return the figures for a person."""
    rows = {
        "floor: bare flush": result.floor,
        "indication to callback": result.waited,
        "callback to disk": result.journalled,
        "window": result.window,
    }
    lines = [f"gateway-window: {result.records} records of {DEVICES} devices at once, ms"]
    lines += [f"  {name:<23} {_row(each, result.floor)}" for name, each in rows.items()]
    return lines


def _row(spread: Spread, floor: Spread) -> str:
    pairs = {
        "p50": (spread.p50_ms, floor.p50_ms),
        "p99": (spread.p99_ms, floor.p99_ms),
        "max": (spread.max_ms, floor.max_ms),
    }
    return "  ".join(
        f"{name} {ms:7.2f} ({ms / least:5.1f}x)" for name, (ms, least) in pairs.items()
    )


def _floor(directory: Path) -> list[float]:
    took: list[float] = []
    with (directory / "floor").open("ab", buffering=0) as file:
        for _ in range(500):
            began = time.perf_counter()
            file.write(bytes(64))
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
            time.sleep(0.001)
    return took


async def _give_all(directory: Path) -> tuple[list[float], list[float]]:
    clock = SystemClock(ClockSource.TRUSTED)
    database = open_database(directory, datetime.now(UTC))
    journal = Journal(database, clock)
    outbox = Outbox(database, now=lambda: datetime.now(UTC))
    decoder = Decoder(database, journal, outbox, registry.load(), ZoneInfo("Europe/Stockholm"))
    forwarder = Forwarder(
        outbox,
        _Server(),
        Metrics(),
        now=lambda: datetime.now(UTC),
        monotonic_ns=time.monotonic_ns,
        max_records=100,
    )
    decoding = Decoding(decoder, clock, forwarder, Metrics())
    waited: list[float] = []
    journalled: list[float] = []
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(DEVICES)]
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def listen(place: int) -> None:
        device = Device(id=f"F0:00:00:00:00:{place:02X}")
        number = journal.connected("blood-pressure-service", device)
        journal.settle(number, device, None)
        here = pairs[place][0]

        def hear() -> None:
            value = here.recv(64)
            began_ns = time.monotonic_ns()
            journal.append(number, _MEASUREMENT, value[8:])
            journalled.append((time.monotonic_ns() - began_ns) / 1e9)
            waited.append((began_ns - int.from_bytes(value[:8])) / 1e9)
            decoding.wake()
            if len(waited) == DEVICES * EACH:
                done.set()

        here.setblocking(False)
        loop.add_reader(here, hear)

    for place in range(DEVICES):
        listen(place)
    handles = [there.fileno() for _, there in pairs]
    with _giving(handles) as giving:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(decoding.run()),
                tasks.create_task(forwarder.run()),
                tasks.create_task(_checkpoints(directory)),
            ]
            async with asyncio.timeout(120):
                await done.wait()
            for task in running:
                task.cancel()
        giving.wait(10)
    for here, there in pairs:
        loop.remove_reader(here)
        here.close()
        there.close()
    database.close()
    return waited, journalled


def _giving(handles: Sequence[int]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.gateway_window", "--give", *map(str, handles)]
    return subprocess.Popen(command, pass_fds=handles)  # noqa: S603 - our own


async def _checkpoints(directory: Path) -> None:
    while True:
        await asyncio.sleep(_CHECKPOINT_S)
        await asyncio.to_thread(checkpoint, directory)


def _give(handles: Sequence[int]) -> None:
    """Be ten devices: each gives a record, waits as long as a cuff does, and gives the next."""
    chance = random.Random(1)  # noqa: S311 - when a device speaks is no secret
    sockets = [socket.socket(fileno=handle) for handle in handles]
    shown, began = datetime(2026, 11, 23, 8, 0, tzinfo=UTC), time.monotonic()
    moments = sorted(
        (_EVERY_S * turn + chance.uniform(0, _EVERY_S), place)
        for turn in range(EACH)
        for place in range(len(sockets))
    )
    for number, (at, place) in enumerate(moments):
        time.sleep(max(0.0, began + at - time.monotonic()))
        time_ = shown + timedelta(seconds=number)
        parts = [time_.month, time_.day, time_.hour, time_.minute, time_.second]
        frame = bytes.fromhex("02780050005a00") + time_.year.to_bytes(2, "little") + bytes(parts)
        sockets[place].send(time.monotonic_ns().to_bytes(8) + frame)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway_window")
    parser.add_argument("--give", type=int, nargs="+")
    parser.add_argument("--directory", type=Path, default=Path())
    arguments = parser.parse_args()
    if arguments.give:
        _give(arguments.give)
    else:
        print("\n".join(tell(run(arguments.directory))))


if __name__ == "__main__":
    _main()
