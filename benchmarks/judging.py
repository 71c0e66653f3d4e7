"""What judging costs: the engine alone, and whole batches with plans beside batches without.

The floor of the second is the same door in the same run: patients without a plan, whose readings
are stored and not judged.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Final
from uuid import UUID, uuid4

from msgspec import structs
from psycopg import AsyncConnection

from benchmarks import full_plans, mixture
from benchmarks.databases import Database, fresh
from benchmarks.population import Population
from deploy.local.services import Services
from device_adapters.contract.messages import ReadingRecord, encode
from device_adapters.contract.readings import PulseOximetry
from ingest_service.admission.door import admit
from ingest_service.admission.incoming import Entry, entry_of
from ingest_service.alerts import engine
from ingest_service.alerts.case import Case
from ingest_service.alerts.history import History, Reading
from ingest_service.plans.limits import Family, Measure
from ingest_service.store.connections import Connection
from ingest_service.store.plans import DEFAULT_HOURS

_TIMES: Final = 500
_DAYS: Final = 30
_ROUNDS: Final = 12
_NOW: Final = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
_VALUES: Final = {"within limits": "94", "yellow": "89", "red": "82"}
_SIZES: Final = (16, 256)
_LOW_EVERY: Final = {"all within limits": 0, "one saturation in ten below": 10}
_YELLOW: Final = Decimal(89)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """Medians of the rounds: microseconds a reading, with and without plans."""

    name: str
    readings: int
    with_plans_us: float
    without_us: float
    with_plans_cpu_us: float
    without_cpu_us: float

    @property
    def ratio(self) -> float:
        """Time with plans ÷ time without."""
        return self.with_plans_us / self.without_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Microseconds of the engine for one reading, and whole batches."""

    engine_us: dict[str, float]
    batches: list[Batches]


@dataclass(slots=True)
class _Taken:
    wall_us: list[float] = field(default_factory=list[float])
    cpu_us: list[float] = field(default_factory=list[float])


def run(services: Services, region: Population, *, newest: datetime) -> Result:
    """Measure both; the batches on one database, in turn, so that a noisy machine hits both."""
    thresholds = gc.get_threshold()
    try:
        with fresh(services, "hemvital_judging", region.registration) as database:
            batches = asyncio.run(_batches(database, region, newest))
    finally:
        gc.set_threshold(*thresholds)
    return Result(engine_us=engine_alone(), batches=batches)


def everybody(region: Population) -> list[tuple[UUID, UUID]]:
    """Return all of a region's patients, each with the care unit."""
    people = region.registration["patients"]
    return [(UUID(one["id"]), UUID(one["care_unit_id"])) for one in people]


def tell(result: Result) -> Sequence[str]:
    """Return the figures as a person reads them."""
    lines = [f"judging, the engine alone, full plan and {_DAYS} days of history:"]
    lines += [f"  {name:14} {us:6.0f} us a reading" for name, us in result.engine_us.items()]
    for each in result.batches:
        lines.append(f"judging, batches of {each.readings} readings, {each.name}:")
        lines += [
            f"  {name:13} {wall:6.0f} us a reading, {cpu:6.0f} us of them this process's CPU"
            for name, wall, cpu in (
                ("without plans", each.without_us, each.without_cpu_us),
                ("with plans", each.with_plans_us, each.with_plans_cpu_us),
            )
        ]
        lines.append(f"  ratio         {each.ratio:6.2f}  (time with plans ÷ without)")
    return lines


def engine_alone() -> dict[str, float]:
    """Return the median of `engine.take_batch` of one reading, for each kind of value."""
    before = _known()
    return {name: _median(_once(before, value)) for name, value in _VALUES.items()}


def _known() -> list[Reading]:
    random = Random(_DAYS)  # noqa: S311 load, not a secret
    times = [
        _NOW - timedelta(days=day, hours=hour) for day in range(1, _DAYS + 1) for hour in (0, 12)
    ]
    return [
        reading
        for at in times
        for reading in (
            _reading(Family.SPO2, Measure.SPO2, str(random.randint(92, 97)), at),
            _reading(Family.PULSE, Measure.PULSE, str(random.randint(60, 85)), at),
        )
    ]


def _reading(family: Family, measure: Measure, value: str, at: datetime) -> Reading:
    codes = {Family.SPO2: ("59408-5", "%"), Family.PULSE: ("8867-4", "/min")}
    code, unit = codes[family]
    return Reading(
        observation_id=uuid4(),
        code=code,
        family=family,
        values={measure: Decimal(value)},
        unit=unit,
        effective_at=at,
        received_at=at,
    )


def _once(before: Sequence[Reading], value: str) -> Callable[[], float]:
    patient_id, unit_id = uuid4(), uuid4()
    plan = full_plans.full_copd(patient_id, unit_id)

    def once() -> float:
        history = History()
        for each in before:
            history.add(each)
        case = Case(
            patient_id=patient_id,
            care_unit_id=unit_id,
            plan=plan,
            hours=DEFAULT_HOURS,
            history=history,
            judged_through=_NOW,
        )
        given = [_reading(Family.SPO2, Measure.SPO2, value, _NOW)]
        began = time.perf_counter()
        engine.take_batch(case, given, now=_NOW)
        return (time.perf_counter() - began) * 1e6

    return once


