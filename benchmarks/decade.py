"""Ten years of data: does an answer take longer because there is more around it?

Two databases of the same ten years, one with ten times the rows of the other, are asked the same
in turn. The patients who are asked about measure equally often in both, so that the answers are
of one size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from psycopg import AsyncConnection

from benchmarks import crowd
from benchmarks.clocks import Samples
from benchmarks.crowd import Crowd
from benchmarks.databases import Database, fresh
from benchmarks.filling import Filled, fill
from benchmarks.history import ROWS_EACH, SPAN, History, Person, schedule
from benchmarks.insertion import READINGS, Inserting
from benchmarks.population import Population, population
from benchmarks.questions import Connection, Question, Subjects, questions, recording
from deploy.local.services import Services
from ingest_service.store.callers import Caller

AIM: Final = 1.5
_UNITS, _GATEWAYS, _DEVICES_EACH = 10, 200, 5
_PROBES: Final = 20
# People who are asked about: how many, most readings of each, most of the smallest database that
# is theirs. Five thousand are 1.4 a day, with two observations each; six hundred one in six days.
_STEADY: Final = ((_PROBES, 5000, 0.2), (480, 600, 0.6))
_WARM: Final = 2 * _PROBES
_ROUNDS: Final = 100
_INSERTS: Final = 40
_WARM_INSERTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One question at one size; milliseconds.

    ``client_ms`` is the part of the median that this process computed, ``floor_ms`` the same
    statements sent bare by psycopg, ``planning_ms`` and ``execution_ms`` what the server says of
    one run, ``buffers`` the pages that it looked at.
    """

    rows: int
    answer: int
    median_ms: float
    p95_ms: float
    client_ms: float
    floor_ms: float
    planning_ms: float | None = None
    execution_ms: float | None = None
    buffers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One question at each size, smallest first."""

    name: str
    timed: Sequence[Timed]

    @property
    def ratio(self) -> float:
        """Median at the largest size ÷ at the smallest."""
        return self.timed[-1].median_ms / self.timed[0].median_ms

    @property
    def floor_ratio(self) -> float:
        """The same of the bare statements."""
        return self.timed[-1].floor_ms / self.timed[0].floor_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was loaded, how long each question takes, and twenty at once at the largest size."""

    filled: Sequence[Filled]
    compared: Sequence[Compared]
    crowd: Crowd


@dataclass(slots=True)
class Size:
    """One database and what is asked of it."""

    filled: Filled
    subjects: Subjects
    database: Database
    history: History


def run(services: Services, *, sizes: Sequence[int], end: datetime) -> Result:
    """Load databases of these many observations, ask, and drop them.

    Args:
        services: The running database server.
        sizes: Observations, ascending.
        end: The newest reading's time; the oldest is ten years before.
    """
    made, people = region()
    with ExitStack() as stack:
        loaded: list[Size] = []
        for rows in sizes:
            print(f"ten years, {rows:,} observations:", flush=True)
            name = f"hemvital_decade_{rows}"
            database = stack.enter_context(fresh(services, name, made.registration))
            loaded.append(load(database, people, rows=rows, smallest=sizes[0], end=end))
        compared = asyncio.run(_compare(loaded))
        print("  20 at once", flush=True)
        together = asyncio.run(crowd.ask(loaded[-1].database, loaded[-1].subjects))
    return Result(filled=[size.filled for size in loaded], compared=compared, crowd=together)


def region() -> tuple[Population, Sequence[Person]]:
    """Return who is registered, and the same people, of different gateways one after the other."""
    made = population(units=_UNITS, gateways=_GATEWAYS, devices_each=_DEVICES_EACH, probes=0)
    patients = {each["identifier"]: each for each in made.registration["patients"]}
    provider = UUID(made.registration["care_providers"][0]["id"])
    epochs = {gateway_id: uuid4() for gateway_id in made.devices}
    people = [
        Person(
            patient_id=UUID(patients[cuffs[place]]["id"]),
            unit_id=UUID(patients[cuffs[place]]["care_unit_id"]),
            provider_id=provider,
            cuff=cuffs[place],
            oximeter=made.oximeters[gateway_id][place],
            gateway_id=gateway_id,
            epoch=epochs[gateway_id],
        )
        for place in range(_DEVICES_EACH)
        for gateway_id, cuffs in made.devices.items()
    ]
    return made, people


