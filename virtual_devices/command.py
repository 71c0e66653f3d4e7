"""``hemvital-virtual``: the air, an ``org.bluez`` on it, and devices, each its own process."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from virtual_devices import arguments as command_line
from virtual_devices import host, radio, schedule
from virtual_devices.bluez import service
from virtual_devices.cuff import Cuff
from virtual_devices.ledger import Ledger
from virtual_devices.memory import Memory
from virtual_devices.oximeter import Oximeter
from virtual_devices.peripheral import Identity, Manners, Peripheral
from virtual_devices.schedule import CuffStep, Fault, OximeterStep
from virtual_devices.security import Security

Step = TypeVar("Step", CuffStep, OximeterStep)

_PLAIN_RECORD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _PLAIN_RECORD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one part until SIGTERM or SIGINT.

    Returns:
        0 when it was asked to stop, 1 when it failed; wrong arguments exit with 2.
    """
    arguments = command_line.parser().parse_args(argv)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=arguments.log_level, handlers=[handler])
    logging.getLogger("bumble").setLevel(logging.CRITICAL)  # to us a lost link is no error
    status = 1
    try:
        status = asyncio.run(_until_signalled(_PARTS[arguments.part](arguments)))
    except* (OSError, ValueError) as errors:
        for error in errors.exceptions:
            print(f"hemvital-virtual {arguments.part}: {error}", file=sys.stderr)
    return status


async def _until_signalled(part: Coroutine[Any, Any, None]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(part)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return 0
    return 1  # no part ends by itself but bluez, when its bus is gone


async def _run_radio(arguments: argparse.Namespace) -> None:
    air = radio.Air(supervision_s=arguments.supervision_s, rssi_dbm=dict(arguments.rssi))
    server = await radio.serve(air, arguments.air)
    async with server:
        print(f"radio ready at unix:{arguments.air}", flush=True)
        await server.serve_forever()


async def _run_bluez(arguments: argparse.Namespace) -> None:
    settings = service.Settings(
        bus_address=arguments.bus,
        air=arguments.air,
        address=arguments.address,
        keys=arguments.keys,
        expire_s=arguments.expire_s,
        script=arguments.script,
    )
    await service.run(settings, on_ready=lambda: print("bluez ready", flush=True))
    print("hemvital-virtual bluez: the bus is gone", file=sys.stderr)


async def _run_cuff(arguments: argparse.Namespace) -> None:
    around = CuffStep(
        systolic=arguments.systolic, diastolic=arguments.diastolic, pulse=arguments.pulse
    )
    clock = _wall_clock(arguments)
    cuff = Cuff(
        _identity(arguments, model="Virtual Cuff 1"),
        memory=_memory(arguments),
        ledger=_ledger(arguments, clock),
        security=_security(arguments),
        manners=_manners(arguments),
        clock=clock,
        measuring_s=arguments.measuring_s,
    )
    walk = schedule.cuff_walk(around, arguments.every or 0.0, _chance(arguments))
    await _live(cuff, _steps(arguments, CuffStep, walk), arguments)


async def _run_oximeter(arguments: argparse.Namespace) -> None:
    around = OximeterStep(spo2=arguments.spo2, pulse=arguments.pulse)
    clock = _wall_clock(arguments)
    oximeter = Oximeter(
        _identity(arguments, model="Virtual Oximeter 1"),
        memory=_memory(arguments),
        ledger=_ledger(arguments, clock),
        security=_security(arguments),
        manners=_manners(arguments),
        clock=clock,
        monotonic=time.monotonic,
        finger_s=arguments.finger_s,
        offered_s=arguments.offered_s,
        is_live=arguments.live,
    )
    walk = schedule.oximeter_walk(around, arguments.every or 0.0, _chance(arguments))
    await _live(oximeter, _steps(arguments, OximeterStep, walk), arguments)


_PARTS: Final[dict[str, Callable[[argparse.Namespace], Coroutine[Any, Any, None]]]] = {
    "radio": _run_radio,
    "bluez": _run_bluez,
    "cuff": _run_cuff,
    "oximeter": _run_oximeter,
}


async def _live(
    device: Peripheral[Step],
    steps: list[AsyncIterator[Step | Fault]],
    arguments: argparse.Namespace,
) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(device.run(arguments.air), name="run")
        tasks.create_task(_say_when_ready(device, arguments), name="ready")
        for each in steps:
            tasks.create_task(device.follow(each), name="follow")


async def _say_when_ready(device: Peripheral[Step], arguments: argparse.Namespace) -> None:
    await device.is_ready.wait()  # for ever: the air may come late
    print(f"{arguments.part} {device.identity.address} ready", flush=True)


def _steps(
    arguments: argparse.Namespace, kind: type[Step], walk: AsyncIterator[Step]
) -> list[AsyncIterator[Step | Fault]]:
    steps: list[AsyncIterator[Step | Fault]] = []
    if arguments.script is not None:
        source = None if arguments.script == "-" else Path(arguments.script)
        steps.append(schedule.script(source, kind))
    if arguments.every is not None:
        steps.append(walk)
    return steps


def _wall_clock(arguments: argparse.Namespace) -> Callable[[], datetime]:
    """Return the device's true local time; without a zone given, this machine's."""
    return lambda: datetime.now(UTC).astimezone(arguments.timezone)


def _identity(arguments: argparse.Namespace, *, model: str) -> Identity:
    return Identity(
        address=arguments.address.upper(),
        name=arguments.name,
        manufacturer="Hemvital",
        model=model,
        serial=arguments.serial,
        firmware="1.0",
        battery_percent=arguments.battery,
    )


def _memory(arguments: argparse.Namespace) -> Memory:
    return Memory(
        arguments.capacity,
        file=arguments.memory,
        clock_offset=timedelta(seconds=arguments.skew_s),
    )


def _ledger(arguments: argparse.Namespace, clock: Callable[[], datetime]) -> Ledger:
    return Ledger(
        arguments.ledger,
        device=arguments.address.upper(),
        clock=lambda: clock().astimezone(UTC),
    )


def _security(arguments: argparse.Namespace) -> Security:
    memory: Path | None = arguments.memory
    bonds = None if memory is None else memory.with_name(memory.name + ".bonds")
    return Security(
        arguments.security,
        keys=host.key_store(arguments.address.upper(), bonds),
        show_passkey=lambda digits: print(f"passkey {digits}", flush=True),
    )


def _manners(arguments: argparse.Namespace) -> Manners:
    return Manners(
        advertising_ms=arguments.advertising_ms,
        linger_s=arguments.linger_s,
        idle_s=arguments.idle_s,
    )


def _chance(arguments: argparse.Namespace) -> random.Random:
    return random.Random(arguments.seed)  # noqa: S311 - a demo's readings are no secret
