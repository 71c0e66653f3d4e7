"""A patient of a unit that is open on weekdays from 8 to 16, and alerts as rules raise them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from ingest_service.alerts import life
from ingest_service.alerts.alert import Alert, Event, Evidence, State
from ingest_service.alerts.backup import Agreement, When
from ingest_service.alerts.case import Case
from ingest_service.alerts.history import History
from ingest_service.messages.message import Kind, Message, Recipient
from ingest_service.plans.hours import Hours, Opening, ResponseTimes, Week
from ingest_service.plans.limits import Level
from ingest_service.plans.plan import OnRed, Plan, Status

_SPACE: Final = UUID("00000000-0000-4000-8000-000000000000")
_DAY: Final = (Opening(start="08:00", end="16:00"),)

RULE: Final = "limit.spo2"
BACKUP: Final = uuid5(_SPACE, "backup")

# HSA-ids of nobody.
ANNA: Final = "SE2321000016-1001"
BERIT: Final = "SE2321000016-1002"
CILLA: Final = "SE2321000016-1003"
LEAD: Final = "SE2321000016-1009"

#: Takes a red within 30 opening minutes, a yellow within 4 hours; finishes a red in an hour.
HOURS: Final = Hours(
    zone="Europe/Stockholm",
    weekly=Week(monday=_DAY, tuesday=_DAY, wednesday=_DAY, thursday=_DAY, friday=_DAY),
    respond_within_min=ResponseTimes(red=30, yellow=240, blue=480),
    finish_within_min=60,
)


def local(text: str) -> datetime:
    """Return a time of November or December 2026 in Stockholm, an hour ahead of UTC."""
    return datetime.fromisoformat(f"2026-{text}:00+01:00").astimezone(UTC)


MORNING: Final = local("11-25T09:00")  # a Wednesday, open
NIGHT: Final = local("11-28T02:00")  # a Saturday, closed until Monday at 8
MONDAY: Final = local("11-30T08:00")
LATE_FRIDAY: Final = local("11-27T15:50")
CLOSING: Final = local("11-27T16:00")


def minutes(count: int) -> timedelta:
    """Return so many minutes."""
    return timedelta(minutes=count)


def backup(when: When, *, right_h: int = 12) -> Agreement:
    """Return an agreement that has long been in force."""
    return Agreement(
        id=uuid5(_SPACE, when),
        backup_unit_id=BACKUP,
        when=when,
        since=datetime(2026, 1, 1, tzinfo=UTC),
        right_h=right_h,
    )


def plan(*, tell_patient: bool = True, tell_kin: bool = False) -> Plan:
    """Return a plan that says what to do on red."""
    return Plan(
        id=uuid5(_SPACE, "plan"),
        version=1,
        patient_id=uuid5(_SPACE, "patient"),
        care_unit_id=uuid5(_SPACE, "unit"),
        programme="copd",
        status=Status.ACTIVE,
        since=datetime(2026, 1, 1, tzinfo=UTC),
        on_red=OnRed(
            in_hours="Ring.",
            out_of_hours="Se egenvårdsplanen.",
            tell_patient=tell_patient,
            tell_kin=tell_kin,
        ),
        language="sv",
        kin_language="fi",
    )


def patient(*agreements: Agreement, **changes: Any) -> Case:
    """Return a patient without alerts."""
    given: dict[str, Any] = {
        "patient_id": uuid5(_SPACE, "patient"),
        "care_unit_id": uuid5(_SPACE, "unit"),
        "plan": plan(),
        "hours": HOURS,
        "history": History(),
        "judged_through": MORNING,
        "agreements": agreements,
    }
    return Case(**(given | changes))


def raised(
    case: Case, at: datetime = MORNING, *, priority: Level = Level.RED, rule: str = RULE
) -> Alert:
    """Raise an alert, or raise the open one of that rule again, as the latch does."""
    known = case.alerts.get(rule)
    reading = Evidence(
        observation_id=uuid5(_SPACE, f"{rule} {at}"), code="59408-5", effective_at=at
    )
    alert = Alert(
        id=known.id if known else uuid5(_SPACE, f"{rule} {at}"),
        rule=rule,
        rule_version=1,
        priority=max(priority, known.priority if known else priority, key=lambda one: one.rank),
        state=State.NEW,
        readings=(*(known.readings if known else ()), reading),
        escalations=known.escalations if known else 0,
        version=known.version if known else 1,
    )
    event = Event.RERAISED if known else Event.RAISED
    case.change(life.on_raised(case, alert, now=at), event, at=at)
    return case.alerts[rule]


def pass_time(case: Case, until: datetime) -> None:
    """Let every deadline of an alert up to a time come, each at its own, in order."""
    while due := [
        (at, alert.rule)
        for alert in case.alerts.values()
        if (at := life.due_of(alert)) is not None and at <= until
    ]:
        at, rule = min(due)
        life.pass_deadline(case, case.alerts[rule], at)


def told(case: Case) -> list[tuple[Kind, Recipient]]:
    """Return who was told what, in order, and forget it."""
    found = [(message.kind, message.recipient) for message in case.messages]
    case.messages.clear()
    return found


def said(case: Case) -> list[Message]:
    """Return what was said, in order, and forget it."""
    found = list(case.messages)
    case.messages.clear()
    return found


def events(case: Case) -> list[Event]:
    """Return what happened, in order."""
    return [change.event for change in case.changes]
