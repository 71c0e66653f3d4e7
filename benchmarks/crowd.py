"""Many who ask at once: does the server's table of locks hold out?"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg import AsyncConnection

from benchmarks.databases import Database
from benchmarks.questions import Ask, Connection, Subjects, questions

CONNECTIONS: Final = 20
_ROUNDS: Final = 5
_LOOK_S: Final = 0.02
_HOLD_S: Final = 60.0  # a deadline: who fails ends the others' wait

_LOCKS: Final = """
SELECT count(*), count(*) FILTER (WHERE NOT fastpath)
  FROM pg_locks
 WHERE pid <> pg_backend_pid()
"""
_ROOM: Final = """
SELECT current_setting('max_locks_per_transaction')::int
       * (current_setting('max_connections')::int
          + current_setting('max_prepared_transactions')::int)
"""


@dataclass(slots=True, kw_only=True)
class Crowd:
    """Everybody asked everything in one transaction, and kept it open until all had.

    ``shared_locks`` are those in the server's common table, which has room for ``room`` at least;
    the others are in each session's own sixteen places. ``failures`` by SQLSTATE: 53200 is "out
    of shared memory".
    """

    connections: int = CONNECTIONS
    transactions: int = 0
    failures: Counter[str] = field(default_factory=Counter[str])
    locks: int = 0
    shared_locks: int = 0
    room: int = 0
    median_ms: float = 0.0


async def ask(database: Database, subjects: Subjects) -> Crowd:
    """Let everybody ask; one of the questions spans the whole ten years."""
    result, took = Crowd(), list[float]()
    async with AsyncExitStack() as stack:
        dsn = database.dsn("hemvital_api")
        everybody = [
            await stack.enter_async_context(await AsyncConnection.connect(dsn))
            for _ in range(CONNECTIONS)
        ]
        watching = await stack.enter_async_context(
            await AsyncConnection.connect(dsn, autocommit=True)
        )
        result.room = (await _numbers(watching, _ROOM))[0]
        for number in range(_ROUNDS):
            together = asyncio.Barrier(CONNECTIONS)
            asked = [
                [question(each, number + place) for question in questions(subjects).values()]
                for place, each in enumerate(everybody)
            ]
            async with asyncio.TaskGroup() as tasks:
                asking = [
                    tasks.create_task(_ask_all(each, asked[place], together, result, took))
                    for place, each in enumerate(everybody)
                ]
                tasks.create_task(_watch(watching, asking, result))
    result.median_ms = statistics.median(took) if took else 0.0
    return result


async def _ask_all(
    connection: Connection,
    asks: Sequence[Ask],
    together: asyncio.Barrier,
    result: Crowd,
    took: list[float],
) -> None:
    began = time.perf_counter()
    try:
        async with connection.transaction():
            for ask_one in asks:
                await ask_one()
            took.append((time.perf_counter() - began) * 1e3)
            async with asyncio.timeout(_HOLD_S):
                await together.wait()
            await asyncio.sleep(5 * _LOOK_S)  # all hold all they ever will
        result.transactions += 1
    except psycopg.Error as error:
        result.failures[error.sqlstate or type(error).__name__] += 1
        await together.abort()
    except asyncio.BrokenBarrierError:
        result.failures["waited for one that failed"] += 1


async def _watch(
    connection: Connection, asking: Sequence[asyncio.Task[None]], result: Crowd
) -> None:
    while not all(task.done() for task in asking):
        locks, shared = await _numbers(connection, _LOCKS)
        result.locks = max(result.locks, locks)
        result.shared_locks = max(result.shared_locks, shared)
        await asyncio.sleep(_LOOK_S)


async def _numbers(connection: Connection, query: str) -> tuple[int, ...]:
    cursor = await connection.execute(query.encode())
    return tuple(await cursor.fetchone() or ())
