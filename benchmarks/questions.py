"""What is asked of ten years of data, each by the store function that the product uses for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.abc import Params
from psycopg.rows import TupleRow

from benchmarks.history import Person
from clinician_api.services.worklist import CODES
from ingest_service.store import changes, observation_search, worklist
from ingest_service.store.callers import Caller
from ingest_service.store.observation_search import ObservationSearch

Connection = AsyncConnection[TupleRow]
# Asks once and returns how many rows the answer has.
Ask = Callable[[], Awaitable[int]]
# The number of the repetition chooses whom or what is asked about.
Question = Callable[[Connection, int], Ask]

WHOLE: Final = timedelta(days=3653)
_AHEAD: Final = timedelta(days=1)
_MONTH: Final = timedelta(days=30)
_YEAR: Final = timedelta(days=365)  # how far back the worklist looks
_MOST_PATIENTS: Final = 500
_PAGE: Final = 50
_BLOOD_PRESSURE: Final = "85354-9"
_NEVER_MEASURED: Final = "29463-7"  # body weight: looked for in every chunk
_ALL_OF_A_MONTH: Final = 1000
_PULL: Final = 100
_PULL_AGO, _PULL_STEP = timedelta(days=10), timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """Whom and what the questions are about."""

    caller: Caller
    probes: Sequence[Person]
    people: Sequence[Person]
    observation_ids: Sequence[UUID]
    end: datetime


def questions(subjects: Subjects) -> Mapping[str, Question]:
    """Return what is asked, by name."""
    until = subjects.end + _AHEAD
    many = [person.patient_id for person in subjects.people[:_MOST_PATIENTS]]

    def find(since: datetime, limit: int, *codes: str) -> Question:
        def question(connection: Connection, number: int) -> Ask:
            patient = subjects.probes[number % len(subjects.probes)].patient_id
            search = ObservationSearch(
                within=((since, until),),
                patient_ids=(patient,),
                codes=codes or None,
                limit=limit,
            )

            async def ask() -> int:
                return len(await observation_search.find(connection, subjects.caller, search))

            return ask

        return question

    def by_id(connection: Connection, number: int) -> Ask:
        wanted = subjects.observation_ids[number % len(subjects.observation_ids)]

        async def ask() -> int:
            found = await observation_search.read(connection, subjects.caller, wanted)
            return int(found is not None)

        return ask

    def latest(connection: Connection, _number: int) -> Ask:
        async def ask() -> int:
            found = await worklist.latest(
                connection,
                subjects.caller,
                many,
                CODES,
                since=subjects.end - _YEAR,
                until=until,
            )
            return len(found)

        return ask

    def pull(connection: Connection, number: int) -> Ask:
        after = subjects.end - _PULL_AGO + number * _PULL_STEP, UUID(int=0)

        async def ask() -> int:
            found = await changes.since(connection, subjects.caller, after, most=_PULL)
            return len(await changes.current(connection, subjects.caller, found))

        return ask

    return {
        "latest 30 days of a patient": find(subjects.end - _MONTH, _ALL_OF_A_MONTH),
        "50 newest of a patient": find(subjects.end - WHOLE, _PAGE),
        "50 newest pressures": find(subjects.end - WHOLE, _PAGE, _BLOOD_PRESSURE),
        "none of a code in ten years": find(subjects.end - WHOLE, _PAGE, _NEVER_MEASURED),
        "read by id": by_id,
        f"latest of {_MOST_PATIENTS} patients": latest,
        f"incremental pull of {_PULL}": pull,
    }


def recording(connection: Connection) -> list[tuple[bytes, Params | None]]:
    """Write down from now on what is asked over a connection, so that it can be asked bare.

    The floor is then the very statements of the store, sent by psycopg and fetched as tuples.
    """
    statements: list[tuple[bytes, Params | None]] = []

    class Recorder(AsyncCursor[TupleRow]):
        async def execute(self, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401 psycopg's overloads
            query: bytes | str = args[0]
            text = query if isinstance(query, bytes) else query.encode()
            statements.append((text, args[1] if len(args) > 1 else None))
            return await super().execute(*args, **kwargs)

    connection.cursor_factory = Recorder
    return statements
