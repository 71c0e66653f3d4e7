"""Readings through one ingest worker, beside the bare drain of the same messages."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import psycopg

from benchmarks import load
from benchmarks.load import Certificate, Publisher
from benchmarks.worker import Cost, Worker
from deploy.local.platform import Platform

_ROUNDS: Final = 3
_COUNT: Final = "SELECT count(*) FROM device_record"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Median of the rounds for the bare drain and the worker, at one size of message."""

    readings_each: int
    bare: Cost
    ingest: Cost

    @property
    def ratio(self) -> float:
        """Worker's CPU per reading ÷ bare drain's CPU per reading's share of a message.

        At ten readings a message the floor is still one acknowledgement a message, so this is
        against the drain's CPU per *message* divided by the readings in it.
        """
        return self.ingest.cpu_us_per_reading / self.bare.cpu_us_per_reading

    @property
    def ratio_to_message(self) -> float:
        """Worker's CPU per reading ÷ bare drain's CPU per message."""
        return self.ratio / self.readings_each


class Bench:
    """Both candidates on one broker and one database, round by round."""

    def __init__(
        self, platform: Platform, devices: Mapping[str, Sequence[str]], *, newest: datetime
    ) -> None:
        self._platform = platform
        self._devices = devices
        self._newest = newest
        self._seed = 0

    def run(self, *, messages: int, readings_each: int) -> Result:
        """Measure both alternately; the medians are by CPU per reading."""
        bare, ingest = list[Cost](), list[Cost]()
        for _ in range(_ROUNDS):
            bare.append(self._bare(messages, readings_each))
            ingest.append(self._ingest(messages, readings_each))
        return Result(readings_each=readings_each, bare=_median(bare), ingest=_median(ingest))

    def _bare(self, messages: int, readings_each: int) -> Cost:
        services = self._platform.services
        identity = services.certificates.service("ingest")
        command = ["python", "-m", "benchmarks.drain", "--host", "127.0.0.1"]
        command += ["--port", str(services.broker.port), "--report", str(messages)]
        command += ["--ca", str(services.certificates.authority), "--key", str(identity.key)]
        command += ["--certificate", str(identity.certificate)]
        log = self._platform.log_file("bench-bare")
        with Worker(command, self._platform.environment({}), log) as worker:
            worker.wait_until(lambda: "subscribed" in log.read_text())
            return worker.measure(
                lambda: self._fill(messages, readings_each),
                lambda: str(messages) in log.read_text(),
                messages=messages,
                readings=messages * readings_each,
            )

    def _ingest(self, messages: int, readings_each: int) -> Cost:
        log = self._platform.log_file("bench-ingest")
        environment = self._platform.environment(self._platform.ingest_environment())
        with psycopg.connect(self._platform.services.database.dsn("hemvital_owner")) as database:
            database.autocommit = True
            before = _count(database)
            wanted = before + messages * readings_each
            with Worker(["hemvital-ingest", "run"], environment, log) as worker:
                worker.wait_until(self._platform.is_ready("ingest"))
                return worker.measure(
                    lambda: self._fill(messages, readings_each),
                    lambda: _count(database) >= wanted,
                    messages=messages,
                    readings=messages * readings_each,
                )

    def _fill(self, messages: int, readings_each: int) -> None:
        """Publish as the gateways, all at once, and wait until the broker has everything."""
        self._seed += 1
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
        outgoing = load.messages(
            gateway_id,
            self._devices[gateway_id],
            count=count,
            readings_each=readings_each,
            newest=self._newest - timedelta(days=self._seed),  # no record twice
            seed=self._seed,
        )
        publisher = self.publisher(gateway_id)
        for each in outgoing:
            publisher.publish(each)
        publisher.close()

    def publisher(self, gateway_id: str) -> Publisher:
        """Return a connection of this gateway's."""
        services = self._platform.services
        identity = services.certificates.issue_gateway(gateway_id)
        certificate = Certificate(
            authority=services.certificates.authority,
            certificate=identity.certificate,
            key=identity.key,
        )
        return Publisher(gateway_id, certificate, "127.0.0.1", services.broker.port)


def _median(costs: Sequence[Cost]) -> Cost:
    return sorted(costs, key=lambda cost: cost.cpu_us_per_reading)[len(costs) // 2]


def _count(database: psycopg.Connection) -> int:
    row = database.execute(_COUNT).fetchone()
    return int(row[0]) if row else 0
