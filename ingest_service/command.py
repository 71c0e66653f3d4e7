"""``hemvital-ingest``: run a worker or the jobs, migrate, register, look into the quarantine."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from typing import Final

import psycopg
from prometheus_client import CollectorRegistry, Gauge

from ingest_service import registration
from ingest_service.admission.decisions import DecisionError
from ingest_service.admission.planning import PlanningError
from ingest_service.commands import (
    backups,
    canary,
    channels,
    destroy,
    downtime,
    export,
    forget_raw,
    gateways,
    hold,
    plans,
    quarantine,
    readings,
    receivers,
    rejudge,
    release,
)
from ingest_service.commands.database import FAILED, OK, USAGE, as_owner
from ingest_service.commands.release import address_of
from ingest_service.configuring import ConfigurationError
from ingest_service.destruction import DestructionError
from ingest_service.jobs import clock, notifications
from ingest_service.jobs import service as jobs
from ingest_service.jobs.backlog import BacklogMetrics
from ingest_service.jobs.canary import CanaryMetrics
from ingest_service.jobs.clock import ClockMetrics
from ingest_service.jobs.configurations import keep_configured
from ingest_service.jobs.downlink import Downlink
from ingest_service.jobs.gateways import GatewayMetrics
from ingest_service.jobs.listening import ListeningMetrics, listen, note_listening
from ingest_service.jobs.mailbox import Mailbox
from ingest_service.jobs.notification_metrics import NotificationMetrics
from ingest_service.jobs.outage import IncidentMetrics
from ingest_service.jobs.uplink import Uplink
from ingest_service.notifying import assembly
from ingest_service.notifying.delivering import Courier
from ingest_service.observability import Health, Metrics, log_as_json, served
from ingest_service.outage import rules as outage_rules
from ingest_service.outage.rules import DEFAULT, OutageRules, RulesError
from ingest_service.plans.reading import PlanError
from ingest_service.plans.templates.template import TemplateError
from ingest_service.registration import RegistrationError
from ingest_service.settings import (
    ClockSettings,
    JobsSettings,
    OwnerSettings,
    SettingsError,
    WorkerSettings,
    load,
)
from ingest_service.store import connections, incarnation, migration
from ingest_service.store.connections import Connection
from ingest_service.store.text_dictionaries import DictionaryError
from ingest_service.subscriber.broker import Broker
from ingest_service.subscriber.inbox import Inbox
from ingest_service.subscriber.service import Worker
from ingest_service.wording import catalogue

logger = logging.getLogger(__name__)

_JOBS_DRAIN_S: Final = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 usage or settings."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return USAGE
    except (
        ConfigurationError,
        DecisionError,
        DestructionError,
        PlanningError,
        PlanError,
        RulesError,
        TemplateError,
    ) as error:
        print(error, file=sys.stderr)
        return FAILED
    except (RegistrationError, DictionaryError, OSError, psycopg.Error) as error:
        print(_sentence(error), file=sys.stderr)
        return FAILED


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
    add("clock", _clock, "Judge patients as time passes, until it is told to stop.")
    add(
        "migrate",
        _migrate,
        "Bring the database to the current schema; where TimescaleDB is the licensed edition, also"
        " let observations older than a year lie in its columnstore.",
    )
    add("restored", _restored, "Say that the database was restored: gateways send again.")
    register = add("register", _register, "Write who and what is known from a JSON document.")
    register.add_argument("file", type=Path)
    for command in (rejudge, release, downtime):
        command.add(commands)
    for timed in (
        *(export, channels, quarantine, readings, receivers, gateways, hold, plans, backups),
        *(destroy, forget_raw, canary),
    ):
        timed.add(commands, _now)
    return parser


def _now() -> datetime:
    return datetime.now(UTC)


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
    return OK


async def _work(settings: WorkerSettings) -> None:
    # A batch holds hundreds of thousands of objects, and hardly any of them in a circle: looking
    # for circles every 700 objects, as is the default, cost an eighth of the worker's time. The
    # worker looks between batches instead.
    gc.freeze()
    gc.set_threshold(1_000_000, 10, 10)
    stop = _stop_signal()
    inbox = Inbox(asyncio.get_running_loop())
    broker = Broker(
        address_of(settings, settings.client_id),
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
    rules = outage_rules.read(settings.outage_rules) if settings.outage_rules else DEFAULT
    asyncio.run(_keep_time(settings, rules))
    return OK


async def _keep_time(settings: JobsSettings, outages: OutageRules) -> None:
    stop = _stop_signal()
    downlink = Downlink(address_of(settings, settings.jobs_client_id))
    registry = CollectorRegistry()
    heard = ListeningMetrics(registry)
    mailbox = Mailbox(asyncio.get_running_loop(), heard.drop)
    uplink = Uplink(address_of(settings, f"{settings.jobs_client_id}.uplink"), mailbox.put, _now)
    health = Health(lambda: downlink.trouble or uplink.trouble)
    connected = Gauge(
        "hemvital_jobs_ready", "Whether the jobs can do their work.", registry=registry
    )
    connected.set_function(lambda: health.trouble() is None)
    backlog = BacklogMetrics(_now)
    registry.register(backlog)
    standing = GatewayMetrics(_now)
    registry.register(standing)
    passes = CanaryMetrics(_now)
    registry.register(passes)
    telling = NotificationMetrics(registry, _now)
    senders = assembly.senders(settings)
    standing_incidents = IncidentMetrics(_now)
    registry.register(standing_incidents)
    async with connections.pool(settings.jobs_database, name="hemvital-jobs", size=4) as pool:
        app = jobs.app_of(
            settings.jobs_database,
            pool,
            downlink,
            clock=_now,
            hole_age_s=settings.hole_age_s,
            outage_rules=outages,
        )
        courier = Courier(
            pool=pool,
            senders=senders,
            catalogues=catalogue.load(),
            link=settings.worklist_url,
            counting=telling,
            clock=_now,
            chance=SystemRandom().random,
        )
        notifications.add(app, courier)
        with served(settings.http_host, settings.jobs_http_port, registry, health):
            downlink.start()
            uplink.start()
            beside = (
                backlog.keep_fresh(pool),
                standing.keep_fresh(pool),
                passes.keep_fresh(pool),
                standing_incidents.keep_fresh(pool),
                listen(pool, mailbox, uplink, heard),
                note_listening(pool, uplink, _now),
                keep_configured(pool, downlink, _now),
                telling.keep_fresh(pool),
                notifications.keep_telling(app, pool, telling, _now),
            )
            try:
                await jobs.serve(app, pool, health, beside, stop, drain_s=_JOBS_DRAIN_S)
            finally:
                uplink.stop()
                downlink.stop()


def _clock(_arguments: argparse.Namespace) -> int:
    settings = load(ClockSettings, os.environ)
    log_as_json(settings.log_level)
    asyncio.run(_let_time_pass(settings))
    return OK


async def _let_time_pass(settings: ClockSettings) -> None:
    stop = _stop_signal()
    registry = CollectorRegistry()
    metrics = ClockMetrics()
    registry.register(metrics)
    health = Health(lambda: None)
    async with connections.pool(settings.database, name="hemvital-clock", size=2) as pool:
        app = clock.app_of(settings.jobs_database, pool, metrics, now=_now)
        with served(settings.http_host, settings.clock_http_port, registry, health):
            await jobs.serve(
                app, pool, health, (), stop, queues={clock.QUEUE: 1}, drain_s=_JOBS_DRAIN_S
            )


def _migrate(_arguments: argparse.Namespace) -> int:
    count = migration.apply(load(OwnerSettings, os.environ).owner_database)
    print(f"{count} migration(s) applied" if count else "the schema is current")
    return OK


def _restored(_arguments: argparse.Namespace) -> int:
    async def renew(connection: Connection) -> None:
        print(f"the database is now {await incarnation.renew(connection)}")

    as_owner(renew)
    return OK


def _register(arguments: argparse.Namespace) -> int:
    document = registration.read(arguments.file)

    async def write(connection: Connection) -> None:
        await registration.register(connection, document, now=_now())

    as_owner(write)
    return OK


if __name__ == "__main__":
    sys.exit(main())
