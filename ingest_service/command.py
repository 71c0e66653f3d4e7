"""``hemvital-ingest``: run a worker or the jobs, migrate, register, look into the quarantine."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg
from prometheus_client import CollectorRegistry, Gauge
from psycopg import AsyncConnection

from ingest_service import registration
from ingest_service.jobs import service as jobs
from ingest_service.jobs.downlink import Downlink
from ingest_service.observability import Health, Metrics, log_as_json, served
from ingest_service.registration import RegistrationError
from ingest_service.settings import (
    JobsSettings,
    OwnerSettings,
    ReaderSettings,
    SettingsError,
    WorkerSettings,
    load,
)
from ingest_service.store import alerts, connections, incarnation, migration, quarantine, records
from ingest_service.store.connections import Connection
from ingest_service.subscriber.broker import Broker, BrokerAddress
from ingest_service.subscriber.inbox import Inbox
from ingest_service.subscriber.service import Worker

logger = logging.getLogger(__name__)

_OK: Final = 0
_FAILED: Final = 1
_USAGE: Final = 2
_JOBS_DRAIN_S: Final = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 usage or settings."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return _USAGE
    except (RegistrationError, OSError, psycopg.Error) as error:
        print(_sentence(error), file=sys.stderr)
        return _FAILED


def _sentence(error: Exception) -> str:
    """Return an error in one line; of a database error never its detail, which holds values."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return f"{type(error).__name__}: {error.diag.message_primary}"
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hemvital-ingest", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, run: Callable[[argparse.Namespace], int], about: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about)
        command.set_defaults(run=run)
        return command

    add("run", _run, "Run one ingest worker until it is told to stop.")
    add("jobs", _jobs, "Run what time demands until it is told to stop.")
    add("migrate", _migrate, "Bring the database to the current schema.")
    add("restored", _restored, "Say that the database was restored: gateways send again.")
    register = add("register", _register, "Write who and what is known from a JSON document.")
    register.add_argument("file", type=Path)
    export = add("export", _export, "Print stored readings, one JSON object a line.")
    export.add_argument("what", choices=["readings"])
    listing = add("quarantine", _quarantine_list, "Look at what waits in the quarantine.")
    within = listing.add_subparsers(required=True, metavar="list|show|reject")
    one = within.add_parser("list", help="What waits, oldest first.")
    one.add_argument("--all", action="store_true", help="also what waits no longer")
    one.add_argument("--json", action="store_true", help="one JSON object a line")
    one.set_defaults(run=_quarantine_list)
    show = within.add_parser("show", help="The bytes of one entry, as they came.")
    show.add_argument("id", type=int)
    show.set_defaults(run=_quarantine_show)
    reject = within.add_parser("reject", help="Decide that an entry is in nobody's record.")
    reject.add_argument("id", type=int)
    reject.add_argument("--by", required=True, help="who decided, as it will be kept")
    reject.set_defaults(run=_quarantine_reject)
    return parser


def _now() -> datetime:
    return datetime.now(UTC)


def _address(settings: WorkerSettings | JobsSettings, name: str) -> BrokerAddress:
    return BrokerAddress(
        host=settings.broker_host,
        port=settings.broker_port,
        authority=settings.broker_authority,
        certificate=settings.broker_certificate,
        key=settings.broker_key,
        name=name,
    )


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _run(_arguments: argparse.Namespace) -> int:
    settings = load(WorkerSettings, os.environ)
    log_as_json(settings.log_level)
    asyncio.run(_work(settings))
    return _OK


async def _work(settings: WorkerSettings) -> None:
    stop = _stop_signal()
    inbox = Inbox(asyncio.get_running_loop())
    broker = Broker(
        _address(settings, settings.client_id),
        inbox,
        receive_maximum=settings.receive_maximum,
        session_expiry_s=settings.session_expiry_s,
        clock=_now,
    )
    health = Health(lambda: broker.trouble)
    metrics = Metrics()
    pool = connections.pool(settings.database, name="hemvital-ingest", size=2)
    async with pool:
        with served(settings.http_host, settings.http_port, metrics.registry, health):
            worker = Worker(
                pool,
                inbox,
                broker,
                metrics=metrics,
                health=health,
                clock=_now,
                batch_messages=settings.batch_messages,
            )
            broker.start()
            try:
                await worker.serve(stop, drain_s=settings.drain_s)
            finally:
                broker.stop()


