"""An alert's life as rules and time drive it, after it was raised.

Everything here changes the `Case` that it is given. What persons do is in `acting`. Nothing here
ends an alert: a red that was raised waits, is asked for again and again, and is ended by a person
(docs/adr/0037).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from ingest_service.alerts import response, telling
from ingest_service.alerts.alert import Alert, Event, State
from ingest_service.alerts.case import Case
from ingest_service.plans.hours import is_open
from ingest_service.plans.limits import Level

_INSTANT: Final = timedelta(microseconds=1)

#: Why an alert is nobody's again, as `unassign` and the log have it.
NOT_FINISHED: Final = "not_finished"
SIGNED_OUT: Final = "signed_out"
SHIFT_ENDED: Final = "shift_ended"
ABSENT: Final = "absent"


def on_raised(case: Case, alert: Alert, *, now: datetime) -> Alert:
    """Return an alert that is raised now, or again, with its clock running; tell who must know.

    The latch calls it with the alert as it will be and before it notes the change. Whoever
    had it has it no more, and a pause is over (A7). A red tells the nurse in hours; out of hours
    the patient, the kin and the backup unit (A12).

    What was waiting already is due no later than before: else a value that grows worse step by
    step would never be escalated.
    """
    known = case.find(alert.id)
    # A red that was escalated goes on where it was; what has become more urgent begins anew.
    was_red = known is not None and known.priority is Level.RED
    count = known.escalations if known is not None and was_red else 0
    raised = waiting(case, replace(alert, raised_at=now, escalations=count), now)
    if known is not None and known.state is State.NEW and known.due_at is not None:
        earlier = [due for due in (known.due_at, raised.due_at) if due is not None]
        raised = replace(raised, due_at=min(earlier))
    telling.waits(case, raised, now)
    return raised


def waiting(case: Case, alert: Alert, at: datetime) -> Alert:
    """Return the alert as nobody's, waiting to be taken from ``at`` on."""
    return replace(
        alert,
        state=State.NEW,
        owner=None,
        paused_until=None,
        pause_reason=None,
        due_at=response.take_by(case, alert, at, escalations=alert.escalations),
    )


def ended(alert: Alert, outcome: str, now: datetime) -> Alert:
    """Return the alert as resolved: nobody's, and with nothing to wait for."""
    return replace(
        alert,
        state=State.RESOLVED,
        owner=None,
        paused_until=None,
        pause_reason=None,
        confirm_by=None,
        due_at=None,
        outcome=outcome,
        resolved_at=now,
    )


def due_of(alert: Alert) -> datetime | None:
    """Return when time next does something to this alert by `pass_deadline`."""
    is_waiting = alert.state in {State.NEW, State.TAKEN, State.PAUSED}
    return alert.due_at if is_waiting else None


def pass_deadline(case: Case, alert: Alert, at: datetime) -> None:
    """Do what becomes of an alert whose ``due_at`` has come; nothing if it has not.

    Nobody took it: it escalates. Its owner did not finish: it is nobody's again, and escalates
    (A6). Its pause is over: it waits again.
    """
    due = due_of(alert)
    if due is None or at < due:
        return
    match alert.state:
        case State.NEW:
            _escalate(case, alert, at)
        case State.TAKEN:
            _take_from_owner(case, alert, at)
        case State.PAUSED:
            back = waiting(case, alert, at)
            detail = {"reason": alert.pause_reason or ""}
            case.change(back, Event.PAUSE_ENDED, at=at, detail=detail)
            telling.waits(case, back, at)
        case State.AWAITING | State.RESOLVED:
            return  # nothing of these is due: `due_of`


def unassign(case: Case, owner: str, reason: str, *, now: datetime) -> tuple[Alert, ...]:
    """Let everything that one person owns be nobody's, and return it (A6).

    ``reason`` is `SIGNED_OUT`, `SHIFT_ENDED` or `ABSENT`.
    """
    owned = [one for one in case.alerts.values() if one.owner == owner]
    return tuple(_give_back(case, one, reason, now) for one in owned)


def _give_back(case: Case, alert: Alert, reason: str, now: datetime) -> Alert:
    back = waiting(case, alert, now)
    detail = {"owner": alert.owner or "", "reason": reason}
    case.change(back, Event.UNASSIGNED, at=now, detail=detail)
    telling.waits(case, back, now, is_back=True)
    return back


def _take_from_owner(case: Case, alert: Alert, at: datetime) -> None:
    left = waiting(case, alert, at)
    detail = {"owner": alert.owner or "", "reason": NOT_FINISHED}
    case.change(left, Event.UNASSIGNED, at=at, detail=detail)
    telling.waits(case, left, at, is_back=True)
    _escalate(case, left, at, is_home_told=True)


def _escalate(case: Case, alert: Alert, at: datetime, *, is_home_told: bool = False) -> None:
    count = alert.escalations + 1
    due = response.take_by(case, alert, at, escalations=count)
    escalated = replace(alert, escalations=count, due_at=due)
    is_closing = not is_open(case.hours, at) and is_open(case.hours, at - _INSTANT)
    if alert.priority is Level.RED and is_closing and not is_home_told:
        telling.at_home(case, escalated, at)
    told = telling.escalation(case, escalated, at)
    case.change(
        escalated,
        Event.ESCALATED,
        at=at,
        detail={"number": str(count), "told": msgspec.Raw(msgspec.json.encode(told))},
    )
