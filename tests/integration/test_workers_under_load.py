"""Several workers under load, while broker, database and workers are killed, added and drained.

Gateways are the real sending halves; what they were given must be in the record once each, at the
right patient and time, and receipted.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from deploy.local.services import BROKER, DATABASE
from device_adapters.contract.messages import ReadingRecord
from gateway.settings import load
from tests.support.gateway import gateway_environment
from tests.support.ingest import CUFF, UNIT, Home, id_of, registered
from tests.support.sending import SendingHalf, sending
from tests.support.services import Broker, Database
from tests.support.worker import Worker, started, wait_until

pytestmark = [pytest.mark.timescale, pytest.mark.broker]

_GATEWAYS: Final = ("gateway-1", "gateway-2", "gateway-3", "gateway-4")
_CUFFS: Final = (CUFF, "cuff-2", "cuff-3")
_WORKERS: Final = 3
_PAUSE_S: Final = 0.05
_AT_ONCE: Final = 2  # readings a gateway and pause
_CALM_S: Final = (0.3, 1.2)
_AWAY_S: Final = (0.0, 1.0)
_FASTER: Final = 10  # gateways' timers: what has no receipt is sent again after 3 s, not 30
_SETTLE_S: Final = 90.0


@pytest.mark.timeout(180)
async def test_a_sample_of_accidents_loses_nothing_and_doubles_nothing(
    own: Database, tmp_path: Path
) -> None:
    seed = secrets.randbelow(1_000_000)  # another sample each time
    print(f"seed {seed}")  # noqa: T201 shown if it fails

    await _endure(own, tmp_path, seed=seed, rounds=1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(1, 4))
async def test_hundreds_of_accidents_lose_nothing_and_double_nothing(
    seed: int, own: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = await _endure(own, tmp_path, seed=seed, rounds=15)

    with capsys.disabled():
        print(figures)  # noqa: T201 the figures are what it is run for


@dataclass(slots=True)
class _Crew:
    """Workers by name, each with a log for every time that it was started."""

    database: Database
    logs: Path
    workers: dict[str, Worker] = field(default_factory=dict[str, Worker])
    starts: int = 0

    def start(self, name: str) -> None:
        self.starts += 1
        log = self.logs / f"{name}-{self.starts}.log"
        self.workers[name] = started(self.database, log, CLIENT_ID=name, SESSION_EXPIRY_S="5")

    def kill(self, name: str) -> None:
        worker = self.workers.pop(name)
        worker.process.kill()
        worker.process.wait(timeout=10)

    def drain(self, name: str) -> int:
        worker = self.workers.pop(name)
        # One that is told so before it listens to signals just ends, and has nothing to finish.
        wait_until(lambda: any(line["message"] == "serving" for line in worker.lines()))
        worker.process.send_signal(signal.SIGTERM)
        return worker.process.wait(timeout=30)

    def end(self) -> None:
        for name in list(self.workers):
            self.kill(name)


async def _endure(own: Database, tmp_path: Path, *, seed: int, rounds: int) -> dict[str, Any]:
    """Let everything happen to the workers, hold the books against each other, return counts."""
    home = await registered(own, patients=3)
    for gateway_id in _GATEWAYS[1:]:
        home.execute("INSERT INTO gateway (id, care_unit_id) VALUES (%s, %s)", gateway_id, UNIT)
    random = Random(seed)  # noqa: S311 not for secrets
    crew = _Crew(own, tmp_path)
    given: list[ReadingRecord] = []
    done = Counter[str]()
    async with AsyncExitStack() as stack:
        stack.callback(crew.end)
        for number in range(_WORKERS):
            crew.start(f"ingest-{number}")
        gateways = [
            await stack.enter_async_context(sending(_settings(own, name, tmp_path), speed=_FASTER))
            for name in _GATEWAYS
        ]
        feeding = asyncio.ensure_future(_feed(home, gateways, given))
        stack.callback(feeding.cancel)
        for _ in range(rounds):
            accidents = list(_ACCIDENTS)
            random.shuffle(accidents)
            for accident in accidents:
                await asyncio.sleep(random.uniform(*_CALM_S))
                done[accident] += 1
                away_s = random.uniform(*_AWAY_S)
                await asyncio.to_thread(_befall, accident, crew, random.randrange(99), away_s)
                assert not feeding.done(), feeding.exception()
        feeding.cancel()
        await asyncio.wait([feeding])
        for one in gateways:
            await one.until_delivered(_SETTLE_S)

        ended = [name for name, w in crew.workers.items() if w.process.poll() is not None]
        assert ended == []
        delivered = sum(one.outbox.standing().undelivered == 0 for one in gateways)
        assert delivered == len(_GATEWAYS)
    counts = _compare(home, given)
    assert counts["lost"] == counts["doubled"] == counts["misplaced"] == counts["waiting"] == 0
    assert counts["receipted"] == counts["given"] == counts["stored"]
    return {"seed": seed, **counts, "accidents": dict(done), "workers_started": crew.starts}


def _settings(own: Database, gateway_id: str, tmp_path: Path) -> Any:
    broker = Broker(services=own.services)
    return load(gateway_environment(broker, gateway_id, tmp_path / gateway_id))


async def _feed(home: Home, gateways: Sequence[SendingHalf], given: list[ReadingRecord]) -> None:
    """Give every gateway readings of every cuff, for ever."""
    while True:
        for place, one in enumerate(gateways):
            readings = [
                home.cuff(
                    "128",
                    "82",
                    device=_CUFFS[(len(given) + n + place) % len(_CUFFS)],
                    ago=timedelta(seconds=(len(given) + n) % 5000),
                )
                for n in range(_AT_ONCE)
            ]
            one.give(readings)
            given += readings
        await asyncio.sleep(_PAUSE_S)


def _befall(accident: str, crew: _Crew, which: int, away_s: float) -> None:
    """Do one thing to the platform, and put right what a supervisor would."""
    services = crew.database.services
    name = sorted(crew.workers)[which % len(crew.workers)]
    match accident:
        case "worker killed":
            crew.kill(name)
            time.sleep(away_s)
            crew.start(name)
        case "worker drained":
            assert crew.drain(name) == 0
        case "worker added":
            crew.start(f"ingest-added-{crew.starts}")
        case "broker killed":
            services.kill(BROKER)
            time.sleep(away_s)
            services.start()
        case "broker killed and its disk wiped":
            services.kill(BROKER)
            shutil.rmtree(services.state.mosquitto)
            time.sleep(away_s)
            services.start()
        case "database killed":
            services.kill(DATABASE)
            time.sleep(away_s)
            services.start()
        case _:
            raise ValueError(accident)


_ACCIDENTS: Final = (
    "worker added",
    "worker killed",
    "worker drained",
    "broker killed",
    "broker killed and its disk wiped",
    "database killed",
)


def _compare(home: Home, given: Sequence[ReadingRecord]) -> dict[str, int]:
    """Hold what gateways were given against the record."""
    rows = home.rows("device_record")
    owners: dict[str, str] = dict(
        zip(_CUFFS, (str(id_of(f"patient-{n}")) for n in (1, 2, 3)), strict=True)
    )
    wanted = {str(one.record_id): one for one in given}
    found = Counter(row["record_id"] for row in rows)
    observed = Counter(row["record_id"] for row in home.rows("observation"))
    return {
        "given": len(given),
        "stored": len(rows),
        "lost": len(wanted.keys() - found.keys()) + len(wanted.keys() - observed.keys()),
        "doubled": sum(n - 1 for n in found.values()) + sum(n - 1 for n in observed.values()),
        "misplaced": sum(
            (one := wanted.get(row["record_id"])) is None
            or owners[one.device.id] != row["patient_id"]
            or one.effective_at != datetime.fromisoformat(row["effective_at"])
            for row in rows
        ),
        "waiting": home.count("quarantine"),
        "receipted": home.count("delivery"),
    }
