"""``hemvital-gateway``: run the gateway, or ask what waits on it."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from device_adapters import registry
from device_adapters.contract.standing import GatewayStatus, Happening, Problem
from gateway import pairing
from gateway.battery import Batteries
from gateway.ble.radio import Radio
from gateway.ble.visit import Visitor
from gateway.ble.window import PairingWindow
from gateway.clock import SystemClock
from gateway.decoding import Decoder
from gateway.forwarding import Forwarder
from gateway.observability import HealthServer, Metrics, set_up_logs
from gateway.publisher import MqttPublisher
from gateway.service import Decoding, Upkeep, serve
from gateway.settings import Settings, SettingsError, load
from gateway.status import describe, read_status
from gateway.store.database import Database, DatabaseError, open_database
from gateway.store.devices import DeviceBook
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox

logger = logging.getLogger(__name__)

_OK: Final = 0
_FAILED: Final = 1
_USAGE: Final = 2
_GOODBYE_S: Final = 3.0


class _Logged:
    """Reports that go to the log."""

    def begin(
        self, problem: Problem, *, device_id: str | None = None, detail: str | None = None
    ) -> None:
        logger.warning("began", extra={"what": problem, "device": device_id, "detail": detail})

    def end(self, problem: Problem, *, device_id: str | None = None) -> None:
        logger.debug("ended", extra={"what": problem, "device": device_id})

    def note(
        self, happening: Happening, *, device_id: str | None = None, detail: str | None = None
    ) -> None:
        logger.info("happened", extra={"what": happening, "device": device_id, "detail": detail})


class AlreadyRunningError(Exception):
    """Another gateway uses the state directory."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 failed, 2 usage or settings."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "status":
            return _status(arguments)
        if arguments.command == "pair":
            return _pair(arguments)
        return _run(load(os.environ, arguments.settings))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return _USAGE
    except pairing.PairingError as error:
        print(error, file=sys.stderr)
        return _FAILED
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
    status = commands.add_parser("status", help="say what waits on this gateway, since when")
    pair = commands.add_parser("pair", help="let new devices pair with the gateway for a while")
    for command in (run, status, pair):
        command.add_argument("--settings", type=Path, metavar="FILE", help="settings, TOML")
    for command in (status, pair):
        command.add_argument("--state", type=Path, metavar="DIR", help="the state directory")
    pair.add_argument("--minutes", type=int, default=10, metavar="N", help="at most 30; 10")
    status.add_argument("--json", action="store_true", help="for programs")
    return parser


def _status(arguments: argparse.Namespace) -> int:
    directory = arguments.state or load(os.environ, arguments.settings).state
    status = read_status(directory)
    if arguments.json:
        print(msgspec.json.encode(status).decode())
    else:
        print(describe(status, datetime.now(UTC)))
    return _OK


def _pair(arguments: argparse.Namespace) -> int:
    directory = arguments.state or load(os.environ, arguments.settings).state
    pairing.ask(directory, arguments.minutes)
    print(f"Devices may pair with this gateway for {arguments.minutes} minutes from now.")
    return _OK


def _run(settings: Settings) -> int:
    set_up_logs(settings.log_level)
    with _opened(settings.state) as database:
        try:
            asyncio.run(_serve(settings, database))
        except ExceptionGroup:
            logger.exception("gateway failed")
            return _FAILED
    return _OK


@contextmanager
def _opened(directory: Path) -> Generator[Database]:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError(f"a gateway is running on {directory}") from error
        database = open_database(directory, _now())
        try:
            yield database
        finally:
            database.close()


async def _serve(settings: Settings, database: Database) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    clock, metrics, adapters = SystemClock(settings.clock), Metrics(), registry.load()
    journal, outbox = Journal(database, clock), Outbox(database, now=_now)
    journal.settle_all()
    publisher = MqttPublisher(settings)
    forwarder = Forwarder(
        outbox,
        publisher,
        metrics,
        now=_now,
        monotonic_ns=time.monotonic_ns,
        max_records=settings.records_per_message,
    )
    decoder = Decoder(database, journal, outbox, adapters, settings.zone)
    decoding = Decoding(decoder, clock, forwarder, metrics)
    reports, book = _Logged(), DeviceBook(database, _now)
    batteries = Batteries(book, reports, lambda: 20)
    window = PairingWindow(
        reports,
        monotonic_s=time.monotonic,
        asked_s=pairing.PairingRequests(settings.state).take_s,
    )
    radio = Radio(
        Visitor(journal, adapters, clock, metrics, decoding.wake, on_battery=batteries.seen),
        adapters,
        window,
        metrics,
        reports=reports,
        book=book,
        devices=settings.devices,
        cool_down_s=settings.cool_down_s,
        adapter=settings.adapter,
    )
    upkeep = Upkeep(
        outbox,
        clock,
        metrics,
        directory=settings.state,
        tell=publisher.publish_status,
        software=f"hemvital {version('hemvital')}",
    )

    def reconnected() -> None:
        forwarder.reconnected()
        upkeep.tell_status()

    def problems() -> Iterable[str]:
        if not radio.is_listening:
            yield "the radio does not listen"
        if not publisher.is_connected:
            yield f"the broker is not connected: {publisher.problem}"

    metrics.is_broker_connected.set_function(lambda: publisher.is_connected)
    with _health(settings, metrics, problems):
        publisher.start(on_change=forwarder.wake, on_connected=reconnected)
        try:
            await serve(radio, decoding, forwarder, upkeep, drain_s=settings.drain_s, stop=stop)
        finally:
            book.flush()
            publisher.publish_status(GatewayStatus(is_online=False, at=_now()))
            await publisher.stop(_GOODBYE_S)


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
