"""One, two and four workers on one backlog: what each reading costs, and waiting for locks."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from benchmarks import backends, load
from benchmarks.cost import Cost, measure_together
from benchmarks.databases import Database, fresh
from benchmarks.ingest import publisher
from benchmarks.population import Population, population
from deploy.local.platform import Platform
from deploy.local.programs import Program, Running
from deploy.local.state import State

COUNTS: Final = (1, 2, 4)
_ROLE: Final = "hemvital_ingest"
_ROUNDS: Final = 3
_UNITS, _GATEWAYS, _DEVICES_EACH = 10, 20, 200
_LOOK_S: Final = 0.05

# Of the same transactions that stored the readings, and a few rows whatever was stored.
_RECEIVED: Final = """
SELECT coalesce(sum(upper(run) - lower(run)), 0)::bigint
  FROM gateway_epoch CROSS JOIN unnest(received) AS run
"""
_STORED: Final = """
SELECT (SELECT count(*) FROM device_record),
       (SELECT count(*) FROM observation),
       (SELECT count(*) FROM delivery WHERE outcome = 'stored'),
       (SELECT count(*) FROM delivery WHERE outcome = 'duplicate'),
       (SELECT count(*) FROM quarantine)
"""


class CountError(Exception):
    """Something was lost or doubled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """So many workers on one backlog: the round whose CPU is the median.

    ``backend_cpu_s`` is that of the workers' own sessions in PostgreSQL. ``lock_wait_s`` is summed
    over sessions, ``waits`` what else they waited for.
    """

    workers: int
    cost: Cost
    backend_cpu_s: float
    lock_wait_s: float
    waits: Mapping[str, float]

    @property
    def backend_us_per_delivery(self) -> float:
        """Microseconds of the sessions' CPU for one delivery."""
        return self.backend_cpu_s / self.cost.readings * 1e6

    @property
    def lock_share(self) -> float:
        """How much of the workers' time went by waiting for locks."""
        return self.lock_wait_s / (self.workers * self.cost.wall_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One way for patients to meet."""

    name: str
    deliveries: int
    readings: int
    drained: Sequence[Drained]
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)

    def cpu_ratio(self, drained: Drained) -> float:
        """CPU of workers and sessions for one delivery ÷ the same with the fewest workers."""
        first = self.drained[0]
        return (drained.cost.cpu_s + drained.backend_cpu_s) / (
            first.cost.cpu_s + first.backend_cpu_s
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Which devices each gateway brings, and how many of the deliveries are new readings."""

    name: str
    devices: Mapping[str, Sequence[str]]
    gateways_of_a_home: int


def run(platform: Platform, state: State, *, messages: int, newest: datetime) -> list[Result]:
    """Drain backlogs of so many messages, of one reading each.

    Raises:
        CountError: If a reading is lost or doubled.
    """
    region = population(units=_UNITS, gateways=_GATEWAYS, devices_each=_DEVICES_EACH, probes=0)
    with fresh(platform.services, "hemvital_workers", region.registration) as database:
        bench = _Bench(platform, state, database, newest)
        return [bench.run(way, messages) for way in _ways(region)]


def _ways(region: Population) -> list[_Way]:
    names = list(region.devices)
    half = len(names) // 2
    shared = {name: region.devices[names[place % half]][: _DEVICES_EACH // 4]
              for place, name in enumerate(names)}  # fmt: skip
    return [
        _Way(name="every reading another patient's", devices=region.devices, gateways_of_a_home=1),
        _Way(
            name="every reading over both gateways of its home",
            devices=shared,
            gateways_of_a_home=2,
        ),
    ]


class _Bench:
    def __init__(
        self, platform: Platform, state: State, database: Database, newest: datetime
    ) -> None:
        self._platform = platform
        self._state = state
        self._database = database
        self._newest = newest
        self._fills = 0
        self._expected = {"readings": 0, "deliveries": 0}

    def run(self, way: _Way, messages: int) -> Result:
        rounds: dict[int, list[Drained]] = {count: [] for count in COUNTS}
        for number in range(_ROUNDS):
            for count in COUNTS:
                print(f"  {way.name}: {count} worker(s), round {number + 1}", flush=True)
                rounds[count].append(self._drain(way, count, messages))
        return Result(
            name=way.name,
            deliveries=messages,
            readings=messages // way.gateways_of_a_home,
            drained=[_median(each) for each in rounds.values()],
        )

    def _drain(self, way: _Way, count: int, messages: int) -> Drained:
        services = self._platform.services
        postmaster = services.database.server.process
        if postmaster is None:
            raise services.database.server.error("does not run")
        with ExitStack() as stack:
            running = [self._started(stack, number) for number in range(1, count + 1)]
            owner = stack.enter_context(psycopg.connect(self._database.dsn(), autocommit=True))
            waits = stack.enter_context(
                backends.watched(services.database.dsn(_ROLE), self._database.name)
            )
            wanted = _number(owner, _RECEIVED) + messages
            before = backends.used_s(postmaster.pid, _ROLE, self._database.name)
            cost = measure_together(
                running,
                lambda: self._fill(way, messages),
                lambda: _number(owner, _RECEIVED) >= wanted,
                messages=messages,
                readings=messages,
                look_s=_LOOK_S,
            )
            used_s = backends.used_s(postmaster.pid, _ROLE, self._database.name) - before
            self._expected["deliveries"] += messages
            self._expected["readings"] += messages // way.gateways_of_a_home
            self._check(owner)
        return Drained(
            workers=count,
            cost=cost,
            backend_cpu_s=used_s,
            lock_wait_s=waits.lock_s,
            waits=dict(waits.seconds),
        )

    def _started(self, stack: ExitStack, number: int) -> Running:
        environments = self._platform.environments
        name = f"bench-ingest-{number}"
        program = Program(
            name=name,
            command=["hemvital-ingest", "run"],
            environment={
                **environments.ingest(),
                "HEMVITAL_INGEST_DATABASE": self._database.dsn(_ROLE),
                "HEMVITAL_INGEST_CLIENT_ID": f"ingest-{number}",
                "HEMVITAL_INGEST_HTTP_PORT": str(environments.port(f"{name}-monitoring")),
                # Without a session that outlives it, or the broker would keep a share for it.
                "HEMVITAL_INGEST_SESSION_EXPIRY_S": "0",
            },
            ready_url=f"{environments.monitoring(name)}/readyz",
        )
        running = Running(program, self._state.log)
        stack.callback(running.stop)
        running.start()
        running.wait_ready()
        return running

    def _fill(self, way: _Way, messages: int) -> None:
        """Publish as all gateways at once, and wait until the broker has everything."""
        self._fills += 1
        homes = len(way.devices) // way.gateways_of_a_home
        threads = [
            threading.Thread(
                target=self._publish,
                args=(gateway_id, devices, messages // len(way.devices), place % homes),
            )
            for place, (gateway_id, devices) in enumerate(way.devices.items())
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _publish(self, gateway_id: str, devices: Sequence[str], count: int, home: int) -> None:
        newest = self._newest - timedelta(days=self._fills)  # no record twice
        # The gateways of a home hear the same: the same seed makes the same records.
        outgoing = load.messages(
            gateway_id,
            devices,
            count=count,
            readings_each=1,
            when=lambda number: newest - timedelta(seconds=10 * number),
            seed=1000 * self._fills + home,
        )
        connection = publisher(self._platform, gateway_id)
        for each in outgoing:
            connection.publish(each)
        connection.close()

    def _check(self, owner: psycopg.Connection) -> None:
        readings, deliveries = self._expected["readings"], self._expected["deliveries"]
        row = owner.execute(_STORED).fetchone()
        wanted = (readings, 2 * readings, readings, deliveries - readings, 0)
        if row != wanted:
            names = "records, observations, numbers stored, duplicates, quarantined"
            raise CountError(f"{names}: {row} and not {wanted}")


def _median(drained: Sequence[Drained]) -> Drained:
    return sorted(drained, key=lambda each: each.cost.cpu_s)[len(drained) // 2]


def _number(connection: psycopg.Connection, query: str) -> int:
    row: tuple[Any, ...] | None = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0
