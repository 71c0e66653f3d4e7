"""Search and read observations for those who may see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final, LiteralString
from uuid import UUID

from psycopg import AsyncConnection, sql
from psycopg.rows import args_row
from psycopg.types.multirange import TimestamptzMultirange
from psycopg.types.range import TimestamptzRange

from ingest_service.store import texts
from ingest_service.store.callers import Caller

# The bound comes first in the caller's mind and in the planner's: without one, every chunk of
# the hypertable is opened and locked.
_MATCHING: Final = sql.SQL("""
  FROM observation
 WHERE care_unit_id = ANY(%(units)s)
   AND effective_at >= %(since)s
   AND effective_at < %(until)s
""")
# What the caller is as a receiver is asked in the same statement: only so it is known as of the
# moment that the version read was the current one (docs/adr/0020).
_FOUND: Final = """
SELECT id, version, patient_id, effective_at, last_updated, resource, body,
       (SELECT r.last_at > clock_timestamp() - INTERVAL '1 day'
          FROM receiver_patient r
         WHERE r.receiver_id = %(actor)s
           AND r.patient_id = observation.patient_id) AS is_contact_fresh,
       EXISTS (SELECT FROM receiver_news n
                WHERE n.receiver_id = %(actor)s
                  AND n.observation_id = observation.id
                  AND n.version <= observation.version
                  AND n.told_at IS NULL) AS is_news
"""
_COLUMNS: Final = sql.SQL(_FOUND)
# One patient and one code get a plain equals sign: only that reads the index (patient, code,
# time, id) in order and stops at the limit.
_FILTERS: Final[dict[str, LiteralString]] = {
    "patient_id": " AND patient_id = %(patient_id)s\n",
    "patient_ids": " AND patient_id = ANY(%(patient_ids)s)\n",
    "code": " AND code = %(code)s\n",
    "codes": " AND code = ANY(%(codes)s)\n",
    "ids": " AND id = ANY(%(ids)s)\n",
    "when": " AND effective_at <@ %(when)s\n",
}
_AFTER: Final = {
    True: sql.SQL(" AND (effective_at, id) > (%(after_at)s, %(after_id)s)\n"),
    False: sql.SQL(" AND (effective_at, id) < (%(after_at)s, %(after_id)s)\n"),
}
_ORDER: Final = {
    True: sql.SQL(" ORDER BY effective_at, id LIMIT %(limit)s"),
    False: sql.SQL(" ORDER BY effective_at DESC, id DESC LIMIT %(limit)s"),
}
_COUNT: Final = sql.SQL("SELECT count(*)")

# A patient measures ten thousand times in ten years, and unless one code is asked for, all that a
# window holds is read to be sorted. So a wide window is first searched at the end that comes
# first, one or two chunks of it: what fills the page there is the page.
_NEAR: Final = (timedelta(days=30), timedelta(days=365))
_TICK: Final = timedelta(microseconds=1)  # the database's smallest difference of two times

_WHEN = "SELECT effective_at FROM identity WHERE id = %(id)s"
_BY_ID: Final = (
    _FOUND
    + """
  FROM observation
 WHERE id = %(id)s
   AND effective_at = %(effective_at)s
   AND care_unit_id = ANY(%(units)s)
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundObservation:
    """One observation: the finished resource text and what a Bundle or header needs.

    Attributes:
        is_contact_fresh: Whether the caller received something of the patient within a day; None
            if never, or where nobody asked.
        is_news: Whether this version is news to the caller, who has not heard of it.
    """

    id: UUID
    version: int
    patient_id: UUID
    effective_at: datetime
    last_updated: datetime
    resource: str
    is_contact_fresh: bool | None = None
    is_news: bool = True


