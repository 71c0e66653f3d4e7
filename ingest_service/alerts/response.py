"""Until when somebody must have taken or finished an alert, by the hours of its unit."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from ingest_service.alerts.alert import Alert
from ingest_service.alerts.backup import Agreement, When, in_force
from ingest_service.alerts.case import Case
from ingest_service.plans.hours import Hours, closes_next, deadline, is_open
from ingest_service.plans.limits import Level

#: How often what nobody takes is escalated; a red without end.
MOST_ESCALATIONS: Final = {Level.YELLOW: 3, Level.BLUE: 1}

#: How long an alert may be paused at most.
LONGEST_PAUSE: Final = {
    Level.RED: timedelta(minutes=30),
    Level.YELLOW: timedelta(hours=24),
    Level.BLUE: timedelta(hours=72),
}

#: A unit that does not open any more still has patients: its reds come up once a day.
IF_NEVER_OPEN: Final = timedelta(days=1)


def take_by(case: Case, alert: Alert, at: datetime, *, escalations: int = 0) -> datetime | None:
    """Return until when an alert that waits from ``at`` on is to be taken, before it escalates.

    It is counted in opening minutes. A red does not wait for the next opening where somebody can
    be asked before: it is due at closing time, and while the unit is closed its backup answers by
    the clock. What is not red waits longer after each escalation, and at last for good.
    """
    hours, priority = case.hours, alert.priority
    minutes = minutes_to_take(hours, priority)
    if priority is not Level.RED:
        if escalations >= MOST_ESCALATIONS[priority]:
            return None
        return deadline(hours, at, minutes << escalations)
    due = deadline(hours, at, minutes) or at + IF_NEVER_OPEN
    if is_open(hours, at):
        closing = closes_next(hours, at)
        return due if closing is None else min(due, closing)
    if out_of_hours(case, at) is not None:
        return min(due, at + timedelta(minutes=minutes))
    return due


def finish_by(case: Case, alert: Alert, at: datetime) -> datetime | None:
    """Return until when an alert that is taken at ``at`` is to be finished; only a red has to be.

    By the clock on the wall, not in opening minutes: who takes a red five minutes before closing
    and goes home would else have it until the next morning (A6).
    """
    if alert.priority is not Level.RED:
        return None
    return at + timedelta(minutes=case.hours.finish_within_min)


def minutes_to_take(hours: Hours, priority: Level) -> int:
    """Return within how many minutes an alert of this priority is to be taken."""
    match priority:
        case Level.RED:
            return hours.respond_within_min.red
        case Level.YELLOW:
            return hours.respond_within_min.yellow
        case Level.BLUE:
            return hours.respond_within_min.blue


def out_of_hours(case: Case, at: datetime) -> Agreement | None:
    """Return the agreement by which a backup unit answers now, the unit being closed."""
    if is_open(case.hours, at):
        return None
    return in_force(case.agreements, When.CLOSED, at)


def after_escalation(case: Case, at: datetime) -> Agreement | None:
    """Return the agreement by which a backup unit takes what the unit does not take."""
    return out_of_hours(case, at) or in_force(case.agreements, When.ESCALATED, at)
