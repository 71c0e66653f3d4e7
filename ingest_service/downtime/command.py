"""The downtime list's program: write the lists, once or for ever."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg import AsyncConnection, IsolationLevel

from ingest_service import stopping
from ingest_service.downtime import files, reading
from ingest_service.downtime.files import SheetError, Written
from ingest_service.observability import Health, log_as_json, served
from ingest_service.settings import DowntimeSettings, SettingsError, load
from ingest_service.store import connections, incidents

logger = logging.getLogger(__name__)

_OK, _FAILED, _USAGE = 0, 1, 2
_AGAIN: Final = timedelta(minutes=1)  # after a failure


def main() -> int:
    """Write once or for ever; return the exit code: 0 done, 1 failed, 2 usage or settings."""
    parser = argparse.ArgumentParser(prog="hemvital-ingest downtime", description=__doc__)
    parser.add_argument("what", choices=["write", "run"])
    arguments = parser.parse_args()
    try:
        settings = load(DowntimeSettings, os.environ)
        return _write(settings) if arguments.what == "write" else _run(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return _USAGE
    except SheetError as error:
        print(error, file=sys.stderr)
        return _FAILED
    except (psycopg.Error, OSError) as error:
        # In one line; of a database error never its detail, which holds values.
        print(f"{type(error).__name__}: {error}".splitlines()[0], file=sys.stderr)
        return _FAILED


def _now() -> datetime:
    return datetime.now(UTC)


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


def _write(settings: DowntimeSettings) -> int:
    done = asyncio.run(write(settings, _now()))
    print(f"{done.patients} patients of {done.units} units in {settings.downtime_directory}")
    return _OK


def _run(settings: DowntimeSettings) -> int:
    log_as_json(settings.log_level)
    files.check(settings.downtime_directory)
    _zone(settings)
    asyncio.run(_keep(settings))
    return _OK


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


async def _keep(settings: DowntimeSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    registry = CollectorRegistry()
    registry.register(DowntimeMetrics(settings.downtime_directory))
    health = Health(lambda: None)
    with served(settings.http_host, settings.downtime_http_port, registry, health):
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(_refresh(settings, health))
            await stop.wait()  # no deadline: that is a service's life
            await stopping.end([keeping])


async def _refresh(settings: DowntimeSettings, health: Health) -> None:
    """Write now and then, and at once when an incident opens, for ever."""
    due = _now()
    async with aclosing(_told(settings)) as told:
        async for is_told in told:
            now = _now()
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
