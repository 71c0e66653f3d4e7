"""Whether an incident stood between a patient and us: then it is not known that one was missed.

What the rules of missed windows and of silence ask before they say anything, and who reminds a
patient before it does. It covers whose readings could not come, and nobody else: a gateway that
was there through the outage of its neighbours is judged as ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from ingest_service.outage.incident import Cause, Incident
from ingest_service.outage.rules import DEFAULT, OutageRules

# Not a canary that is lost, nor readings that are stored and not judged, nor deaf pages: those
# are somebody's to mend, and who did not measure then did not measure. A dead canary that covered
# everybody would mute what watches over them.
_OF_EVERYBODY: Final = frozenset({Cause.SERVER_DEAF, Cause.NOT_STORED})


def covers(
    incidents: Iterable[Incident],
    *,
    gateway_id: str | None,
    at: datetime,
    rules: OutageRules = DEFAULT,
) -> bool:
    """Tell whether at that time readings of this gateway's home could not be known to come.

    Args:
        incidents: Those that stand, and those that ended not long before ``at``.
        gateway_id: Of the home; absent where nobody knows it: then only an incident of our own
            parts covers it.
        at: The time that is asked about, not after now.
        rules: For how long whoever is back is still covered.
    """
    return overlaps(incidents, gateway_id=gateway_id, since=at, until=at, rules=rules)


def overlaps(
    incidents: Iterable[Incident],
    *,
    gateway_id: str | None,
    since: datetime,
    until: datetime,
    rules: OutageRules = DEFAULT,
) -> bool:
    """Tell the same of any moment from ``since`` to ``until``, both included: of a window."""
    return any(
        began_at <= until and (ended_at is None or since <= ended_at + rules.catch_up)
        for began_at, ended_at in _spans(incidents, gateway_id)
    )


def _spans(
    incidents: Iterable[Incident], gateway_id: str | None
) -> Iterable[tuple[datetime, datetime | None]]:
    for incident in incidents:
        if incident.cause in _OF_EVERYBODY:
            # It began after the last sign that everything worked, and ended when it was calm.
            yield incident.began_at, incident.calm_since if incident.ended_at else None
            continue
        away = incident.gateways.get(gateway_id or "")
        if away is not None:
            yield away.since, away.back_at or incident.ended_at