def _jobs(_arguments: argparse.Namespace) -> int:
    settings = load(JobsSettings, os.environ)
    log_as_json(settings.log_level)
    asyncio.run(_keep_time(settings))
    return _OK


async def _keep_time(settings: JobsSettings) -> None:
    stop = _stop_signal()
    downlink = Downlink(_address(settings, settings.jobs_client_id))
    health = Health(lambda: downlink.trouble)
    registry = CollectorRegistry()
    connected = Gauge(
        "hemvital_jobs_ready", "Whether the jobs can do their work.", registry=registry
    )
    connected.set_function(lambda: health.trouble() is None)
    async with connections.pool(settings.jobs_database, name="hemvital-jobs", size=2) as pool:
        app = jobs.app_of(
            settings.jobs_database, pool, downlink, clock=_now, hole_age_s=settings.hole_age_s
        )
        with served(settings.http_host, settings.jobs_http_port, registry, health):
            downlink.start()
            try:
                await jobs.serve(app, pool, health, stop, drain_s=_JOBS_DRAIN_S)
            finally:
                downlink.stop()


def _migrate(_arguments: argparse.Namespace) -> int:
    count = migration.apply(load(OwnerSettings, os.environ).owner_database)
    print(f"{count} migration(s) applied" if count else "the schema is current")
    return _OK


def _restored(_arguments: argparse.Namespace) -> int:
    async def renew(connection: Connection) -> None:
        print(f"the database is now {await incarnation.renew(connection)}")

    return _with_database(load(OwnerSettings, os.environ).owner_database, renew)


def _register(arguments: argparse.Namespace) -> int:
    document = registration.read(arguments.file)

    async def write(connection: Connection) -> None:
        await registration.register(connection, document)

    return _with_database(load(OwnerSettings, os.environ).owner_database, write)


def _export(_arguments: argparse.Namespace) -> int:
    async def export(connection: Connection) -> None:
        async for row in records.export(connection):
            print(json.dumps(asdict(row), default=_plain))

    return _with_database(load(ReaderSettings, os.environ).database, export)


def _quarantine_list(arguments: argparse.Namespace) -> int:
    async def show(connection: Connection) -> None:
        after = 0
        while page := await quarantine.page(connection, after=after, is_all=arguments.all):
            for entry in page:
                if arguments.json:
                    print(json.dumps(asdict(entry), default=_plain))
                else:
                    at = f"{entry.received_at:%Y-%m-%d %H:%M:%S}Z"
                    number = entry.number or "-"
                    print(f"{entry.id:>8}  {at}  {entry.gateway_id}  {number}  ", end="")
                    priority = f"{entry.priority}  ".upper() if entry.priority else ""
                    print(f"{priority}{entry.reason}: {entry.detail}")
            after = page[-1].id

    return _with_database(load(ReaderSettings, os.environ).database, show)


def _quarantine_show(arguments: argparse.Namespace) -> int:
    found: list[bytes] = []

    async def show(connection: Connection) -> None:
        if (payload := await quarantine.payload(connection, arguments.id)) is not None:
            found.append(payload)

    _with_database(load(ReaderSettings, os.environ).database, show)
    if not found:
        print(f"The quarantine has no entry {arguments.id}.", file=sys.stderr)
        return _FAILED
    sys.stdout.buffer.write(found[0])
    sys.stdout.buffer.flush()
    return _OK


def _quarantine_reject(arguments: argparse.Namespace) -> int:
    found: list[UUID | None] = []

    async def reject(connection: Connection) -> None:
        if entry := await quarantine.reject(connection, arguments.id, by=arguments.by):
            found.append(entry[1])
            await alerts.notify_pages(connection, {unit for unit in found if unit})

    _with_database(load(ReaderSettings, os.environ).database, reject)
    if not found:
        print(f"No entry {arguments.id} waits in the quarantine.", file=sys.stderr)
        return _FAILED
    return _OK


def _with_database(dsn: str, work: Callable[[Connection], Awaitable[None]]) -> int:
    async def run() -> None:
        async with _connection(dsn) as connection:
            await work(connection)

    asyncio.run(run())
    return _OK


@asynccontextmanager
async def _connection(dsn: str) -> AsyncGenerator[Connection]:
    # No time-outs here: an export may take as long as it takes. Left without error it commits.
    async with await AsyncConnection.connect(dsn, connect_timeout=5) as connection:
        yield connection


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


if __name__ == "__main__":
    sys.exit(main())
