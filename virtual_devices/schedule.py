"""When a device measures what: JSON lines from a script, or a seeded walk around given values."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from virtual_devices.drops import Point

logger = logging.getLogger(__name__)

_MAX_LINE_BYTES: Final = 4096
_WALK_WIDTH: Final = 8


class CuffStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One measurement of a cuff, ``after_s`` seconds after the step before."""

    systolic: Decimal = Decimal(128)
    diastolic: Decimal = Decimal(79)
    mean: Decimal | None = None
    pulse: Decimal | None = None
    unit: Literal["mmHg", "kPa"] = "mmHg"
    user: int | None = None
    irregular: bool = False
    movement: bool = False
    error: bool = False
    after_s: float = 0.0


class OximeterStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One spot check of an oximeter, ``after_s`` seconds after the step before."""

    spo2: Decimal = Decimal(97)
    pulse: Decimal = Decimal(70)
    error: bool = False
    after_s: float = 0.0


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that goes wrong.

    ``out_of_range``: off the air for ``for_s`` seconds. ``drop_bond``: forgets every host.
    ``hang_up``: the next session ends after ``after_records`` confirmed records. ``duplicate``:
    the next record is indicated twice. ``drop``: the link ends when the point ``at`` is reached
    for the ``nth`` time from now on; ``silent``, by going off the air for ``for_s`` seconds, as
    out of range. ``battery``: shows ``percent`` from now on.
    """

    fault: Literal["out_of_range", "drop_bond", "hang_up", "duplicate", "drop", "battery"]
    for_s: float = 5.0
    after_records: int = 1
    at: Point = "connect"
    nth: Annotated[int, msgspec.Meta(ge=1)] = 1
    silent: bool = False
    percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 100
    after_s: float = 0.0


Step = TypeVar("Step", CuffStep, OximeterStep)


def parse(line: bytes, kind: type[Step]) -> Step | Fault:
    """Read one line of a script.

    Raises:
        ValueError: If it is no such step; the text names the element.
    """
    if len(line) > _MAX_LINE_BYTES:
        raise ValueError(f"longer than {_MAX_LINE_BYTES} bytes")
    try:
        keys = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        if "fault" in keys:
            return msgspec.json.decode(line, type=Fault)
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


async def script(source: Path | None, kind: type[Step]) -> AsyncIterator[Step | Fault]:
    """Yield the steps of a file, or of standard input as its lines come; then end.

    A line that is no step is logged with its number and left out.

    Raises:
        OSError: If the file cannot be read.
    """
    number = 0
    async for line in _lines(source):
        number += 1
        if not line.strip():
            continue
        try:
            step = parse(line, kind)
        except ValueError as error:
            logger.warning("script line left out", extra={"line": number, "reason": str(error)})
            continue
        await asyncio.sleep(step.after_s)
        yield step


async def _lines(source: Path | None) -> AsyncIterator[bytes]:
    if source is not None:
        for line in (await asyncio.to_thread(source.read_bytes)).splitlines():
            yield line
        return
    reader = asyncio.StreamReader()
    # A duplicate, because the transport closes what it was given.
    pipe = os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        while line := await _read_line(reader):
            yield line
    finally:
        transport.close()


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:  # longer than the reader's buffer, which it has thrown away
        return b"<too long>\n"


async def cuff_walk(
    around: CuffStep, every_s: float, chance: random.Random
) -> AsyncIterator[CuffStep]:
    """Yield a reading every so often for ever, wandering near the given values."""
    drift = 0
    while True:
        await asyncio.sleep(every_s)
        drift = _wander(drift, chance)
        yield msgspec.structs.replace(
            around,
            systolic=around.systolic + drift,
            diastolic=around.diastolic + drift // 2,
            pulse=None if around.pulse is None else around.pulse + chance.randint(-3, 3),
        )


async def oximeter_walk(
    around: OximeterStep, every_s: float, chance: random.Random
) -> AsyncIterator[OximeterStep]:
    """Yield a spot check every so often for ever, wandering near the given values."""
    while True:
        await asyncio.sleep(every_s)
        yield msgspec.structs.replace(
            around,
            spo2=min(around.spo2 + chance.randint(-1, 1), Decimal(100)),
            pulse=around.pulse + chance.randint(-4, 4),
        )


def _wander(drift: int, chance: random.Random) -> int:
    return max(-_WALK_WIDTH, min(_WALK_WIDTH, drift + chance.randint(-3, 3)))
