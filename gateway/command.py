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
from device_adapters.contract.configuration import GatewayConfiguration
from device_adapters.contract.standing import GatewayStatus, Happening
from gateway.ble.agent import PairingWindow
from gateway.ble.radio import Radio
from gateway.ble.visit import Visitor
from gateway.clock import SystemClock, boot_id
from gateway.configuration import Configuring
from gateway.decoding import Decoder
from gateway.forwarding import Forwarder
from gateway.observability import HealthServer, Metrics, set_up_logs
from gateway.publisher import MqttPublisher
from gateway.service import Decoding, Upkeep, serve
from gateway.settings import Settings, SettingsError, load
from gateway.standing import Standing
from gateway.status import describe, read_status
from gateway.store import clock as trust
from gateway.store.database import Database, DatabaseError, open_database
from gateway.store.events import Events
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox
from gateway.supervisor import Vigil, kept_alive, supervised
from gateway.telling import Parts, Telling
from gateway.timekeeping import Timekeeping
from gateway.watching import Watch, limits

logger = logging.getLogger(__name__)

_OK: Final = 0
_FAILED: Final = 1
_USAGE: Final = 2
_WRONG: Final = 3
_GOODBYE_S: Final = 3.0
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
    status = commands.add_parser("status", help="say how this gateway stands")
    for command in (run, status):
        command.add_argument("--settings", type=Path, metavar="FILE", help="settings, TOML")
    status.add_argument("--state", type=Path, metavar="DIR", help="the state directory")
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
    stop = _stopped_by_signals()
    clock = SystemClock(
        settings.clock, file=settings.clock_file, trusted=trust.read(database, boot_id())
    )
    metrics, adapters = Metrics(), registry.load()
    journal, outbox = Journal(database, clock), Outbox(database, now=_now)
    journal.settle_all()
    events = Events(database)
    standing = Standing(database, clock, events)
    publisher = MqttPublisher(settings)
    decoder = Decoder(database, journal, outbox, adapters, settings.zone)
    window = PairingWindow(
        settings.devices, open_s=settings.pairing_window_s, monotonic_s=time.monotonic
    )

    def configure(payload: bytes) -> None:
        configuring.take(payload)
        telling.soon()

    forwarder = Forwarder(
        outbox,
        publisher,
        metrics,
        now=_now,
        monotonic_ns=time.monotonic_ns,
        max_records=settings.records_per_message,
        configure=configure,
    )
    timekeeping = Timekeeping(database, clock, decoder)
    decoding = Decoding(decoder, clock, forwarder, metrics, timekeeping.keep)
    radio = Radio(
        Visitor(journal, adapters, clock, metrics, decoding.wake),
        adapters,
        window,
        metrics,
        devices=settings.devices,
        cool_down_s=settings.cool_down_s,
        adapter=settings.adapter,
    )

    def apply(configuration: GatewayConfiguration) -> None:
        decoder.rest_s = configuration.rest_s
        watch.limits = limits(configuration)

    configuring = Configuring(
        database,
        clock,
        standing,
        listening=radio,
        window=window,
        apply=apply,
        fallback=settings.devices,
        directory=settings.state,
    )
    watch = Watch(
        database,
        clock,
        standing,
        certificate=settings.broker_certificate,
        broker=settings.broker_host,
        devices=lambda: configuring.devices or (),
        standings=lambda: (),
        is_listening=lambda: radio.is_listening,
    )
    telling = Telling(
        database,
        clock,
        publisher,
        Parts(
            outbox=outbox,
            standing=standing,
            events=events,
            configuring=configuring,
            is_listening=lambda: radio.is_listening,
            devices=lambda: (),
            certificate=lambda: watch.certificate,
            pairing_left_s=lambda: window.left_s,
        ),
        directory=settings.state,
        software=f"hemvital {version('hemvital')}",
    )
    standing.tell(telling.soon)
    configuring.start()
    standing.note(Happening.STARTED)

    def look() -> None:
        watch.look()
        configuring.settle()
        publisher.renew()

    upkeep = Upkeep(outbox, clock, metrics, directory=settings.state, tell=telling.tell, look=look)

    def reconnected() -> None:
        forwarder.reconnected()
        watch.connected()
        telling.connected()

    def refused(problem: str) -> None:
        watch.refused(problem)
        telling.soon()

    metrics.is_broker_connected.set_function(lambda: publisher.is_connected)
    metrics.events_dropped.set_function(lambda: events.dropped)

    def problems() -> Iterable[str]:
        return _problems(radio, publisher)

    with _health(settings, metrics, problems):
        publisher.start(
            on_change=forwarder.wake,
            on_connected=reconnected,
            on_refused=refused,
            on_event=telling.event_answered,
        )
        vigil = Vigil(
            supervised(),
            directory=settings.state,
            progress=decoding.pulse,
            problems=problems,
        )
        try:
            async with kept_alive(vigil, stop):
                await serve(
                    radio, decoding, forwarder, upkeep, drain_s=settings.drain_s, stop=stop
                )
        finally:
            standing.note(Happening.STOPPED)
            publisher.publish_status(GatewayStatus(is_online=False, at=_now()))
            await publisher.stop(_GOODBYE_S)


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _problems(radio: Radio, publisher: MqttPublisher) -> Iterable[str]:
    if not radio.is_listening:
        yield "the radio does not listen"
    if not publisher.is_connected:
        yield f"the broker is not connected: {publisher.problem}"


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
