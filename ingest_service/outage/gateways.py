"""Many gateways away at once are one incident, of one unit or of all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from ingest_service.outage.incident import (
    Away,
    Cause,
    Change,
    Event,
    Incident,
    Kind,
    id_of,
)
from ingest_service.outage.rules import OutageRules


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayState:
    """A gateway that was ever there: whether it is away now, and since when that is so."""

    id: str
    unit_id: UUID
    is_away: bool
    since: datetime


def judge(
    states: Collection[GatewayState],
    opened: Collection[Incident],
    *,
    now: datetime,
    rules: OutageRules,
) -> list[Change]:
    """Return what becomes of incidents of gateways; nothing where nothing changed.

    While one of all units stands no other is opened, and those that stood are merged into it. A
    gateway that goes later joins the incident of its unit or of all, however late.

    Args:
        states: Of every gateway that is known to be there or away; of none while we are deaf:
            ask nothing of this then.
        opened: Incidents of gateways that stand.
        now: The time it is.
        rules: The numbers.
    """
    by_id = {state.id: state for state in states}
    standing = {each.unit_id: each for each in opened}
    changes = list[Change]()
    if None not in standing:
        for unit_id, gone in _gone_at_once(states, now, rules).items():
            if unit_id in standing:
                continue
            if unit_id is None:
                merged = list(standing.values())
                standing.clear()
                changes += _all(gone, merged, now)
                break
            changes.append(Change(after=_open(unit_id, gone, now), event=Event.OPENED))
    changes += [
        change for each in standing.values() if (change := _go_on(each, by_id, now, rules))
    ]
    return changes


def _gone_at_once(
    states: Collection[GatewayState], now: datetime, rules: OutageRules
) -> Mapping[UUID | None, Sequence[GatewayState]]:
    """Return those that went at once, by the unit whose incident that is; None first, alone."""
    recent = [s for s in states if s.is_away and now - s.since <= rules.within]
    there = [s for s in states if not s.is_away]
    units = {s.unit_id for s in recent}
    is_of_all = _is_many(recent, there, count=rules.all_count, share=rules.all_share)
    if is_of_all and len(units) > 1:
        return {None: recent}
    found = dict[UUID | None, Sequence[GatewayState]]()
    for unit_id in sorted(units):
        gone = _of(recent, unit_id)
        left = _of(there, unit_id)
        if is_of_all or _is_many(gone, left, count=rules.unit_count, share=rules.unit_share):
            found[unit_id] = gone
    return found


def _is_many(
    gone: Collection[GatewayState], left: Collection[GatewayState], *, count: int, share: float
) -> bool:
    before = len(gone) + len(left)
    return len(gone) >= count and len(gone) >= share * before


def _of(states: Iterable[GatewayState], unit_id: UUID) -> list[GatewayState]:
    return [state for state in states if state.unit_id == unit_id]


def _open(unit_id: UUID | None, gone: Collection[GatewayState], now: datetime) -> Incident:
    return Incident(
        id=id_of(Kind.GATEWAYS, unit_id, now),
        kind=Kind.GATEWAYS,
        cause=Cause.GATEWAYS_AWAY,
        unit_id=unit_id,
        began_at=min(state.since for state in gone),
        opened_at=now,
        gateways={state.id: Away(since=state.since) for state in gone},
        most=len(gone),
    )


def _all(
    gone: Collection[GatewayState], merged: Sequence[Incident], now: datetime
) -> list[Change]:
    """Open one of all units, and end in it what stood of single ones."""
    opened = _open(None, gone, now)
    gateways = dict(opened.gateways)
    for each in merged:
        gateways = {**gateways, **each.gateways}
    whole = replace(opened, gateways=gateways)
    whole = replace(
        whole,
        most=whole.away,
        began_at=min([opened.began_at, *(each.began_at for each in merged)]),
    )
    return [
        # First: those that end refer to it.
        Change(after=whole, event=Event.OPENED),
        *(
            Change(after=replace(each, ended_at=now, merged_into=whole.id), event=Event.MERGED)
            for each in merged
        ),
    ]


def _go_on(
    incident: Incident, by_id: Mapping[str, GatewayState], now: datetime, rules: OutageRules
) -> Change | None:
    gateways = dict(incident.gateways)
    for state in by_id.values():
        if incident.unit_id not in (None, state.unit_id):
            continue
        before = gateways.get(state.id)
        if state.is_away:
            if before is None and state.since >= incident.began_at - rules.within:
                gateways[state.id] = Away(since=state.since)
            elif before is not None and before.back_at is not None:
                gateways[state.id] = Away(since=before.since)  # away again: it never settled
        elif before is not None and before.back_at is None:
            gateways[state.id] = Away(since=before.since, back_at=max(state.since, before.since))
    after = replace(incident, gateways=gateways)
    after = replace(after, most=max(incident.most, after.away))
    is_calm = after.away < max(rules.unit_count, rules.ends_below * after.most)
    calm_since = (incident.calm_since or now) if is_calm else None
    after = replace(after, calm_since=calm_since)
    if calm_since is not None and now - calm_since >= rules.calm:
        return Change(after=replace(after, ended_at=now), event=Event.ENDED)
    if after == incident:
        return None
    event = None
    if after.away != incident.away:
        event = Event.GROWN if after.away > incident.away else Event.SHRUNK
    return Change(after=after, event=event)
