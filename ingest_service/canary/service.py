"""The canary's process: send each minute, see what came through, tell the outside."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import httpx
import msgspec
import psycopg

from ingest_service import stopping
from ingest_service.canary import legs, reading
from ingest_service.canary.door import Door, Parcel, Reached, visit
from ingest_service.canary.legs import Leg
from ingest_service.canary.metrics import CanaryMetrics
from ingest_service.canary.numbers import Numbers
from ingest_service.outage import chain
from ingest_service.outage.incident import Cause, Kind
from ingest_service.outage.rules import DEFAULT
from ingest_service.store import canary, incidents
from ingest_service.store.connections import Pool

logger = logging.getLogger(__name__)

EVERY_S: Final = 60.0
#: Second of the minute: the jobs look at its beginning, and shall find a fresh one.
_AT_S: Final = 45.0
LOOK_S: Final = 5.0
_ASK_S: Final = 5.0
_MOST_ANSWER_BYTES: Final = 4096

_CAUSES: Final = {
    Leg.PUBLISHED: Cause.LEG_PUBLISHED,
    Leg.STORED: Cause.LEG_STORED,
    Leg.JOB: Cause.LEG_JOB,
    Leg.JUDGED: Cause.LEG_JUDGED,
    Leg.PAGE: Cause.LEG_PAGE,
}


class _Answer(msgspec.Struct, frozen=True):
    passed_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Canary:
    """One canary; every step can be taken by itself, with the time it is.

    Args:
        door: Where it comes in.
        numbers: What it numbers its readings by.
        pool: Of the role that reads what the jobs saw, and writes incidents.
        http: To ask the pages and to ping; without redirects.
        page_url: Where the pages say what they heard; nobody is asked where it is absent.
        heartbeat_url: Pinged after each reading that came through, and never else.
        metrics: What it knows.
        began_at: When the process began.
        receipt_s: How long it waits for a receipt.
    """

    door: Door
    numbers: Numbers
    pool: Pool
    http: httpx.AsyncClient
    page_url: str | None
    heartbeat_url: str | None
    metrics: CanaryMetrics
    began_at: datetime
    receipt_s: float = 20.0
    _pinged: datetime | None = None
    _deaf: Leg | None = None
    _may_stand: bool = True  # an incident of an earlier process, until that was looked at

    async def send(self, now: datetime) -> Reached:
        """Send one reading, measured now, and wait for its receipt."""
        epoch, number = self.numbers.take()
        payload, properties = reading.message(
            epoch, number, at=now, trace_id=secrets.token_hex(16), span_id=secrets.token_hex(8)
        )
        parcel = Parcel(
            epoch=epoch,
            number=number,
            payload=payload,
            properties=properties,
            status=reading.status(epoch, number, at=now),
        )
        done = await asyncio.to_thread(visit, self.door, parcel, within_s=self.receipt_s)
        way = replace(self.metrics.way, why=done.why, has_page=self.page_url is not None)
        if done.reached is not Reached.NOWHERE:
            way = legs.merged(way, published=now)
        if done.reached is Reached.DATABASE:
            self.numbers.note_received()
            way = legs.merged(way, stored=now)
        self.metrics.way = way
        return done.reached

    async def look(self, now: datetime) -> Leg | None:
        """See what came through since; ping, log and open an incident as that demands.

        Returns:
            The leg that is deaf, if one is.
        """
        await self._ask_database()
        await self._ask_page()
        way = self.metrics.way
        leg = legs.deaf(way, began_at=self.began_at, now=now)
        if leg is None:
            await self._ping()
        if leg is not self._deaf:
            self._deaf = leg
            if leg is None:
                logger.info("the canary's readings come through again")
            else:
                logger.error(legs.sentence(way, leg, now))
        await self._note(leg, now)
        return leg

    async def _ask_database(self) -> None:
        try:
            async with self.pool.connection(timeout=_ASK_S) as connection:
                seen = await canary.newest(connection)
        except psycopg.Error as error:
            logger.warning("the canary cannot ask", extra={"error": type(error).__name__})
            return
        if seen is not None:
            # What an older canary left behind says nothing of this one's way.
            self.metrics.way = legs.merged(
                self.metrics.way, judged=seen.judged_to, looked_at=seen.at, stored=seen.stored_to
            )

    async def _ask_page(self) -> None:
        if self.page_url is None:
            return
        try:
            answer = await self.http.get(self.page_url, timeout=_ASK_S)
            answer.raise_for_status()
            said = msgspec.json.decode(answer.content[:_MOST_ANSWER_BYTES], type=_Answer)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            logger.warning("the pages do not say", extra={"error": type(error).__name__})
            return
        self.metrics.way = legs.merged(self.metrics.way, page=said.passed_at)

    async def _ping(self) -> None:
        """Tell the outside, once for each reading that came through."""
        passed_at = self.metrics.way.passed_at
        if self.heartbeat_url is None or passed_at is None or passed_at == self._pinged:
            return
        try:
            answer = await self.http.get(self.heartbeat_url, timeout=_ASK_S)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            # Without the address: it may hold a key.
            self.metrics.pings["failed"] += 1
            logger.warning("no sign of life got out", extra={"error": type(error).__name__})
            return
        self._pinged = passed_at
        self.metrics.pings["sent"] += 1

    async def _note(self, leg: Leg | None, now: datetime) -> None:
        """Open or end the canary's own incident: the jobs may be the part that is dead."""
        if leg is None and not self._may_stand:
            return
        cause = None if leg is None else _CAUSES[leg]
        since = now if leg is None else self.metrics.way.at(leg) or self.began_at
        try:
            async with (
                self.pool.connection(timeout=_ASK_S) as connection,
                connection.transaction(),
            ):
                await incidents.take_turn(connection)
                found = await incidents.standing(connection, since=now)
                ours = [e for e in found if e.kind is Kind.CANARY and e.ended_at is None]
                standing = ours[0] if ours else None
                change = chain.follow(Kind.CANARY, cause, since, standing, now=now, rules=DEFAULT)
                if change is not None:
                    await incidents.put(connection, [change], at=now)
            self._may_stand = change.after.ended_at is None if change else standing is not None
        except psycopg.Error as error:
            logger.warning("an incident cannot be noted", extra={"error": type(error).__name__})


async def serve(one: Canary, stop: asyncio.Event, clock: Callable[[], datetime]) -> None:
    """Send each minute and look each five seconds, until ``stop`` is set.

    Sending and looking are apart: a door that hangs must not keep the canary from saying so.

    Raises:
        ExceptionGroup: If a step fails for a reason of its own; the supervisor starts it anew.
    """

    async def send() -> None:
        while True:
            await one.send(clock())
            await asyncio.sleep(until_next_s(clock()))

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await one.look(clock())

    async with asyncio.TaskGroup() as tasks:
        steps = [tasks.create_task(send(), name="send"), tasks.create_task(look(), name="look")]
        await stop.wait()  # no deadline: that is a service's life
        await stopping.end(steps)


def until_next_s(now: datetime) -> float:
    """Return how long to wait before the next reading.

    >>> until_next_s(datetime(2026, 3, 1, 9, 41, 46))
    59.0
    """
    return (_AT_S - now.second - now.microsecond / 1e6) % EVERY_S or EVERY_S
