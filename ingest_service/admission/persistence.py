"""Admit whatever comes: wait for a database that is away, and set a poisonous record apart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import psycopg
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    wait_random_exponential,
)

from ingest_service.admission.door import MovedError, admit, readmit
from ingest_service.admission.incoming import Entry, Incoming, Reason, Refusal, take_apart
from ingest_service.admission.outcome import Outcome
from ingest_service.store.connections import Connection, Pool
from ingest_service.store.quarantine import Ending

logger = logging.getLogger(__name__)

# The world's fault and no record's: the database is away, overloaded, not migrated or refuses
# us. Such a batch is tried again for ever, and nothing of it is quarantined.
_WORLD: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.ProgrammingError,
    psycopg.InternalError,
    psycopg.NotSupportedError,
    MovedError,
    OSError,
)
_TOO_LONG: Final = (psycopg.errors.QueryCanceled, psycopg.errors.TransactionTimeout)
# A few bytes may announce 500 numbers, and each is a row: a transaction must end well before its
# time-out however small the messages are.
_MOST_ENTRIES: Final = 2048
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 3.0


async def admit_surely(
    pool: Pool, batch: Sequence[Incoming], *, clock: Callable[[], datetime]
) -> list[Outcome]:
    """Return once every record is dealt with, however long the database is away.

    A batch that fails for a record's sake, or takes too long, is split in halves until the bad
    one stands alone, so that it takes nothing with it, not even what came in the same message.
    It is then admitted without being judged, with an alert that says so; where that fails too,
    it goes to the quarantine.
    """
    outcomes: list[Outcome] = []
    entries: list[Entry] = []
    for message in batch:
        entries += take_apart(message)
        if len(entries) >= _MOST_ENTRIES:
            outcomes += await _admit_entries(pool, entries, clock)
            entries = []
    return outcomes + await _admit_entries(pool, entries, clock)


async def readmit_surely(
    connection: Connection, ids: Sequence[int], ending: Ending, *, now: datetime
) -> list[Outcome]:
    """Take entries of the quarantine through the door again, the bad ones set apart.

    An entry that fails once more for its own sake waits on, and takes nothing with it.

    Raises:
        psycopg.Error: If the database is away; what was done before stays done.
    """
    try:
        return [await readmit(connection, ids, ending, now=now)]
    except _WORLD:
        raise
    except Exception as error:  # noqa: BLE001 a record's fault, whatever it is
        if len(ids) > 1:
            half = len(ids) // 2
            return [
                *await readmit_surely(connection, ids[:half], ending, now=now),
                *await readmit_surely(connection, ids[half:], ending, now=now),
            ]
        logger.warning(
            "an entry waits on: it failed again",
            extra={"entry": ids[0], "error": type(error).__name__},
        )
        return []


async def _admit_entries(
    pool: Pool, entries: Sequence[Entry], clock: Callable[[], datetime]
) -> list[Outcome]:
    if not entries:
        return []
    try:
        return [await _persist(pool, entries, clock)]
    except Exception as error:  # noqa: BLE001 a record's fault, whatever it is
        logger.warning(
            "a batch failed and is split",
            extra={"records": len(entries), "error": type(error).__name__},
        )
        if len(entries) > 1:
            half = len(entries) // 2
            return [
                *await _admit_entries(pool, entries[:half], clock),
                *await _admit_entries(pool, entries[half:], clock),
            ]
        return [await _admit_alone(pool, entries[0], error, clock)]


async def _admit_alone(
    pool: Pool, entry: Entry, error: Exception, clock: Callable[[], datetime]
) -> Outcome:
    try:
        return await _persist(pool, [entry], clock, is_blind=True)
    except Exception as second:  # noqa: BLE001 as above
        logger.warning("a record is rejected", extra={"gateway_id": entry.gateway_id})
        refusal = Refusal(Reason.REJECTED, f"{type(error).__name__}, then {type(second).__name__}")
        return await _persist(pool, [replace(entry, refusal=refusal)], clock)


async def _persist(
    pool: Pool,
    entries: Sequence[Entry],
    clock: Callable[[], datetime],
    *,
    is_blind: bool = False,
) -> Outcome:
    # Without an end: the broker keeps what waits, and /readyz tells whoever looks. Not called with
    # a function: that leaves a circle of objects, and the batch in it, to the garbage collector.
    async for attempt in AsyncRetrying(
        retry=retry_if_exception(_is_the_worlds if len(entries) == 1 else _is_the_worlds_for_now),
        wait=wait_random_exponential(multiplier=_FIRST_DELAY_S, max=_LONGEST_DELAY_S),
        before_sleep=_tell,
    ):
        with attempt:
            async with pool.connection() as connection:
                return await admit(connection, entries, now=clock(), is_blind=is_blind)
    raise RuntimeError("retrying ended without an answer")  # it has no end


def _is_the_worlds(error: BaseException) -> bool:
    return isinstance(error, _WORLD)


def _is_the_worlds_for_now(error: BaseException) -> bool:
    """Tell the same of more than one record: what takes too long does so again, half may not."""
    return _is_the_worlds(error) and not isinstance(error, _TOO_LONG)


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.warning(
        "the database cannot take a batch now",
        extra={"error": type(error).__name__, "attempts": state.attempt_number},
    )
