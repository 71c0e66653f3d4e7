"""Bring configurations to gateways: leave them with the broker, and again where they got lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

import psycopg

from device_adapters.contract.elements import ContractError
from ingest_service.configuring import (
    BY_JOBS,
    Change,
    ConfigurationError,
    configure,
    stale,
    to_publish,
)
from ingest_service.store import configurations
from ingest_service.store.connections import Pool

logger = logging.getLogger(__name__)

#: Somebody waits beside a cuff until the pairing window opens.
_EVERY_S: Final = 3.0
_PAUSE_S: Final = 180  # a gateway says what it has within a minute
_MOST: Final = 50
_WITHIN_S: Final = 10.0


class Configurer(Protocol):
    """What can leave a configuration with the broker."""

    async def configure(self, gateway_id: str, payload: bytes, *, within_s: float) -> bool:
        """Publish it, retained; tells whether the broker took it."""
        ...


class Complaints:
    """What was said of gateways' configurations: the same of the same version once."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[int | None, str]] = {}

    def warn(self, what: str, gateway_id: str, reason: str, version: int | None = None) -> None:
        """Say it, unless it was the last thing said of this gateway."""
        if self._said.get((gateway_id, what)) != (version, reason):
            self._said[gateway_id, what] = version, reason
            extra = {"gateway_id": gateway_id, "version": version, "error": reason[:200]}
            logger.warning(what, extra=extra)


async def keep_configured(pool: Pool, downlink: Configurer, clock: Callable[[], datetime]) -> None:
    """Make what follows and publish what is due, for ever; what fails is tried again."""
    complaints = Complaints()
    while True:
        try:
            await follow_assignments(pool, now=clock(), complaints=complaints)
            await publish_due(pool, downlink, now=clock(), complaints=complaints)
        except (psycopg.Error, OSError) as error:
            logger.warning(
                "gateways cannot be configured now", extra={"error": type(error).__name__}
            )
        await asyncio.sleep(_EVERY_S)


async def follow_assignments(
    pool: Pool, *, now: datetime, complaints: Complaints | None = None
) -> int:
    """Make the versions that follow from assignments, and return how many."""
    complaints = complaints or Complaints()
    async with pool.connection() as connection:
        gateways = await stale(connection, now=now, most=_MOST)
    made = 0
    for gateway_id in gateways:
        try:
            async with pool.connection() as connection, connection.transaction():
                await configure(connection, gateway_id, Change(), by=BY_JOBS, now=now)
        except ConfigurationError as error:  # one that stands still holds up no other
            complaints.warn("a configuration cannot follow", gateway_id, str(error))
            continue
        made += 1
        logger.info("a configuration follows", extra={"gateway_id": gateway_id})
    return made


async def publish_due(
    pool: Pool, downlink: Configurer, *, now: datetime, complaints: Complaints | None = None
) -> int:
    """Publish what the broker has to get, a bounded number at once, and return how many."""
    complaints = complaints or Complaints()
    async with pool.connection() as connection:
        due = await configurations.due(connection, now=now, pause_s=_PAUSE_S, most=_MOST)
    published = 0
    for one in due:
        try:
            payload = to_publish(one.body, now=now)
        except ContractError as error:
            what = "a configuration cannot be sent"
            complaints.warn(what, one.gateway_id, str(error), one.version)
            payload = None  # noted all the same: not tried again before its pause is over
        if payload is not None and not await downlink.configure(
            one.gateway_id, payload, within_s=_WITHIN_S
        ):
            break  # the broker is away: the rest has to wait too
        async with pool.connection() as connection:
            await configurations.note_published(connection, one.gateway_id, one.version, now)
        if payload is None:
            continue
        published += 1
        logger.info(
            "configuration published",
            extra={"gateway_id": one.gateway_id, "version": one.version},
        )
    return published
