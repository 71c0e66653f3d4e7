"""What a gateway with ten devices takes of its machine, beside a bare bleak program."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from benchmarks.gateway_home import BenchHome, Script, all_at_once, one_by_one, wait_for
from deploy.local.footprint import Footprint, footprint
from deploy.local.programs import Running

_RECORD: Final = "00002a35-0000-1000-8000-00805f9b34fb"
_STRANGER: Final = "F0:00:00:00:FF:FF"
_IDLE_S: Final = 30.0
_SINGLE: Final = 10
_BURST: Final = 50
_AFTER_S: Final = 1.5  # what is done with the last reading belongs to the figures
_ROUNDS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one program took while it heard or read."""

    cpu_s: float
    wall_s: float
    readings: int
    end: Footprint

    @property
    def cpu_percent(self) -> float:
        """Share of one core."""
        return self.cpu_s / self.wall_s * 100

    @property
    def cpu_us_per_reading(self) -> float:
        """Microseconds of CPU for one reading, everything that was done meanwhile in it."""
        return self.cpu_s / self.readings * 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The gateway and its floor in the same situation."""

    gateway: Taken
    bare: Taken

    @property
    def cpu_ratio(self) -> float:
        """Gateway's CPU for what it did ÷ the floor's, for a reading or for a second."""
        if self.gateway.readings:
            return self.gateway.cpu_us_per_reading / self.bare.cpu_us_per_reading
        return self.gateway.cpu_percent / self.bare.cpu_percent

    @property
    def memory_ratio(self) -> float:
        """Gateway's resident memory ÷ the floor's."""
        return self.gateway.end.rss_kib / self.bare.end.rss_kib


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Idle among advertisements; reading one record a visit; reading fifty a visit."""

    devices: int
    idle: Pair
    single: Pair
    burst: Pair

    @property
    def ratios(self) -> dict[str, float]:
        """Each figure against its floor."""
        return {
            "idle_cpu": self.idle.cpu_ratio,
            "single_cpu": self.single.cpu_ratio,
            "burst_cpu": self.burst.cpu_ratio,
            "memory": self.burst.memory_ratio,
        }


def run(home: BenchHome) -> Result:
    """Measure both programs in turn, twice; told is the round of the smaller CPU."""
    with home.on_air(), home.ingest():
        return Result(
            devices=len(home.addresses),
            idle=_idle(home),
            single=_reading(home, one_by_one(_SINGLE), _SINGLE),
            burst=_reading(home, all_at_once(_BURST), _BURST),
        )


def _idle(home: BenchHome) -> Pair:
    """Both at once, for the same advertisements: of cuffs that nobody fetches from."""
    with (
        home.cuffs(lambda _place: [{}]),
        home.gateway(devices=_STRANGER) as gateway,
        home.bare() as bare,
    ):
        time.sleep(_AFTER_S)
        pids = [gateway.number, bare.number]
        before, began_s = [footprint(pid) for pid in pids], time.monotonic()
        time.sleep(_IDLE_S)
        wall_s = time.monotonic() - began_s
        ours, floor = (
            Taken(cpu_s=now.cpu_s - then.cpu_s, wall_s=wall_s, readings=0, end=now)
            for then, now in zip(before, map(footprint, pids), strict=True)
        )
    return Pair(gateway=ours, bare=floor)


def _reading(home: BenchHome, script: Script, each: int) -> Pair:
    ours, floors = list[Taken](), list[Taken]()
    for _ in range(_ROUNDS):
        floors.append(_read(home, lambda: home.bare("--read", _RECORD), script, each))
        ours.append(_read(home, lambda: home.gateway(cool_down_s="0.5"), script, each))
    return Pair(
        gateway=min(ours, key=lambda taken: taken.cpu_s),
        bare=min(floors, key=lambda taken: taken.cpu_s),
    )


def _read(
    home: BenchHome,
    start: Callable[[], AbstractContextManager[Running]],
    script: Script,
    each: int,
) -> Taken:
    given = home.given()
    wanted = given + each * len(home.addresses)
    with start() as reader:
        time.sleep(_AFTER_S)
        before, began_s = footprint(reader.number), time.monotonic()
        with home.cuffs(script):
            wait_for(lambda: home.given() >= wanted, f"{wanted} records given")
            time.sleep(_AFTER_S)
        now = footprint(reader.number)
        return Taken(
            cpu_s=now.cpu_s - before.cpu_s,
            wall_s=time.monotonic() - began_s,
            readings=wanted - given,
            end=now,
        )
