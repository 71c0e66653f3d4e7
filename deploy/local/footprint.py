"""What a running gateway takes of its machine: memory, files, threads, disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SUM: Final = re.compile(r"^(Rss|Pss):\s+(\d+) kB$", re.MULTILINE)
_NS: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """One look at a process.

    ``rss_kib`` counts every page of it that is in memory; ``pss_kib`` counts one that others use
    too by its share. ``cpu_s`` is user and system time of the threads that it has.
    """

    rss_kib: int
    pss_kib: int
    files: int
    threads: int
    cpu_s: float


def footprint(pid: int) -> Footprint:
    """Look at a process of ours, or raise `FileNotFoundError` if it is no more."""
    process = Path("/proc") / str(pid)
    memory = dict(_SUM.findall((process / "smaps_rollup").read_text()))
    threads = list((process / "task").iterdir())
    return Footprint(
        rss_kib=int(memory["Rss"]),
        pss_kib=int(memory["Pss"]),
        files=len(list((process / "fd").iterdir())),
        threads=len(threads),
        cpu_s=sum(map(_on_cpu_s, threads)),
    )


def written_bytes(pid: int) -> int:
    """Return how many bytes the process has caused to be sent to disks.

    Source:
        proc_pid_io(5): write_bytes. Files in memory (tmpfs) do not count.
    """
    lines = (Path("/proc") / str(pid) / "io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("write_bytes:")).split()[1])


def _on_cpu_s(thread: Path) -> float:
    """Return a thread's time on a CPU; ticks of ``stat`` would be too coarse.

    Source:
        Linux, Documentation/scheduler/sched-stats.rst: /proc/<pid>/schedstat, first field, ns.
    """
    return int((thread / "schedstat").read_text().split()[0]) / _NS
