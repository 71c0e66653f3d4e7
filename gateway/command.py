"""``hemvital-gateway``: run the gateway, ask how it stands, let devices pair, enrol it."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from gateway import pairing
from gateway.assembly import Gateway
from gateway.observability import HealthServer, Metrics, set_up_logs
from gateway.settings import Settings, SettingsError, load
from gateway.status import describe, read_status
from gateway.store.database import Database, DatabaseError, is_full
from gateway.store.room import Reserve
from gateway.store.salvage import Salvaged, open_repaired

logger = logging.getLogger(__name__)

_OK: Final = 0
_FAILED: Final = 1
_USAGE: Final = 2
_WRONG: Final = 3
# A process of their own: what speaks HTTPS and X.509 is never loaded beside the radio.
_OF_ENROLMENT: Final = {
    "enrol": "get a certificate for a one-time code",
    "renew": "get a new certificate by the one there is",
    "retire": "make a box that goes back empty",
}


class AlreadyRunningError(Exception):
    """Another gateway uses the state directory."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0 done; 1 failed; 2 usage or settings; 3 from ``status``: something is wrong.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    if given and given[0] in _OF_ENROLMENT:
        program = sys.executable
        os.execv(program, [program, "-P", "-m", "gateway.enrolment", *given])  # noqa: S606 - ourselves
    arguments = _parser().parse_args(given)
    try:
        if arguments.command == "status":
            return _status(arguments)
        if arguments.command == "pair":
            return _pair(arguments)
        return _run(load(os.environ, arguments.settings))
    except pairing.PairingError as error:
        print(error, file=sys.stderr)
        return _FAILED
    except SettingsError as error:
        print(error, file=sys.stderr)
        return _USAGE
    except (OSError, sqlite3.Error, DatabaseError, AlreadyRunningError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return _FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hemvital-gateway",
        description="The gateway in the home: reads devices, keeps and sends what they say.",
        epilog="Settings: HEMVITAL_GATEWAY_* variables or a TOML file; the variables win.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run until SIGTERM or SIGINT")
    status = commands.add_parser("status", help="say how this gateway stands")
    pair = commands.add_parser("pair", help="let new devices pair with the gateway for a while")
    for command in (run, status, pair):
        command.add_argument("--settings", type=Path, metavar="FILE", help="settings, TOML")
    for command in (status, pair):
        command.add_argument("--state", type=Path, metavar="DIR", help="the state directory")
    pair.add_argument("--minutes", type=int, default=10, metavar="N", help="at most 30; 10")
    status.add_argument("--json", action="store_true", help="for programs")
    for name, about in _OF_ENROLMENT.items():  # to be listed; `main` hands them over
        commands.add_parser(name, help=about, add_help=False)
    return parser


def _status(arguments: argparse.Namespace) -> int:
    directory = arguments.state or load(os.environ, arguments.settings).state
    status = read_status(directory)
    if arguments.json:
        print(msgspec.json.encode(status).decode())
    else:
        print(describe(status, datetime.now(UTC)))
    return _OK if status.is_well else _WRONG


def _pair(arguments: argparse.Namespace) -> int:
    directory = arguments.state or load(os.environ, arguments.settings).state
    pairing.ask(directory, arguments.minutes)
    print(f"Devices may pair with this gateway for {arguments.minutes} minutes from now.")
    return _OK


def _run(settings: Settings) -> int:
    set_up_logs(settings.log_level)
    with _opened(settings.state) as (database, salvaged):
        try:
            asyncio.run(_serve(settings, database, salvaged))
        except ExceptionGroup:
            logger.exception("gateway failed")
            return _FAILED
    return _OK


@contextmanager
def _opened(directory: Path) -> Generator[tuple[Database, Salvaged | None]]:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError(f"a gateway is running on {directory}") from error
        reserve = Reserve(directory)
        try:
            database, salvaged = open_repaired(directory, _now())
        except (sqlite3.Error, OSError) as error:
            if not (is_full(error) and reserve.release()):
                raise
            database, salvaged = open_repaired(directory, _now())
        try:
            yield database, salvaged
        finally:
            database.close()
            reserve.take()


async def _serve(settings: Settings, database: Database, salvaged: Salvaged | None) -> None:
    stop = _stopped_by_signals()
    software = f"hemvital {version('hemvital')}"
    gateway = Gateway(settings, database, salvaged, now=_now, software=software)
    with _health(settings, gateway.metrics, gateway.problems):
        await gateway.run(stop)


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


@contextmanager
def _health(
    settings: Settings, metrics: Metrics, problems: Callable[[], Iterable[str]]
) -> Generator[None]:
    server = HealthServer(settings.http_host, settings.http_port, metrics, problems)
    server.start()
    logger.info("gateway started", extra={"gateway_id": settings.id, "http_port": server.port})
    try:
        yield
    finally:
        server.stop()


def _now() -> datetime:
    return datetime.now(UTC)
