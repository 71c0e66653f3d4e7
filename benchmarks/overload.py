"""More readings than a worker can store: the broker's queue grows, the worker's memory does not.

Twice: with a database that takes its time, where the worker waits with a full queue, and with one
as fast as it is, where the worker computes all the time. In both, gateways publish faster than
readings are stored, and flow control (receive maximum) leaves the rest with the broker.
"""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, LiteralString
from urllib.request import urlopen

import psutil
import psycopg

from benchmarks import load
from benchmarks.databases import Database, fresh
from benchmarks.ingest import publisher
from benchmarks.population import Population, population
from deploy.local.platform import Platform
from deploy.local.programs import Program, Running
from deploy.local.services import BROKER
from deploy.local.state import State

AIM: Final = 1.05
RECEIVE_MAXIMUM: Final = 512
_ROLE: Final = "hemvital_ingest"
_UNITS, _GATEWAYS, _DEVICES_EACH = 10, 20, 25
_WARM_UP_S: Final = 10.0
_SAMPLE_S: Final = 0.5
_MIB: Final = 1024 * 1024
_QUEUED: Final = re.compile(r"^hemvital_ingest_queued_messages (\S+)$", re.MULTILINE)

_STORED: Final = "SELECT count(*) FROM device_record"
# Half a second for each batch: the worker waits for its database with a full queue behind it.
_SLOW: Final[LiteralString] = """
CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
CREATE TRIGGER slow AFTER INSERT ON delivery FOR EACH STATEMENT EXECUTE FUNCTION take_time();
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One overload; ``rss_mib`` is the worker's memory each half second after the warm-up."""

    name: str
    lasting_s: float
    warm_up_s: float
    offered_per_s: float
    stored_per_s: float
    rss_mib: Sequence[float]
    most_queued: int
    receive_maximum: int
    held_messages: int
    broker_grew_mib: float

    @property
    def median_mib(self) -> float:
        """The worker's resident memory, the middle sample."""
        return statistics.median(self.rss_mib)

    @property
    def most_over_median(self) -> float:
        """The largest sample ÷ the middle one."""
        return max(self.rss_mib) / self.median_mib

    @property
    def slope_kib_per_min(self) -> float:
        """How fast the memory grows, by least squares over the samples."""
        return _slope(self.rss_mib)

    @property
    def late_slope_kib_per_min(self) -> float:
        """The same over the second half: steps of the interpreter's arenas come before it."""
        return _slope(self.rss_mib[len(self.rss_mib) // 2 :])


def _slope(rss_mib: Sequence[float]) -> float:
    minutes = [number * _SAMPLE_S / 60 for number in range(len(rss_mib))]
    return statistics.linear_regression(minutes, rss_mib).slope * 1024


class NoOverloadError(Exception):
    """The worker kept pace: what was measured was no overload."""


def run(platform: Platform, state: State, *, lasting_s: float, newest: datetime) -> list[Result]:
    """Overload one worker twice, for ``lasting_s`` each.

    Raises:
        NoOverloadError: If less than a receive maximum waited at the broker in the end.
    """
    region = population(units=_UNITS, gateways=_GATEWAYS, devices_each=_DEVICES_EACH, probes=0)
    results: list[Result] = []
    ways: Sequence[tuple[str, LiteralString | None]] = (
        ("a slow database", _SLOW),
        ("as fast as it goes", None),
    )
    for name, statement in ways:
        print(f"  {name}", flush=True)
        # A new one: the old one's memory would hold the next queue without growing.
        platform.wipe_broker()
        platform.services.restart(BROKER)
        with fresh(platform.services, "hemvital_overload", region.registration) as database:
            if statement is not None:
                with psycopg.connect(database.dsn(), autocommit=True) as owner:
                    owner.execute(statement)
            bench = _Bench(platform, state, database, region, newest)
            results.append(bench.run(name, lasting_s))
    return results


class _Bench:
    def __init__(
        self,
        platform: Platform,
        state: State,
        database: Database,
        region: Population,
        newest: datetime,
    ) -> None:
        self._platform = platform
        self._state = state
        self._database = database
        self._region = region
        self._newest = newest
        self._sent = dict.fromkeys(region.devices, 0)

    def run(self, name: str, lasting_s: float) -> Result:
        services = self._platform.services
        server = services.broker.server.process
        if server is None:
            raise services.broker.server.error("does not run")
        broker = psutil.Process(server.pid)
        with ExitStack() as stack:
            running = self._started(stack)
            worker = psutil.Process(running.pid)
            before = broker.memory_info().rss
            stack.enter_context(self._publishing())
            began = time.monotonic()
            time.sleep(_WARM_UP_S)
            rss, queued = list[float](), list[int]()
            while time.monotonic() - began < _WARM_UP_S + lasting_s:
                if running.pid is None:
                    raise running.error("ended under overload")
                rss.append(worker.memory_info().rss / _MIB)
                queued.append(self._queued())
                due = began + _WARM_UP_S + len(rss) * _SAMPLE_S
                time.sleep(max(0.0, due - time.monotonic()))
            took_s = time.monotonic() - began
            sent, stored = sum(self._sent.values()), self._stored()
            grew = broker.memory_info().rss - before
        held = sent - stored - queued[-1]
        if held < RECEIVE_MAXIMUM:
            raise NoOverloadError(f"{name}: {sent} sent, {stored} stored")
        return Result(
            name=name,
            lasting_s=lasting_s,
            warm_up_s=_WARM_UP_S,
            offered_per_s=sent / took_s,
            stored_per_s=stored / took_s,
            rss_mib=rss,
            most_queued=max(queued),
            receive_maximum=RECEIVE_MAXIMUM,
            held_messages=held,
            broker_grew_mib=grew / _MIB,
        )

    def _started(self, stack: ExitStack) -> Running:
        environments = self._platform.environments
        running = Running(
            Program(
                name="bench-overloaded",
                command=["hemvital-ingest", "run"],
                environment={
                    **environments.ingest(),
                    "HEMVITAL_INGEST_DATABASE": self._database.dsn(_ROLE),
                    "HEMVITAL_INGEST_RECEIVE_MAXIMUM": str(RECEIVE_MAXIMUM),
                    # What it leaves behind goes with it.
                    "HEMVITAL_INGEST_SESSION_EXPIRY_S": "0",
                },
                ready_url=f"{self._monitoring}/readyz",
            ),
            self._state.log,
        )
        stack.callback(running.kill)  # its drain would go on with what the broker holds
        running.start()
        running.wait_ready()
        return running

    @contextmanager
    def _publishing(self) -> Generator[None]:
        ended = threading.Event()
        threads = [
            threading.Thread(target=self._publish, args=(gateway_id, ended))
            for gateway_id in self._region.devices
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def _publish(self, gateway_id: str, ended: threading.Event) -> None:
        outgoing = load.messages(
            gateway_id,
            self._region.devices[gateway_id],
            count=1_000_000,
            readings_each=1,
            when=lambda number: self._newest - timedelta(seconds=10 * number),
            seed=1,
        )
        connection = publisher(self._platform, gateway_id)
        for each in outgoing:
            if ended.is_set():
                break
            connection.publish(each)
            self._sent[gateway_id] += 1
        connection.close()

    @property
    def _monitoring(self) -> str:
        return self._platform.environments.monitoring("ingest")

    def _queued(self) -> int:
        with urlopen(f"{self._monitoring}/metrics", timeout=10) as answer:  # noqa: S310 - our own loopback address
            found = _QUEUED.search(answer.read().decode())
        if found is None:
            raise LookupError("the worker has no hemvital_ingest_queued_messages")
        return int(float(found[1]))

    def _stored(self) -> int:
        with psycopg.connect(self._database.dsn()) as owner:
            row = owner.execute(_STORED).fetchone()
        return int(row[0]) if row else 0
