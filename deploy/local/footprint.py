"""What a running gateway takes of its machine: memory, files, threads, disk."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SUM: Final = re.compile(r"^(Rss|Pss):\s+(\d+) kB$", re.MULTILINE)
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """One look at a process.

    ``rss_kib`` counts every page of it that is in memory; ``pss_kib`` counts one that others use
    too by its share. ``cpu_s`` is user and system time since it started.
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
    # After the name, which may hold anything but is in parentheses: state is the third field.
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return Footprint(
        rss_kib=int(memory["Rss"]),
        pss_kib=int(memory["Pss"]),
        files=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
        cpu_s=(user + system) / _TICKS_PER_S,
    )


def written_bytes(pid: int) -> int:
    """Return how many bytes the process has caused to be sent to disks.

    Source:
        proc_pid_io(5): write_bytes. Files in memory (tmpfs) do not count.
    """
    lines = (Path("/proc") / str(pid) / "io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("write_bytes:")).split()[1])
