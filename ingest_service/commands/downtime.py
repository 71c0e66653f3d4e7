"""``hemvital-ingest downtime``: keep a list of whom to phone in files, for when nothing works."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg import AsyncConnection, IsolationLevel

from ingest_service.commands.database import OK, Clock, Commands
from ingest_service.downtime import files, reading
from ingest_service.downtime.files import Written
from ingest_service.observability import Health, log_as_json, served
from ingest_service.settings import DowntimeSettings, SettingsError, load
from ingest_service.store import connections, incidents

logger = logging.getLogger(__name__)

_AGAIN: Final = timedelta(minutes=1)  # after a failure


def add(commands: Commands, clock: Clock) -> None:
    """Add ``downtime``."""
    about = "Keep a list of whom to phone, by risk, in files: what there is when all is down."
    parser = commands.add_parser("downtime", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="write|run")
    once = within.add_parser("write", help="Write the lists once.")
    once.set_defaults(run=partial(_write, clock))
    run = within.add_parser(
        "run", help="Write them every quarter of an hour and when an incident opens."
    )
    run.set_defaults(run=partial(_run, clock))


class DowntimeMetrics(Collector):
    """How old the lists are; nobody's name and no unit's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        """Return the metrics, from the files themselves; called in the thread of a scrape."""
        last = files.last(self._directory)
        # Zero where there is none: as old as can be.
        yield GaugeMetricFamily(
            "hemvital_downtime_list_written_timestamp_seconds",
            "When the downtime lists that lie there were written.",
            value=last.written_at.timestamp() if last else 0.0,
        )
        yield GaugeMetricFamily(
            "hemvital_downtime_list_patients",
            "How many patients they hold.",
            value=last.patients if last else 0,
        )


def _write(clock: Clock, _arguments: argparse.Namespace) -> int:
    settings = load(DowntimeSettings, os.environ)
    done = asyncio.run(write(settings, clock()))
    print(f"{done.patients} patients of {done.units} units in {settings.downtime_directory}")
    return OK


def _run(clock: Clock, _arguments: argparse.Namespace) -> int:
    settings = load(DowntimeSettings, os.environ)
    log_as_json(settings.log_level)
    files.check(settings.downtime_directory)
    _zone(settings)
    asyncio.run(_keep(settings, clock))
    return OK


async def write(settings: DowntimeSettings, now: datetime) -> Written:
    """Write every unit's list as of now.

    Raises:
        SheetError: If the directory is open to others.
        SettingsError: If there is no such time zone.
        psycopg.Error, OSError: Nothing is changed then: the older lists stay.
    """
    directory, zone = settings.downtime_directory, _zone(settings)
    files.check(directory)
    dsn = connections.bounded(settings.downtime_database, "hemvital-downtime")
    new = files.begin(directory, now)
    units = patients = 0
    async with await AsyncConnection.connect(dsn) as connection:
        # One view of things: a patient who moves meanwhile stands in one list and not in none.
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        async with aclosing(reading.lists(connection, now=now)) as lists:
            async for unit, listed in lists:
                files.write_unit(new, unit, listed, now=now, zone=zone)
                units, patients = units + 1, patients + len(listed)
    written = Written(written_at=now, units=units, patients=patients)
    files.finish(directory, new, written)
    return written


async def _keep(settings: DowntimeSettings, clock: Clock) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    registry = CollectorRegistry()
    registry.register(DowntimeMetrics(settings.downtime_directory))
    health = Health(lambda: None)
    with served(settings.http_host, settings.downtime_http_port, registry, health):
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(_refresh(settings, clock, health))
            await stop.wait()  # no deadline: that is a service's life
            keeping.cancel()


async def _refresh(settings: DowntimeSettings, clock: Clock, health: Health) -> None:
    """Write now and then, and at once when an incident opens, for ever."""
    due = clock()
    async with aclosing(_told(settings)) as told:
        async for is_told in told:
            now = clock()
            if not is_told and now < due:
                continue
            try:
                done = await write(settings, now)
            except (psycopg.Error, OSError) as error:
                # What lies there stays, and its age is told.
                health.database = f"downtime list: {type(error).__name__}"
                logger.warning(
                    "the downtime list stays as it was", extra={"error": type(error).__name__}
                )
                due = now + _AGAIN
                continue
            health.database = None
            due = now + timedelta(minutes=settings.downtime_every_min)
            logger.info("downtime list written", extra={"patients": done.patients})


def _told(settings: DowntimeSettings) -> AsyncGenerator[bool]:
    dsn = connections.bounded(settings.downtime_database, "hemvital-downtime-listen")
    return incidents.told(dsn)


def _zone(settings: DowntimeSettings) -> ZoneInfo:
    with suppress(ZoneInfoNotFoundError, ValueError):
        return ZoneInfo(settings.downtime_timezone)
    raise SettingsError(
        f"The setting HEMVITAL_INGEST_DOWNTIME_TIMEZONE is wrong: no time zone"
        f" {settings.downtime_timezone!r}."
    )