def found_observation(  # noqa: PLR0917 a row's columns in their order
    observation_id: UUID,
    version: int,
    patient_id: UUID,
    effective_at: datetime,
    last_updated: datetime,
    resource: str | None,
    body: bytes | None,
    is_contact_fresh: bool | None = None,
    is_news: bool = True,
) -> FoundObservation:
    """Return a row with its text; raises `UnreadableTextError` where it has none."""
    return FoundObservation(
        id=observation_id,
        version=version,
        patient_id=patient_id,
        effective_at=effective_at,
        last_updated=last_updated,
        resource=texts.resource_of(observation_id, resource, body),
        is_contact_fresh=is_contact_fresh,
        is_news=is_news,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationSearch:
    """What to look for; ``None`` restricts nothing, an empty tuple matches nothing.

    Attributes:
        within: Half-open intervals of effective time, sorted and disjoint; at least one, and the
            first and last bound what the database opens.
        is_ascending: Oldest first; else newest first. The id breaks ties.
        after: Last row of the page before, as (effective time, id).
        limit: At most this many rows.
    """

    within: tuple[tuple[datetime, datetime], ...]
    patient_ids: tuple[UUID, ...] | None = None
    codes: tuple[str, ...] | None = None
    ids: tuple[UUID, ...] | None = None
    is_ascending: bool = False
    after: tuple[datetime, UUID] | None = None
    limit: int


async def find(
    connection: AsyncConnection, caller: Caller, search: ObservationSearch
) -> list[FoundObservation]:
    """Return what matches among the caller's units' observations, in the order asked for."""
    if not search.within:
        return []
    query = _page(_filters(search), search.is_ascending, search.after is not None)
    values = _values(caller, search)
    found: list[FoundObservation] = []
    async with connection.cursor(row_factory=args_row(found_observation)) as cursor:
        # Not put together from parts: between two statements an observation may move to another
        # time, and stand in neither.
        for since, until in _windows(search):
            await cursor.execute(query, {**values, "since": since, "until": until})
            found = await cursor.fetchall()
            if len(found) == search.limit:
                break
    return found


async def count(connection: AsyncConnection, caller: Caller, search: ObservationSearch) -> int:
    """Return how many observations match; costs a scan of all of them."""
    if not search.within:
        return 0
    cursor = await connection.execute(_total(_filters(search)), _values(caller, search))
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def read(
    connection: AsyncConnection, caller: Caller, observation_id: UUID
) -> FoundObservation | None:
    """Return one observation, or None if there is none or it is another unit's.

    Two statements: the plain table of identities says when, so that the second opens one chunk.
    Between the two it may move to another time, so one that is not found is looked for once more.
    """
    for _ in range(2):
        cursor = await connection.execute(_WHEN, {"id": observation_id})
        when = await cursor.fetchone()
        if when is None:
            return None
        if found := await _read_at(connection, caller, observation_id, when[0]):
            return found
    return None


async def _read_at(
    connection: AsyncConnection, caller: Caller, observation_id: UUID, effective_at: datetime
) -> FoundObservation | None:
    async with connection.cursor(row_factory=args_row(found_observation)) as found:
        await found.execute(
            _BY_ID,
            {
                "id": observation_id,
                "effective_at": effective_at,
                "units": list(caller.care_unit_ids),
                "actor": caller.actor,
            },
        )
        return await found.fetchone()


def _filters(search: ObservationSearch) -> tuple[str, ...]:
    given = {
        "patient_id": search.patient_ids is not None and len(search.patient_ids) == 1,
        "patient_ids": search.patient_ids is not None and len(search.patient_ids) != 1,
        "code": search.codes is not None and len(search.codes) == 1,
        "codes": search.codes is not None and len(search.codes) != 1,
        "ids": search.ids is not None,
        "when": len(search.within) > 1,
    }
    return tuple(name for name, is_given in given.items() if is_given)


def _windows(search: ObservationSearch) -> Iterator[tuple[datetime, datetime]]:
    """Yield ever wider windows of effective time from where the page begins, last the whole."""
    since, until = search.within[0][0], search.within[-1][1]
    if search.after and search.is_ascending:
        since = max(since, search.after[0])
    elif search.after:
        until = min(until, search.after[0] + _TICK)
    for width in _NEAR:
        if since + width < until:
            yield (since, since + width) if search.is_ascending else (until - width, until)
    yield since, until


@cache  # there are few ways to combine them, and composing costs what the search does
def _page(filters: tuple[str, ...], is_ascending: bool, is_after: bool) -> bytes:
    after = [_AFTER[is_ascending]] if is_after else []
    parts = [_COLUMNS, _MATCHING, *_conditions(filters), *after, _ORDER[is_ascending]]
    return sql.SQL("").join(parts).as_bytes()


@cache
def _total(filters: tuple[str, ...]) -> bytes:
    return sql.SQL("").join([_COUNT, _MATCHING, *_conditions(filters)]).as_bytes()


def _conditions(filters: tuple[str, ...]) -> Sequence[sql.Composable]:
    return [sql.SQL(_FILTERS[name]) for name in filters]


def _values(caller: Caller, search: ObservationSearch) -> dict[str, object]:
    after_at, after_id = search.after or (None, None)
    return {
        "units": list(caller.care_unit_ids),
        "actor": caller.actor,
        "since": search.within[0][0],
        "until": search.within[-1][1],
        "when": TimestamptzMultirange([TimestamptzRange(*each) for each in search.within]),
        "patient_id": search.patient_ids[0] if search.patient_ids else None,
        "patient_ids": list(search.patient_ids or ()),
        "code": search.codes[0] if search.codes else None,
        "codes": list(search.codes or ()),
        "ids": list(search.ids or ()),
        "after_at": after_at,
        "after_id": after_id,
        "limit": search.limit,
    }
