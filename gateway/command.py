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
from gateway.ble.agent import PairingWindow
from gateway.ble.radio import Radio
from gateway.ble.visit import Visitor
from gateway.clock import SystemClock
from gateway.decoding import Decoder
from gateway.forwarding import Forwarder
from gateway.observability import HealthServer, Metrics, set_up_logs
from gateway.publisher import MqttPublisher
from gateway.reporting import LoggedReports, Reports
from gateway.service import Decoding, Upkeep, serve
from gateway.settings import Settings, SettingsError, load
from gateway.status import describe, read_status
from gateway.store import run
from gateway.store.database import Database, DatabaseError, is_full
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox
from gateway.store.room import Reserve, Room
from gateway.store.salvage import Salvaged, open_repaired

logger = logging.getLogger(__name__)

_OK: Final = 0
_FAILED: Final = 1
_USAGE: Final = 2
_GOODBYE_S: Final = 3.0


class AlreadyRunningError(Exception):
    """Another gateway uses the state directory."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 failed, 2 usage or settings."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "status":
            return _status(arguments)
        return _run(load(os.environ, arguments.settings))
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
    status = commands.add_parser("status", help="say what waits on this gateway, since when")
    for command in (run, status):
        command.add_argument("--settings", type=Path, metavar="FILE", help="settings, TOML")
    status.add_argument("--state", type=Path, metavar="DIR", help="the state directory")
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


def _tell_start(reports: Reports, *, is_unclean: bool, salvaged: Salvaged | None) -> None:
    if is_unclean:
        reports.note(Happening.STARTED_AFTER_UNCLEAN_STOP)
    else:
        reports.note(Happening.STARTED)
    if salvaged is not None:
        reports.note(Happening.JOURNAL_REPAIRED, detail=str(salvaged))
        reports.begin(Problem.JOURNAL_DAMAGED, detail=str(salvaged))
    else:
        reports.end(Problem.JOURNAL_DAMAGED)


async def _serve(settings: Settings, database: Database, salvaged: Salvaged | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    clock, metrics, adapters = SystemClock(settings.clock), Metrics(), registry.load()
    journal, outbox = Journal(database, clock), Outbox(database, now=_now)
    reports = LoggedReports()
    room = Room(database, outbox, reports, directory=settings.state, max_bytes=settings.max_bytes)
    is_unclean = run.begin(database, clock)
    _tell_start(reports, is_unclean=is_unclean or salvaged is not None, salvaged=salvaged)
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
    radio = Radio(
        Visitor(journal, adapters, clock, metrics, decoding.wake, may_go_on=lambda: room.has_room),
        adapters,
        PairingWindow(
            settings.devices, open_s=settings.pairing_window_s, monotonic_s=time.monotonic
        ),
        metrics,
        devices=settings.devices,
        cool_down_s=settings.cool_down_s,
        adapter=settings.adapter,
        may_visit=lambda: room.has_room,
    )
    upkeep = Upkeep(
        outbox,
        clock,
        metrics,
        directory=settings.state,
        tell=publisher.publish_status,
        software=f"hemvital {version('hemvital')}",
        room=room,
    )

    def reconnected() -> None:
        forwarder.reconnected()
        upkeep.tell_status()

    def problems() -> Iterable[str]:
        if not radio.is_listening:
            yield "the radio does not listen"
        if not room.has_room:
            yield "the disk is full: devices are left alone"
        if not publisher.is_connected:
            yield f"the broker is not connected: {publisher.problem}"

    metrics.is_broker_connected.set_function(lambda: publisher.is_connected)
    with _health(settings, metrics, problems):
        publisher.start(on_change=forwarder.wake, on_connected=reconnected)
        try:
            await serve(radio, decoding, forwarder, upkeep, drain_s=settings.drain_s, stop=stop)
            run.end(database, clock)
        finally:
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
