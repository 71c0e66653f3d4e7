"""Readings through one ingest worker, beside the bare drain of the same messages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import psycopg

from benchmarks import load
from benchmarks.cost import Cost, measure
from benchmarks.load import Certificate, Publisher
from deploy.local.certificates import INGEST
from deploy.local.mosquitto import HOST
from deploy.local.platform import Platform
from deploy.local.programs import Program, Running
from deploy.local.state import State

_ROUNDS: Final = 3
_COUNT: Final = "SELECT count(*) FROM device_record"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Median of the rounds, by CPU, at one size of message."""

    readings_each: int
    bare: Cost
    ingest: Cost

    @property
    def ratio(self) -> float:
        """Worker's CPU per reading ÷ bare drain's CPU per message."""
        return self.ingest.cpu_us_per_reading / self.bare.cpu_us_per_message


class IngestBench:
    """Both candidates on one broker, round by round, so that a noisy machine hits both.

    ``newest`` says when the last reading of each round was measured, no two rounds alike;
    ``every`` how far apart a gateway's readings are.
    """

    def __init__(
        self,
        platform: Platform,
        state: State,
        devices: Mapping[str, Sequence[str]],
        *,
        newest: Callable[[int], datetime],
        every: timedelta = timedelta(seconds=10),
    ) -> None:
        self._platform = platform
        self._state = state
        self._devices = devices
        self._newest = newest
        self._every = every
        self._fills = 0

    def run(self, *, messages: int, readings_each: int) -> Result:
        """Measure both alternately.

        Args:
            messages: A multiple of the number of gateways.
            readings_each: Readings in each message.
        """
        bare, ingest = list[Cost](), list[Cost]()
        for _ in range(_ROUNDS):
            bare.append(self._bare(messages, readings_each))
            ingest.append(self._ingest(messages, readings_each))
        return Result(readings_each=readings_each, bare=_median(bare), ingest=_median(ingest))

    def _bare(self, messages: int, readings_each: int) -> Cost:
        services = self._platform.services
        identity = services.certificates.service(INGEST)
        command = ["python", "-m", "benchmarks.drain", "--host", HOST]
        command += ["--port", str(services.broker.services_port), "--report", str(messages)]
        command += [
            "--ca",
            str(services.certificates.services.certificate),
            "--key",
            str(identity.key),
        ]
        command += ["--certificate", str(identity.certificate)]
        program = Program(name="bench-bare", command=command, ready_text="subscribed")
        running = self._started(program)
        log_before = running.log.stat().st_size
        try:
            return measure(
                running,
                lambda: self._fill(messages, readings_each),
                lambda: running.log.stat().st_size > log_before,
                messages=messages,
                readings=messages * readings_each,
            )
        finally:
            running.stop()

    def _ingest(self, messages: int, readings_each: int) -> Cost:
        environments = self._platform.environments
        running = self._started(
            Program(
                name="bench-ingest",
                command=["hemvital-ingest", "run"],
                # Without a session that outlives it, or the broker would keep a share for it.
                environment={**environments.ingest(), "HEMVITAL_INGEST_SESSION_EXPIRY_S": "0"},
                ready_url=f"{environments.monitoring('ingest')}/readyz",
            )
        )
        owner = self._platform.services.database.dsn("hemvital_owner")
        try:
            with psycopg.connect(owner, autocommit=True) as database:
                wanted = _count(database) + messages * readings_each
                return measure(
                    running,
                    lambda: self._fill(messages, readings_each),
                    lambda: _count(database) >= wanted,
                    messages=messages,
                    readings=messages * readings_each,
                )
        finally:
            running.stop()

    def _started(self, program: Program) -> Running:
        running = Running(program, self._state.log)
        running.start()
        running.wait_ready()
        return running

    def _fill(self, messages: int, readings_each: int) -> None:
        """Publish as all gateways at once, and wait until the broker has everything."""
        self._fills += 1
        share = messages // len(self._devices)
        threads = [
            threading.Thread(target=self._publish, args=(gateway_id, share, readings_each))
            for gateway_id in self._devices
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _publish(self, gateway_id: str, count: int, readings_each: int) -> None:
        newest = self._newest(self._fills)  # no record twice
        outgoing = load.messages(
            gateway_id,
            self._devices[gateway_id],
            count=count,
            readings_each=readings_each,
            when=lambda number: newest - number * self._every,
            seed=self._fills,
        )
        connection = publisher(self._platform, gateway_id)
        for each in outgoing:
            connection.publish(each)
        connection.close()


def publisher(platform: Platform, gateway_id: str) -> Publisher:
    """Return a connection of this gateway's, with a certificate of its own."""
    services = platform.services
    identity = services.certificates.issue_gateway(gateway_id)
    certificate = Certificate(
        authority=services.certificates.gateways.certificate,
        certificate=identity.certificate,
        key=identity.key,
    )
    return Publisher(gateway_id, certificate, HOST, services.broker.port)


def _median(costs: Sequence[Cost]) -> Cost:
    return sorted(costs, key=lambda cost: cost.cpu_s)[len(costs) // 2]


def _count(database: psycopg.Connection) -> int:
    row = database.execute(_COUNT).fetchone()
    return int(row[0]) if row else 0
