"""Our own parts: one incident while they are broken, by what is nearest to us."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from ingest_service.outage.incident import Cause, Change, Event, Incident, Kind, id_of
from ingest_service.outage.rules import OutageRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What the jobs know of our own parts; what is absent says nothing.

    ``deaf_since`` is since when gateways are not heard, absent while they are. ``stored_to`` and
    ``judged_to`` are up to when the canary's readings are, ``canary_heard_at`` when it last said
    that it is there: without it, its readings would not come either.
    """

    deaf_since: datetime | None = None
    stored_to: datetime | None = None
    judged_to: datetime | None = None
    canary_heard_at: datetime | None = None


def judge(
    chain: Chain, standing: Incident | None, *, now: datetime, rules: OutageRules
) -> Change | None:
    """Return what becomes of the jobs' incident of our own parts, if anything.

    Args:
        chain: What is known.
        standing: The incident of this kind that stands, if one does.
        now: The time it is.
        rules: The numbers.
    """
    cause, since = _broken(chain, now, rules)
    return follow(Kind.CHAIN, cause, since, standing, now=now, rules=rules)


def follow(
    kind: Kind,
    cause: Cause | None,
    since: datetime,
    standing: Incident | None,
    *,
    now: datetime,
    rules: OutageRules,
) -> Change | None:
    """Open an incident while there is a cause; end it once there was none for a while.

    Args:
        kind: Which one.
        cause: What is broken now, if anything.
        since: Since when that is so.
        standing: The incident of this kind that stands, if one does.
        now: The time it is.
        rules: The numbers.
    """
    if standing is None:
        if cause is None:
            return None
        opened = Incident(
            id=id_of(kind, None, now),
            kind=kind,
            cause=cause,
            unit_id=None,
            began_at=since,
            opened_at=now,
        )
        return Change(after=opened, event=Event.OPENED)
    if cause is not None:
        after = replace(standing, cause=cause, calm_since=None)
        if after == standing:
            return None
        return Change(after=after, event=Event.CHANGED if cause != standing.cause else None)
    calm_since = standing.calm_since or now
    after = replace(standing, calm_since=calm_since)
    if now - calm_since >= rules.calm:
        return Change(after=replace(after, ended_at=now), event=Event.ENDED)
    return Change(after=after) if after != standing else None


def _broken(chain: Chain, now: datetime, rules: OutageRules) -> tuple[Cause | None, datetime]:
    """Return what is broken, nearest to us first, and since when."""
    late = rules.canary_late
    if chain.deaf_since is not None:
        return Cause.SERVER_DEAF, chain.deaf_since
    if chain.stored_to is not None and now - chain.stored_to > late:
        is_heard = chain.canary_heard_at is not None and now - chain.canary_heard_at <= late
        return Cause.NOT_STORED if is_heard else Cause.CANARY_LOST, chain.stored_to
    if chain.judged_to is not None and now - chain.judged_to > late:
        return Cause.NOT_JUDGED, chain.judged_to
    return None, now
