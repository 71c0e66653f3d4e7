"""What the service manager is told: that the gateway serves, that it lives, that it ends.

systemd restarts a gateway whose watchdog is not fed. A restart helps against a loop that stands
still, a lock that is never given back and a file that cannot be written; it does not help against
a network that is away, a radio that is gone or a disk that is full. So only the first three keep
the watchdog hungry, and the rest is said in words.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from gateway.store.pulse import prove_write

logger = logging.getLogger(__name__)

_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG: Final = "WATCHDOG_USEC"
_WATCHDOG_PROCESS: Final = "WATCHDOG_PID"
_FEEDS: Final = 3  # a watchdog's time: one that comes late is not yet the end
_UNWATCHED_S: Final = 60.0
_MOST_WORDS: Final = 400


class Supervisor:
    """The service manager behind a socket; without one nothing is said and nothing fails.

    Args:
        address: A socket's path, or ``@`` and a name of Linux's abstract namespace.
        watchdog_s: How long it waits for a sign of life; ``None`` if it does not.

    Source:
        sd_notify(3), sd_watchdog_enabled(3).
    """

    def __init__(self, address: str | None, watchdog_s: float | None) -> None:
        self._address = "\0" + address[1:] if address and address[0] == "@" else address
        self.watchdog_s = watchdog_s
        self._is_reached = True

    def tell(self, *fields: str) -> None:
        """Send one message; it is lost if the manager does not take it at once."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(fields).encode(), self._address)
        except OSError as error:
            if self._is_reached:
                logger.warning("the service manager was not reached", extra={"reason": str(error)})
            self._is_reached = False
        else:
            self._is_reached = True


def from_environment(environment: Mapping[str, str], process: int) -> Supervisor:
    """Return the manager that started this process, as the environment names it."""
    address = environment.get(_SOCKET, "")
    # Another address family (vsock) is a virtual machine's, and not for us.
    usable = address if address[:1] in {"/", "@"} else None
    return Supervisor(usable, _watchdog_s(environment, process))


class Vigil:
    """Feeds the watchdog for as long as loop, decoder and file make progress.

    Args:
        supervisor: Who is told.
        directory: Where the gateway's file is.
        progress: Asks the decoder for a pass and returns how many there were until now.
        problems: What keeps the gateway from its work, for a person who asks the manager.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        directory: Path,
        progress: Callable[[], int],
        problems: Callable[[], Iterable[str]],
    ) -> None:
        self._supervisor = supervisor
        self._directory = directory
        self._progress = progress
        self._problems = problems
        self._seen = -1

    async def run(self, stop: asyncio.Event) -> None:
        """Say that the gateway serves, then that it lives, and that it ends once stopped."""
        self._supervisor.tell("READY=1", self._words())
        interval_s = (self._supervisor.watchdog_s or _UNWATCHED_S * _FEEDS) / _FEEDS
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await stop.wait()
                    break
            # A write that hangs holds up this task, and so the watchdog; the others go on.
            reason = await self._standstill()
            if reason is None:
                self._supervisor.tell("WATCHDOG=1", self._words())
            else:
                logger.error("the watchdog is not fed", extra={"reason": reason})
                self._supervisor.tell(f"STATUS=Stands still: {reason}"[:_MOST_WORDS])
        self._supervisor.tell("STOPPING=1", "STATUS=Sending what waits, then stopping.")

    async def _standstill(self) -> str | None:
        passes = self._progress()
        if passes == self._seen:
            return "the decoder makes no progress"
        self._seen = passes
        try:
            await asyncio.to_thread(prove_write, self._directory)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                return None  # no restart makes room
            return f"the gateway's file cannot be written: {error}"
        return None

    def _words(self) -> str:
        problems = "; ".join(self._problems()).replace("\n", " ")
        return f"STATUS={problems or 'Serving.'}"[:_MOST_WORDS]


@asynccontextmanager
async def kept_alive(vigil: Vigil, stop: asyncio.Event) -> AsyncGenerator[None]:
    """Keep a vigil over what is done inside."""
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(vigil.run(stop), name="vigil")
        yield
        watching.cancel()


def supervised() -> Supervisor:
    """Return the manager that started this very process."""
    return from_environment(os.environ, os.getpid())


def _watchdog_s(environment: Mapping[str, str], process: int) -> float | None:
    if environment.get(_WATCHDOG_PROCESS, str(process)) != str(process):
        return None  # it is another process's
    try:
        watchdog_us = int(environment.get(_WATCHDOG, "0"))
    except ValueError:
        return None
    return watchdog_us / 1e6 if watchdog_us > 0 else None
