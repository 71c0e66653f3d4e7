"""Open, grow and end incidents by how gateways stand, what we hear and how old the canary is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest_service import gateways
from ingest_service.alerts.silence import DEAF_AFTER, Cause
from ingest_service.gateways import ShownGateway
from ingest_service.jobs.canary import KEPT
from ingest_service.messages import kinds
from ingest_service.messages.message import Message, Recipient
from ingest_service.outage import chain as chains
from ingest_service.outage import gateways as many
from ingest_service.outage.chain import Chain
from ingest_service.outage.gateways import GatewayState
from ingest_service.outage.incident import Change, Event, Incident, Kind
from ingest_service.outage.rules import OutageRules
from ingest_service.store import canary, incidents, messages, standing
from ingest_service.store.connections import Connection, Pool
from ingest_service.store.messages import MessageRow

logger = logging.getLogger(__name__)

_AWAY: Final = frozenset({Cause.GATEWAY_OFFLINE, Cause.CERTIFICATE})
_EVERY_S: Final = 15.0


async def watch(pool: Pool, *, now: datetime, rules: OutageRules) -> Sequence[Change]:
    """Decide once, in one transaction; return what changed.

    Run by the jobs each minute; a run that is missed needs no catching up, since what counts is
    since when gateways are away and not when that was looked at.
    """
    async with pool.connection() as connection, connection.transaction():
        changes = await decide(connection, now=now, rules=rules)
        said = [MessageRow.of(each, created_at=now) for each in _messages(changes)]
        await messages.put(connection, said)
    tell(changes)
    return changes


async def decide(connection: Connection, *, now: datetime, rules: OutageRules) -> Sequence[Change]:
    """Decide about our own parts and about gateways, and write it."""
    await incidents.take_turn(connection)
    found = await incidents.standing(connection, since=now)
    opened = [each for each in found if each.ended_at is None]
    chain = next((each for each in opened if each.kind is Kind.CHAIN), None)
    changes = list[Change]()
    if change := chains.judge(await _chain(connection, now), chain, now=now, rules=rules):
        changes.append(change)
    of_gateways = [each for each in opened if each.kind is Kind.GATEWAYS]
    if (states := await _states(connection, now)) is not None:
        changes += many.judge(states, of_gateways, now=now, rules=rules)
    await incidents.put(connection, changes, at=now)
    return changes


def _messages(changes: Iterable[Change]) -> Iterator[Message]:
    """Yield what the operator is told: that an incident stands, and that it is over."""
    for change in changes:
        if change.event is Event.OPENED:
            yield kinds.incident(change.after.id, Recipient.OPERATOR, None)
        elif change.event is Event.ENDED:
            yield kinds.incident_over(change.after.id, Recipient.OPERATOR, None)


def tell(changes: Collection[Change]) -> None:
    """Log what happened, by kind and numbers alone."""
    for change in changes:
        if change.event is None:
            continue
        after = change.after
        logger.warning(
            "incident",
            extra={
                "event": change.event,
                "incident": after.id,
                "kind": after.kind,
                "cause": after.cause,
                "care_unit": after.unit_id,
                "began_at": after.began_at,
                "away": after.away,
                "affected": len(after.gateways),
            },
        )


class IncidentMetrics(Collector):
    """What stands, as it is scraped; see `BacklogMetrics`."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last: Sequence[Incident] | None = None

    async def refresh(self, pool: Pool) -> None:
        """Ask once; what cannot be asked now keeps its last value."""
        try:
            async with pool.connection() as connection:
                found = await incidents.standing(connection, since=self._clock())
        except psycopg.Error as error:
            logger.warning("could not ask for incidents", extra={"error": type(error).__name__})
            return
        self._last = [each for each in found if each.ended_at is None]

    async def keep_fresh(self, pool: Pool) -> None:
        """Ask now and then, for ever."""
        while True:
            await self.refresh(pool)
            await asyncio.sleep(_EVERY_S)

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; called in the thread of a scrape."""
        if self._last is None:
            return
        standing = GaugeMetricFamily(
            "hemvital_incidents", "Incidents that stand, by what is broken.", labels=["kind"]
        )
        away = GaugeMetricFamily(
            "hemvital_incident_gateways_away", "Gateways that are away by an incident."
        )
        for kind in Kind:
            standing.add_metric([kind], sum(each.kind is kind for each in self._last))
        away.add_metric([], sum(each.away for each in self._last))
        yield standing
        yield away


async def _chain(connection: Connection, now: datetime) -> Chain:
    ears = await standing.listener(connection)
    # A look of its own: after a pause of the jobs what they saw last is old, and nothing else is.
    seen = await canary.look(connection, now=now, since=now - KEPT)
    return Chain(
        deaf_since=ears[1] if ears and now - ears[1] > DEAF_AFTER else None,
        stored_to=seen.stored_to,
        judged_to=seen.judged_to,
        canary_heard_at=await canary.heard_at(connection),
    )


async def _states(connection: Connection, now: datetime) -> Sequence[GatewayState] | None:
    """Return who is there and who is away; nothing while nobody can know that of everybody."""
    states = list[GatewayState]()
    async for shown in gateways.every(connection, now=now):
        cause = shown.why[0].cause if shown.why else None
        if cause is Cause.SERVER_DEAF:
            return None  # a part of them would look like all of them
        if (state := _state(shown, cause)) is not None:
            states.append(state)
    return states


def _state(shown: ShownGateway, cause: Cause | None) -> GatewayState | None:
    gateway = shown.gateway
    if cause is Cause.NEVER_CONNECTED or gateway.changed_at is None or gateway.heard_at is None:
        return None
    is_away = cause in _AWAY
    # One that says that it is away, or of which the broker says it, changed then; one that fell
    # silent was last there when it was last heard.
    since = gateway.heard_at if is_away and gateway.is_online else gateway.changed_at
    return GatewayState(
        id=shown.standing.gateway_id,
        unit_id=shown.standing.care_unit_id,
        is_away=is_away,
        since=since,
    )
