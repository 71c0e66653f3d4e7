"""Loopback ports, chosen free and then kept, so that two checkouts coexist."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Final

_TRIES: Final = 100
_LOWEST: Final = 20_000


def keep(file: Path) -> int:
    """Return the port that ``file`` records if it is free, else record a new one.

    Raises:
        OSError: If no free port is found.
    """
    if file.exists() and _is_free(port := recorded(file)):
        return port
    port = _choose()
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    part.write_text(f"{port}\n")
    part.replace(file)  # whole or not at all: whoever writes it may be killed
    return port


def recorded(file: Path) -> int:
    """Return the recorded port, or raise `FileNotFoundError` if the server never started."""
    try:
        return int(file.read_text())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{file}: never started; make services-up does") from error


def _choose() -> int:
    # Below the range that outgoing connections take theirs from: while a server there is down, a
    # client that keeps trying can be given that very port and then finds itself connected to
    # itself, and the server cannot come back.
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    highest = int(limits[0]) - 1
    for _ in range(_TRIES):
        port = random.randint(min(_LOWEST, highest), highest)  # noqa: S311 - no secret
        if _is_free(port):
            return port
    raise OSError(f"no free loopback port in {_TRIES} tries up to {highest}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a connection that has just ended does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
