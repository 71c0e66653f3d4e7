"""Open, grow and end incidents by how gateways stand, what we hear and how old the canary is."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime

from ingest_service import gateways
from ingest_service.alerts.silence import DEAF_AFTER, Cause
from ingest_service.gateways import ShownGateway
from ingest_service.outage import chain as chains
from ingest_service.outage import gateways as many
from ingest_service.outage.chain import Chain
from ingest_service.outage.gateways import GatewayState
from ingest_service.outage.incident import Change, Kind
from ingest_service.outage.rules import OutageRules
from ingest_service.store import canary, incidents, standing
from ingest_service.store.connections import Connection, Pool

logger = logging.getLogger(__name__)

_AWAY = frozenset({Cause.GATEWAY_OFFLINE, Cause.CERTIFICATE})


async def watch(pool: Pool, *, now: datetime, rules: OutageRules) -> Sequence[Change]:
    """Decide once, in one transaction; return what changed.

    Run by the jobs each minute; a run that is missed needs no catching up, since what counts is
    since when gateways are away and not when that was looked at.
    """
    async with pool.connection() as connection, connection.transaction():
        changes = await decide(connection, now=now, rules=rules)
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


def tell(changes: Collection[Change]) -> None:
    """Log what happened; the operator's message hooks in here, by kind and numbers alone."""
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


async def _chain(connection: Connection, now: datetime) -> Chain:
    ears = await standing.listener(connection)
    seen = await canary.newest(connection)
    return Chain(
        deaf_since=ears[1] if ears and now - ears[1] > DEAF_AFTER else None,
        stored_to=seen.stored_to if seen else None,
        judged_to=seen.judged_to if seen else None,
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
