"""How long something takes, and how much of it this process computed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Samples:
    """Milliseconds of wall, and of this process's CPU, of each repetition."""

    wall_ms: list[float] = field(default_factory=list[float])
    client_ms: list[float] = field(default_factory=list[float])

    @contextmanager
    def took(self, *, is_kept: bool = True) -> Generator[None]:
        """Take the time of what is done inside; not kept, it only warms up."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        if is_kept:
            self.wall_ms.append(wall_s * 1e3)
            self.client_ms.append(cpu_s * 1e3)

    @property
    def median_ms(self) -> float:
        """The middle one."""
        return statistics.median(self.wall_ms)

    @property
    def p95_ms(self) -> float:
        """What 95 of 100 stay below."""
        return statistics.quantiles(self.wall_ms, n=20, method="inclusive")[-1]

    @property
    def client_median_ms(self) -> float:
        """The middle one of this process's own CPU."""
        return statistics.median(self.client_ms)
