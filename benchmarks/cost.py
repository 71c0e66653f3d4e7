"""What a process costs that takes messages off the broker, seen from outside."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
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
    process = psutil.Process(running.pid)
    before = _cpu_s(process)
    running.signal(signal.SIGSTOP)
    fill()
    running.signal(signal.SIGCONT)
    began = time.monotonic()
    while not is_done():
        if running.pid is None:
            raise running.error("ended under measurement")
        if time.monotonic() - began > _DONE_S:
            raise TimeoutError(f"not done after {_DONE_S:.0f} s; its log is {running.log}")
        time.sleep(_LOOK_S)
    wall_s = time.monotonic() - began
    cpu_s = _cpu_s(process) - before
    return Cost(messages=messages, readings=readings, cpu_s=cpu_s, wall_s=wall_s)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