def _median(once: Callable[[], float]) -> float:
    return statistics.median(once() for _ in range(_TIMES))


async def _batches(database: Database, region: Population, newest: datetime) -> list[Batches]:
    """Fill both halves of the region with a month, give one of them plans, and measure."""
    gc.freeze()
    gc.set_threshold(1_000_000, 10, 10)  # as the worker does: `command`
    units = {one["id"]: one["care_unit_id"] for one in region.registration["patients"]}
    owners = {one["device_id"]: one["patient_id"] for one in region.registration["assignments"]}
    gateways = list(region.devices)
    halves = (gateways[: len(gateways) // 2], gateways[len(gateways) // 2 :])
    planned = {owners[device] for each in halves[0] for device in region.devices[each]}
    bench = _Door(database, [_part(region, half) for half in halves])
    async with await AsyncConnection.connect(database.dsn("hemvital_ingest")) as connection:
        start = newest - timedelta(days=_DAYS)
        with full_plans.in_force(database.dsn(), []):
            await bench.fill(connection, start, days=_DAYS - 1)
        bench.now = newest - timedelta(hours=20)
        patients = [(UUID(each), UUID(units[each])) for each in sorted(planned)]
        with full_plans.in_force(database.dsn(), patients):
            return [
                await bench.measure(connection, name, size, low_every)
                for name, low_every in _LOW_EVERY.items()
                for size in _SIZES
            ]


class _Door:
    """Two halves of a region whose readings come in turn, with plans and without."""

    def __init__(self, database: Database, halves: Sequence[Population]) -> None:
        self._database = database
        self._halves = halves
        self._epochs = mixture.new_epochs(halves[0]) | mixture.new_epochs(halves[1])
        self._numbers = dict.fromkeys(self._epochs, 0)
        self.now = datetime.max.replace(tzinfo=UTC)

    async def fill(self, connection: Connection, start: datetime, *, days: int) -> None:
        """Store so many days of everybody's readings, two a day."""
        for half in self._halves:
            people = sum(map(len, half.devices.values()))
            made = mixture.mix(
                half,
                2 * people * days,
                newest=start + timedelta(days=days),
                over=timedelta(days=days),
                seed=days,
            )
            while some := list(islice(made, 512)):
                now = some[-1][1].effective_at + timedelta(minutes=1)
                await admit(connection, self._entries(some), now=now)

    async def measure(
        self, connection: Connection, name: str, size: int, low_every: int
    ) -> Batches:
        """Admit batches of both halves in turn."""
        taken = (_Taken(), _Taken())
        for number in range(_ROUNDS):
            for half, each in zip(self._halves, taken, strict=True):
                self.now += timedelta(minutes=3)
                made = mixture.mix(
                    half,
                    size,
                    newest=self.now,
                    over=timedelta(minutes=2),
                    seed=self.now.minute + 60 * self.now.hour,
                )
                entries = self._entries(_lowered(made, low_every, number))
                wall, cpu = time.perf_counter(), time.process_time()
                outcome = await admit(connection, entries, now=self.now)
                each.wall_us.append((time.perf_counter() - wall) / size * 1e6)
                each.cpu_us.append((time.process_time() - cpu) / size * 1e6)
                if outcome.counts["stored"] != size:
                    raise RuntimeError(f"not all were stored: {dict(outcome.counts)}")
        return Batches(
            name=name,
            readings=size,
            with_plans_us=statistics.median(taken[0].wall_us),
            without_us=statistics.median(taken[1].wall_us),
            with_plans_cpu_us=statistics.median(taken[0].cpu_us),
            without_cpu_us=statistics.median(taken[1].cpu_us),
        )

    def _entries(self, made: Iterable[tuple[str, ReadingRecord]]) -> list[Entry]:
        entries: list[Entry] = []
        for gateway_id, record in made:
            self._numbers[gateway_id] += 1
            number = self._numbers[gateway_id]
            entries.append(entry_of(gateway_id, self._epochs[gateway_id], number, encode(record)))
        return entries


def _lowered(
    made: Iterable[tuple[str, ReadingRecord]], every: int, offset: int
) -> Iterable[tuple[str, ReadingRecord]]:
    """Yield readings of which one saturation in so many is yellow."""
    count = offset
    for gateway_id, record in made:
        reading = record.reading
        if every and isinstance(reading, PulseOximetry):
            count += 1
            if count % every == 0:
                reading = structs.replace(reading, spo2=_YELLOW)
        yield gateway_id, structs.replace(record, reading=reading)


def _part(region: Population, gateways: Sequence[str]) -> Population:
    return Population(
        devices={each: region.devices[each] for each in gateways},
        oximeters={each: region.oximeters[each] for each in gateways},
        probes=(),
        registration=region.registration,
    )
