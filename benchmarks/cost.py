"""What a process costs that takes messages off the broker, seen from outside."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from deploy.local.programs import Running

_DONE_S: Final = 60.0
_LOOK_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run took, for ``messages`` that held ``readings`` in all."""

    messages: int
    readings: int
    cpu_s: float
    wall_s: float

    @property
    def cpu_us_per_reading(self) -> float:
        """Microseconds of the process's own CPU, user and system, for one reading."""
        return self.cpu_s / self.readings * 1e6

    @property
    def cpu_us_per_message(self) -> float:
        """The same for one message."""
        return self.cpu_s / self.messages * 1e6

    @property
    def readings_per_s(self) -> float:
        """Readings a second, from a full queue."""
        return self.readings / self.wall_s


def measure(
    running: Running,
    fill: Callable[[], None],
    is_done: Callable[[], bool],
    *,
    messages: int,
    readings: int,
) -> Cost:
    """Hold the process still while the queue fills, let it go, and see what emptying takes.

    Raises:
        TimeoutError: If it is not done in a minute.
        ProgramError: If the process ends.
    """
    return measure_together([running], fill, is_done, messages=messages, readings=readings)


def measure_together(
    running: Sequence[Running],
    fill: Callable[[], None],
    is_done: Callable[[], bool],
    *,
    messages: int,
    readings: int,
    look_s: float = _LOOK_S,
) -> Cost:
    """Do the same with several processes that share the queue; their CPU is summed.

    Raises:
        TimeoutError: If they are not done in a minute.
        ProgramError: If one of them ends.
    """
    processes = [psutil.Process(each.pid) for each in running]
    before = sum(map(cpu_s, processes))
    for each in running:
        each.signal(signal.SIGSTOP)
    fill()
    for each in running:
        each.signal(signal.SIGCONT)
    began = time.monotonic()
    while not is_done():
        for each in running:
            if each.pid is None:
                raise each.error("ended under measurement")
        if time.monotonic() - began > _DONE_S:
            logs = ", ".join(str(each.log) for each in running)
            raise TimeoutError(f"not done after {_DONE_S:.0f} s; see {logs}")
        time.sleep(look_s)
    wall_s = time.monotonic() - began
    used_s = sum(map(cpu_s, processes)) - before
    return Cost(messages=messages, readings=readings, cpu_s=used_s, wall_s=wall_s)


def cpu_s(process: psutil.Process) -> float:
    """Return the seconds of CPU that a process has used, user and system."""
    times = process.cpu_times()
    return times.user + times.system
