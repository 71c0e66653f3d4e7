"""What the database's own processes do for a service, seen from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import psutil
import psycopg

from benchmarks.cost import cpu_s

_EVERY_S: Final = 0.05
# A role sees its own sessions' waits whatever database it looks from.
_WAITS: Final = """
SELECT wait_event_type, wait_event
  FROM pg_stat_activity
 WHERE datname = %s
   AND usename = current_user
   AND state = 'active'
   AND wait_event_type IS NOT NULL
"""
_LOCK: Final = "Lock"


@dataclass(slots=True)
class Waits:
    """Seconds that sessions spent waiting, by what for, such as ``Lock:tuple``."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def lock_s(self) -> float:
        """Seconds of waiting for heavyweight locks: rows, transactions, advisory ones."""
        return sum(s for name, s in self.seconds.items() if name.startswith(f"{_LOCK}:"))


@contextmanager
def watched(dsn: str, database: str) -> Generator[Waits]:
    """Look twenty times a second at what a role's sessions in a database wait for.

    Args:
        dsn: Connects as that role, to another database, so that the onlooker is not counted.
        database: Whose sessions.
    """
    waits, ended = Waits(), threading.Event()

    def look() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            last = time.monotonic()
            while not ended.wait(_EVERY_S):
                found = connection.execute(_WAITS, [database]).fetchall()
                now = time.monotonic()
                for kind, event in found:
                    name = f"{kind}:{event}"
                    waits.seconds[name] = waits.seconds.get(name, 0.0) + now - last
                last = now

    thread = threading.Thread(target=look, name="waits")
    thread.start()
    try:
        yield waits
    finally:
        ended.set()
        thread.join()


def used_s(postmaster: int, role: str, database: str) -> float:
    """Return the CPU that a role's sessions in a database have used since they began, in seconds.

    They are told by the title that PostgreSQL gives each of its processes.
    """
    title = f"postgres: {role} {database} "
    total = 0.0
    for child in psutil.Process(postmaster).children():
        with suppress(psutil.NoSuchProcess):
            if " ".join(child.cmdline()).startswith(title):
                total += cpu_s(child)
    return total
