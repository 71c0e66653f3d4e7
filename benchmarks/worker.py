"""One process that takes messages off the broker: what it costs, from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil

_START_S: Final = 30.0
_END_S: Final = 300.0
_LOOK_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run took, for ``messages`` of ``readings`` in all."""

    messages: int
    readings: int
    cpu_s: float
    wall_s: float

    @property
    def cpu_us_per_reading(self) -> float:
        """Microseconds of the worker's own CPU, user and system, for one reading."""
        return self.cpu_s / self.readings * 1e6

    @property
    def readings_per_s(self) -> float:
        """Readings a second, from a full queue."""
        return self.readings / self.wall_s


class Worker:
    """The process under measurement. Held still while the queue fills, then let go."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._child = subprocess.Popen(  # noqa: S603 - our own command line
                [str(Path(sys.executable).parent / command[0]), *command[1:]],
                env=dict(environment),
                stdout=output,
                stderr=output,
            )
        self.log = log
        self._process = psutil.Process(self._child.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._child.send_signal(signal.SIGCONT)
        self._child.terminate()
        self._child.wait(_START_S)

    def wait_until(self, is_so: Callable[[], bool], *, within_s: float = _START_S) -> None:
        """Wait; raise `TimeoutError` at the deadline, or `RuntimeError` if the process ends."""
        deadline = time.monotonic() + within_s
        while not is_so():
            if self._child.poll() is not None:
                raise RuntimeError(f"the worker ended; its log is {self.log}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not after {within_s:.0f} s; the worker's log is {self.log}")
            time.sleep(_LOOK_S)

    def measure(
        self,
        fill: Callable[[], None],
        is_done: Callable[[], bool],
        *,
        messages: int,
        readings: int,
    ) -> Cost:
        """Fill the queue while the worker is held, let it go, and see what emptying takes."""
        before = self._cpu_s()
        self._child.send_signal(signal.SIGSTOP)
        fill()
        self._child.send_signal(signal.SIGCONT)
        began = time.monotonic()
        self.wait_until(is_done, within_s=_END_S)
        wall_s = time.monotonic() - began
        cpu_s = self._cpu_s() - before
        return Cost(messages=messages, readings=readings, cpu_s=cpu_s, wall_s=wall_s)

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system
