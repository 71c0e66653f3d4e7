"""The legs of the canary's way, and which one is deaf; pure, the time is an argument."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

#: Older than that, readings do not come through; the same as `OutageRules.canary_late`.
LATE_AFTER: Final = timedelta(minutes=3)


class Leg(StrEnum):
    """One leg, in the order in which a reading passes them."""

    PUBLISHED = "published"  # the broker took it at the gateways' door
    STORED = "stored"  # its receipt came: the database has it
    JUDGED = "judged"  # it stands in an alert
    JOB = "job"  # the time-driven jobs saw that
    PAGE = "page"  # the pages heard of it


#: What to look at, for who is woken.
ADVICE: Final = {
    Leg.PUBLISHED: "the broker at the gateways' door (8883), its certificates and its list of"
    " revoked ones, and the canary's own certificate",
    Leg.STORED: "the ingest workers (/readyz), the broker at the services' door (8884), the"
    " database, and the quarantine",
    Leg.JUDGED: "the ingest workers' logs for 'could not judge', and the canary's limits or plan"
    " (hemvital-ingest canary setup)",
    Leg.JOB: "the jobs' process (/readyz) and the database",
    Leg.PAGE: "the API's process (/readyz) and its connection to the database",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """For each leg the time of the newest reading that is known to have passed it.

    ``looked_at`` is when the jobs last looked, whatever they saw; ``why`` is what the last
    visit at the door said against it. Without ``has_page`` nobody asks the pages.
    """

    published: datetime | None = None
    stored: datetime | None = None
    judged: datetime | None = None
    looked_at: datetime | None = None
    page: datetime | None = None
    has_page: bool = True
    why: str | None = None

    @property
    def passed_at(self) -> datetime | None:
        """Return the newest reading's time that came through every part."""
        times = [self.stored, self.judged, *([self.page] if self.has_page else [])]
        known = [each for each in times if each is not None]
        return min(known) if len(known) == len(times) else None

    def at(self, leg: Leg) -> datetime | None:
        """Return when this leg was last known to work."""
        match leg:
            case Leg.PUBLISHED:
                return self.published
            case Leg.STORED:
                return self.stored
            case Leg.JUDGED:
                return self.judged
            case Leg.JOB:
                return self.looked_at
            case Leg.PAGE:
                return self.page


def age(way: Way, now: datetime) -> timedelta | None:
    """Return how old the newest reading is that came through; nothing where none did."""
    at = way.passed_at
    return None if at is None else max(now - at, timedelta())


def deaf(way: Way, *, began_at: datetime, now: datetime) -> Leg | None:
    """Return the leg that is deaf, or nothing while all work.

    What a leg cannot have seen for want of an earlier one is that one's fault. Judging is seen
    through the jobs, so they come before it here: while they do not look, nobody knows.

    Args:
        way: What is known.
        began_at: Since when it is looked at: nothing is late before three minutes of that.
        now: The time it is.
    """
    order = [Leg.PUBLISHED, Leg.STORED, Leg.JOB, Leg.JUDGED]
    for leg in [*order, *([Leg.PAGE] if way.has_page else [])]:
        if now - max(way.at(leg) or began_at, began_at) > LATE_AFTER:
            return leg
    return None


def sentence(way: Way, leg: Leg, now: datetime) -> str:
    """Return what is wrong, in one line for the person who is woken."""
    at = way.at(leg)
    since = f"since {at:%Y-%m-%d %H:%M:%S} UTC" if at else "since the canary began"
    why = f" ({way.why})" if way.why and leg in (Leg.PUBLISHED, Leg.STORED) else ""
    minutes = f", {(now - at).total_seconds() / 60:.0f} min ago" if at else ""
    return f"canary: nothing passes the leg '{leg}' {since}{minutes}{why}: look at {ADVICE[leg]}"


def merged(way: Way, **times: datetime | None) -> Way:
    """Return the way with newer times; what was known never goes back.

    >>> t = datetime.fromisoformat("2026-03-01T09:41:00+00:00")
    >>> merged(Way(stored=t), stored=None).stored == t
    True
    """
    newer = {
        name: max((each for each in (getattr(way, name), at) if each is not None), default=None)
        for name, at in times.items()
    }
    return replace(way, **newer)