def load(
    database: Database, people: Sequence[Person], *, rows: int, smallest: int, end: datetime
) -> Size:
    """Fill a database; ``smallest`` decides how often the people who are asked about measure."""
    history = History(people)
    steady = [
        (count, min(most, int(smallest / ROWS_EACH * share / count)))
        for count, most, share in _STEADY
    ]
    readings = schedule(end - SPAN, rows // ROWS_EACH, len(people), steady)
    filled = fill(database, history, readings, rows=rows)
    caller = Caller(
        actor="bench",
        kind="system",
        care_unit_ids=tuple({person.unit_id for person in people}),
        trace_id="0" * 32,
    )
    subjects = Subjects(
        caller=caller,
        probes=people[:_PROBES],
        people=people,
        observation_ids=filled.observation_ids,
        end=end,
    )
    return Size(filled=filled, subjects=subjects, database=database, history=history)


async def _compare(sizes: Sequence[Size]) -> list[Compared]:
    compared: list[Compared] = []
    async with AsyncExitStack() as stack:
        asked, watched = [
            [await _connected(stack, size, "hemvital_api") for size in sizes] for _ in range(2)
        ]
        for name in questions(sizes[0].subjects):
            print(f"  {name}", flush=True)
            timings = [
                _Timing(questions(size.subjects)[name], asked[place], watched[place])
                for place, size in enumerate(sizes)
            ]
            for number in range(-_WARM, _ROUNDS):
                for timing in timings:
                    await timing.ask(number)
            timed = [
                await timing.timed(size.filled.rows)
                for timing, size in zip(timings, sizes, strict=True)
            ]
            compared.append(Compared(name=name, timed=timed))
        compared.append(await _insert(stack, sizes))
    return compared


async def _insert(stack: AsyncExitStack, sizes: Sequence[Size]) -> Compared:
    name = f"insert of {READINGS} readings"
    print(f"  {name}", flush=True)
    inserting = [
        Inserting(people=size.subjects.people, history=size.history, newest=size.subjects.end)
        for size in sizes
    ]
    admitting = [await _connected(stack, size, "hemvital_ingest") for size in sizes]
    copying = [
        stack.enter_context(psycopg.connect(size.database.dsn(), autocommit=True))
        for size in sizes
    ]
    for number in range(-_WARM_INSERTS, _INSERTS):
        for place, each in enumerate(inserting):
            await each.once(admitting[place], copying[place], is_kept=number >= 0)
    timed = [
        _timed(size.filled.rows, READINGS, each.product, each.floor)
        for size, each in zip(sizes, inserting, strict=True)
    ]
    return Compared(name=name, timed=timed)


async def _connected(stack: AsyncExitStack, size: Size, role: str) -> Connection:
    connecting = AsyncConnection.connect(size.database.dsn(role), autocommit=True)
    return await stack.enter_async_context(await connecting)


class _Timing:
    """Asks one question of one database again and again, and the same statements bare."""

    def __init__(self, question: Question, asked: Connection, watched: Connection) -> None:
        self._question = question
        self._asked = asked
        self._watched = watched
        self._statements = recording(watched)
        self._product, self._floor = Samples(), Samples()
        self._answer = 0

    async def ask(self, number: int) -> None:
        """Ask; a negative number only warms up."""
        self._statements.clear()
        await self._question(self._watched, number)()
        ask = self._question(self._asked, number)
        with self._product.took(is_kept=number >= 0):
            self._answer = await ask()
        with self._floor.took(is_kept=number >= 0):
            await self._ask_bare()

    async def timed(self, rows: int) -> Timed:
        """Return the medians, and what the server says of the last question."""
        planning, execution, buffers = 0.0, 0.0, 0
        for statement, params in self._statements:
            cursor = await self._asked.execute(_EXPLAIN + statement, params)
            plan = _plan(await cursor.fetchone())
            planning += float(plan["Planning Time"])
            execution += float(plan["Execution Time"])
            top = plan["Plan"]
            buffers += int(top["Shared Hit Blocks"]) + int(top["Shared Read Blocks"])
        timed = _timed(rows, self._answer, self._product, self._floor)
        return replace(timed, planning_ms=planning, execution_ms=execution, buffers=buffers)

    async def _ask_bare(self) -> None:
        for statement, params in self._statements:
            cursor = await self._asked.execute(statement, params)
            await cursor.fetchall()


_EXPLAIN: Final = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "


def _plan(row: tuple[Any, ...] | None) -> dict[str, Any]:
    return row[0][0] if row else {}


def _timed(rows: int, answer: int, product: Samples, floor: Samples) -> Timed:
    return Timed(
        rows=rows,
        answer=answer,
        median_ms=product.median_ms,
        p95_ms=product.p95_ms,
        client_ms=product.client_median_ms,
        floor_ms=floor.median_ms,
    )
