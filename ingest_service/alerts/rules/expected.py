"""What a patient was to measure: windows that have ended, and which of them were kept.

What time alone brings about rests on this: a missed window, silence, and that nobody sees the
patient at present. A window is judged `GRACE` after its end, for readings are a while on their
way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ingest_service.alerts.case import Case
from ingest_service.alerts.outcomes import OUTCOMES
from ingest_service.plans import windows
from ingest_service.plans.limits import Family, Level
from ingest_service.plans.plan import Activity, Plan
from ingest_service.plans.windows import Occurrence, occurrences

#: What the rules begin with that look at what was measured or answered.
OF_VALUES: Final = ("limit.", "sustained.", "baseline.", "change.", "symptom.", "reconnect")

GRACE: Final = timedelta(minutes=15)

#: How far windows are looked for: a monthly one is found, and no search is endless.
HORIZON: Final = timedelta(days=45)
_NEAR: Final = timedelta(days=4)  # enough for most plans, and cheap


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A window of one family that has ended, and whether it was kept."""

    family: Family
    occurrence: Occurrence
    is_kept: bool


def activities(plan: Plan) -> Sequence[Activity]:
    """Return what is to be measured in windows; without windows nothing can be missed."""
    return [one for one in plan.activities if one.windows]


def judged_at(occurrence: Occurrence) -> datetime:
    """Return when it is known whether a window was kept."""
    return occurrence.ends_at + GRACE


def ended(
    case: Case, plan: Plan, activity: Activity, *, until: datetime, most: int
) -> list[Expected]:
    """Return the last of the activity's windows that are judged by then, oldest first.

    Windows that began before the plan, or that a pause touches, were not expected.
    """
    found: list[Expected] = []
    begins = plan.since_of(activity)
    for back in (_NEAR, 2 * HORIZON):
        since = max(begins, until - back)
        found = [
            Expected(
                family=activity.family,
                occurrence=one,
                is_kept=bool(case.history.of(activity.family, one.starts_at, one.ends_at)),
            )
            for one in windows.ended(activity.windows, plan.time_zone, since, until - GRACE)
            if one.starts_at >= begins
            and not plan.is_paused(one.starts_at)
            and not plan.is_paused(one.ends_at)
        ][-most:]
        if len(found) == most or since == begins:
            break
    return found


def ahead(plan: Plan, activity: Activity, after: datetime) -> Iterator[Occurrence]:
    """Yield the activity's windows that are judged after that instant, in order."""
    for one in occurrences(
        activity.windows, plan.time_zone, after - GRACE - timedelta(days=1), after + HORIZON
    ):
        if judged_at(one) > after:
            yield one


def next_judged(plan: Plan, after: datetime) -> datetime | None:
    """Return when the next window of any activity is judged, after that instant."""
    firsts = (next(ahead(plan, one, after), None) for one in activities(plan))
    return min((judged_at(one) for one in firsts if one is not None), default=None)


def silent_since(case: Case, plan: Plan, activity: Activity, at: datetime) -> datetime:
    """Return since when nothing has come: the last reading, the plan's begin or a pause's end.

    The last reading that is known, even where time is judged late: who has measured since is not
    told to have been silent.
    """
    pauses = [one.until for one in plan.pauses if one.until is not None and one.until <= at]
    last = last_of(case, activity.family)
    return max([plan.since_of(activity), *pauses, *([last] if last else [])])


def last_of(case: Case, family: Family) -> datetime | None:
    """Return when a family was last measured; a clock that is ahead counts from the arrival."""
    newest = case.history.newest(family)
    return None if newest is None else min(newest.effective_at, newest.received_at)


def heard_of(case: Case, rule: str) -> datetime | None:
    """Return when a person last knew how the patient is.

    They ended what this rule said, or said of one family, as true; or an alert of values in
    contact with the patient. Who was not reached, or whose alert was an error, was not heard of;
    nor does what only informs, and is ended with others at once, tell of anybody.
    """
    return max(
        (
            alert.resolved_at
            for alert in case.ended.values()
            if alert.resolved_at is not None
            and alert.priority is not Level.BLUE
            and (outcome := OUTCOMES.get(alert.outcome or "")) is not None
            and outcome.is_for_persons
            and (
                outcome.is_true is True
                if alert.rule.partition(".")[0] == rule
                else outcome.is_contact and alert.rule.startswith(OF_VALUES)
            )
        ),
        default=None,
    )


def first_missed_after(plan: Plan, activity: Activity, since: datetime) -> datetime | None:
    """Return when the first window that begins after that instant is known to be missed.

    One that was under way may be the one that the last reading kept.
    """
    for one in ahead(plan, activity, since):
        if one.starts_at > since:
            return judged_at(one)
    return None
