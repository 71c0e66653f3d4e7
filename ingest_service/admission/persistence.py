"""Admit whatever comes: wait for a database that is away, and set a poisonous message apart."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import psycopg

from ingest_service.admission.door import MovedError, admit
from ingest_service.admission.incoming import Incoming, Reason, Refusal, shown
from ingest_service.admission.outcome import Outcome
from ingest_service.store.connections import Pool

logger = logging.getLogger(__name__)

# The world's fault and no message's: the database is away, overloaded, not migrated or refuses
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
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 3.0


async def admit_surely(
    pool: Pool, batch: Sequence[Incoming], *, clock: Callable[[], datetime]
) -> list[Outcome]:
    """Return once every message is dealt with, however long the database is away.

    A batch that fails for a message's sake is split in halves until the bad one stands alone. It
    is then admitted without being judged, with an alert that says so; where that fails too, it
    goes to the quarantine whole.
    """
    if not batch:
        return []
    try:
        return [await _persist(pool, batch, clock, is_blind=False)]
    except Exception as error:  # noqa: BLE001 a message's fault, whatever it is
        logger.warning(
            "a batch failed and is split",
            extra={"messages": len(batch), "error": type(error).__name__},
        )
        if len(batch) > 1:
            half = len(batch) // 2
            return [
                *await admit_surely(pool, batch[:half], clock=clock),
                *await admit_surely(pool, batch[half:], clock=clock),
            ]
        return [await _admit_alone(pool, batch[0], error, clock)]


async def _admit_alone(
    pool: Pool, message: Incoming, error: Exception, clock: Callable[[], datetime]
) -> Outcome:
    try:
        return await _persist(pool, [message], clock, is_blind=True)
    except Exception as second:  # noqa: BLE001 as above
        logger.warning("a message is rejected", extra={"gateway_id": message.gateway_id})
        detail = f"{type(error).__name__}, then {type(second).__name__}"
        refusal = Refusal(Reason.REJECTED, shown(detail))
        return await _persist(pool, [message], clock, refusal=refusal)


async def _persist(
    pool: Pool,
    batch: Sequence[Incoming],
    clock: Callable[[], datetime],
    *,
    is_blind: bool = False,
    refusal: Refusal | None = None,
) -> Outcome:
    delay_s = _FIRST_DELAY_S
    while True:
        try:
            async with pool.connection() as connection:
                return await admit(
                    connection, batch, now=clock(), is_blind=is_blind, refusal=refusal
                )
        except _WORLD as error:
            logger.warning(
                "the database cannot take a batch now",
                extra={"error": type(error).__name__, "messages": len(batch), "delay_s": delay_s},
            )
            # Half of it by chance, so that workers do not come back all at once.
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 no secret
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
