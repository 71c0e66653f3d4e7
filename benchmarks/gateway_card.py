"""What a gateway writes to its card for a reading, beside what cannot be less."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from benchmarks.gateway_home import BenchHome, Script, all_at_once, one_by_one, wait_for
from deploy.local.footprint import written_bytes
from gateway.status import read_status
from gateway.store.database import FILE_NAME

_PAGE_BYTES: Final = 4096
_SINGLE: Final = 5
_BURST: Final = 50
_CHECKPOINT_S: Final = 25.0  # one is made every twenty seconds, and belongs to the figures
_IDLE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Bytes that the process caused to be written, for a reading; and in a minute of nothing.

    ``floor_bytes``: the record as it travels, and one page for the one flush that it needs.
    """

    record_bytes: float
    single_bytes: float
    burst_bytes: float
    idle_bytes_per_min: float

    @property
    def floor_bytes(self) -> float:
        """What cannot be less with one flush a reading."""
        return self.record_bytes + _PAGE_BYTES

    @property
    def single_ratio(self) -> float:
        """One reading a visit ÷ the floor."""
        return self.single_bytes / self.floor_bytes

    @property
    def burst_ratio(self) -> float:
        """Fifty readings a visit ÷ the floor."""
        return self.burst_bytes / self.floor_bytes


def run(home: BenchHome) -> Result:
    """Let ten cuffs give one reading a visit, then fifty, and look at the process's own count."""
    with home.on_air(), home.ingest():
        single = _written(home, one_by_one(_SINGLE), _SINGLE)
        burst = _written(home, all_at_once(_BURST), _BURST)
        with home.gateway() as gateway:
            time.sleep(_CHECKPOINT_S)  # what the start writes
            before = written_bytes(gateway.number)
            time.sleep(_IDLE_S)
            idle = written_bytes(gateway.number) - before
    return Result(
        record_bytes=_record_bytes(home),
        single_bytes=single,
        burst_bytes=burst,
        idle_bytes_per_min=idle * 60 / _IDLE_S,
    )


def _written(home: BenchHome, script: Script, each: int) -> float:
    readings = each * len(home.addresses)
    wanted = home.given() + readings
    with home.gateway(cool_down_s="0.5") as gateway:
        time.sleep(_CHECKPOINT_S)
        before = written_bytes(gateway.number)
        with home.cuffs(script):
            wait_for(lambda: home.given() >= wanted, f"{wanted} records given")
            wait_for(lambda: not read_status(home.state).undelivered, "all receipted")
            time.sleep(_CHECKPOINT_S)
        return (written_bytes(gateway.number) - before) / readings


def _record_bytes(home: BenchHome) -> float:
    with closing(sqlite3.connect(home.state / FILE_NAME)) as database:
        (mean,) = database.execute("SELECT avg(length(record)) FROM outbox").fetchone()
    return float(mean)
