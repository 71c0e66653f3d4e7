"""What persons do to an alert: one action of one person, at one time.

Each function changes the `Case` that it is given and returns the alert as it is then, or raises an
`ActionError` and changes nothing. Who may act at all, and who leads a unit, is decided by
whoever calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import structs

from ingest_service.alerts import latch, response, telling
from ingest_service.alerts.actions import (
    NOTE_MOST,
    PERSON_MOST,
    REASON_MOST,
    Action,
    Assign,
    Note,
    Pause,
    Release,
    Remeasure,
    Reopen,
    Resolve,
    Resume,
    Take,
    Undo,
    Withdraw,
)
from ingest_service.alerts.alert import Alert, Before, Event, State, Undoable
from ingest_service.alerts.case import BY_RULES, Case
from ingest_service.alerts.life import ended, waiting
from ingest_service.alerts.outcomes import DECEASED, OUTCOMES, WITHDRAWN
from ingest_service.alerts.refusals import (
    EndedError,
    First,
    RefusedError,
    TakenError,
    UnknownAlertError,
)
from ingest_service.messages import kinds
from ingest_service.messages.kinds import Subject
from ingest_service.plans.limits import Level

#: How long a person may take their last action back.
UNDO_WITHIN: Final = timedelta(seconds=10)

#: For how long a request to measure again is of use to the patient.
ANSWER_WITHIN: Final = timedelta(minutes=30)


def act(case: Case, alert_id: UUID, action: Action, *, by: str, now: datetime) -> Alert:
    """Do what a person does to an alert, and return it as it is then.

    Args:
        case: The patient; it holds the alert, unresolved or among the ended.
        alert_id: Which alert.
        action: What is done.
        by: Who does it, an HSA-id; it stands in the log as the signature.
        now: When.

    Returns:
        The alert; or the open one of its rule, where one is opened again beside that.

    Raises:
        UnknownAlertError: If the patient has no such alert.
        TakenError: If somebody else owns it; says who and since when.
        EndedError: If it is resolved already; says by whom and when.
        RefusedError: If it is in no state for this, or what was given is out of bounds.
    """
    alert = case.find(alert_id)
    if alert is None:
        raise UnknownAlertError(alert_id)
    deed = _Deed(case=case, alert=alert, by=by, now=now)
    match action:
        case Undo():
            return deed.undo()
        case Note():
            return deed.note(action)
        case Reopen():
            return deed.reopen(action)
        case _:
            return deed.on_open(action)


def reassign_all(
    case: Case, owner: str, to: str, reason: str, *, by: str, now: datetime
) -> tuple[Alert, ...]:
    """Give everything that one person owns to another: what a unit's lead does (A6)."""
    owned = [one for one in case.alerts.values() if one.owner == owner]
    action = Assign(to=to, reason=reason, held_by=owner)
    return tuple(act(case, one.id, action, by=by, now=now) for one in owned)


def deceased(case: Case, *, by: str, now: datetime) -> tuple[Alert, ...]:
    """End everything of a patient who has died, and let no message be sent to their home any more.

    What is stored stays. From now on nothing is expected of them; what still arrives is judged as
    before, for whoever found this out may have been mistaken.
    """
    case.is_deceased = True
    telling.not_any_more(case)
    standing = tuple(case.alerts.values())
    for alert in standing:
        after = ended(alert, DECEASED, now)
        case.change(after, Event.RESOLVED, at=now, by=by, detail={"outcome": DECEASED})
    return tuple(_stands(case, alert) for alert in standing)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deed:
    """One person at one alert at one time."""

    case: Case
    alert: Alert
    by: str
    now: datetime

    def on_open(
        self, action: Take | Release | Assign | Pause | Resume | Remeasure | Resolve | Withdraw
    ) -> Alert:
        """Do what needs an open alert that nobody else owns."""
        self._check_is_free(action)
        match action:
            case Take():
                after = self.take()
            case Release():
                after = self.release()
            case Assign():
                after = self.assign(action)
            case Pause():
                after = self.pause(action)
            case Resume():
                after = self.resume()
            case Remeasure():
                after = self.remeasure()
            case Resolve():
                after = self.resolve(action)
            case Withdraw():
                after = self.withdraw(action)
        return after

    def _check_is_free(self, action: Action) -> None:
        """Refuse what comes second, and what comes before anybody was alerted."""
        alert = self.alert
        if alert.state is State.RESOLVED:
            first = First(by=alert.state_by or BY_RULES, at=alert.state_at)
            raise EndedError(alert.id, "it was resolved by", first)
        if alert.state is State.AWAITING:
            raise RefusedError(alert.id, "a second value is waited for; nobody is alerted yet.")
        known = action.held_by if isinstance(action, Assign) else self.by
        if alert.owner is not None and alert.owner != known:
            first = First(by=alert.owner, at=alert.state_at)
            raise TakenError(alert.id, "it was taken by", first)

    def take(self) -> Alert:
        if self.alert.owner == self.by:
            return self.alert
        telling.not_to_staff(self.case, self.alert)
        return self._done(self._owned(self.by), Event.TAKEN)

    def release(self) -> Alert:
        if self.alert.state is not State.TAKEN:
            raise self._refused("nobody owns it, so nobody can give it back.")
        released = waiting(self.case, self.alert, self.now)
        telling.waits(self.case, released, self.now, is_back=True)
        return self._done(released, Event.RELEASED)

    def assign(self, action: Assign) -> Alert:
        to = self._text("The colleague's id", action.to, PERSON_MOST)
        reason = self._text("The reason", action.reason, REASON_MOST)
        if self.alert.owner == to:
            return self.alert
        telling.not_to_staff(self.case, self.alert)
        detail = {"to": to, "from": self.alert.owner or "", "reason": reason}
        return self._done(self._owned(to), Event.ASSIGNED, detail)

    def pause(self, action: Pause) -> Alert:
        alert, until = self.alert, action.until
        reason = self._text("The reason", action.reason, REASON_MOST)
        if alert.state is State.PAUSED:
            raise self._refused(f"it is paused already, by {alert.state_by}.")
        longest = response.LONGEST_PAUSE[alert.priority]
        if until.tzinfo is None or not self.now < until <= self.now + longest:
            minutes = longest // timedelta(minutes=1)
            raise self._refused(
                f"a {alert.priority} one can be paused for {minutes} minutes from now at most."
            )
        paused = replace(
            alert,
            state=State.PAUSED,
            owner=None,
            paused_until=until,
            pause_reason=reason,
            due_at=until,
        )
        telling.not_to_staff(self.case, alert)
        detail = {"until": until.isoformat(), "reason": reason}
        return self._done(paused, Event.PAUSED, detail)

    def resume(self) -> Alert:
        if self.alert.state is not State.PAUSED:
            raise self._refused("it is not paused.")
        resumed = waiting(self.case, self.alert, self.now)
        telling.waits(self.case, resumed, self.now)
        return self._done(resumed, Event.RESUMED)

    def remeasure(self) -> Alert:
        """Ask the patient; it cannot be undone, for the patient may have been told already."""
        if self.case.is_deceased:
            raise self._refused("the patient has died.")
        language = None if self.case.plan is None else self.case.plan.language
        subject = Subject(patient_id=self.case.patient_id, care_unit_id=self.case.care_unit_id)
        self.case.messages.append(
            kinds.remeasure_request(subject, self.alert.id, self.now + ANSWER_WITHIN, language)
        )
        self.case.change(self.alert, Event.REMEASURE_ASKED, at=self.now, by=self.by)
        return _stands(self.case, self.alert)

    def _check_is_settled(self) -> None:
        """Refuse to end what may be red in minutes: it waits for a second value (A4)."""
        if latch.pending(self.alert) and self.alert.confirm_by is not None:
            until = self.alert.confirm_by.isoformat(timespec="seconds")
            raise self._refused(f"a red value waits for a second one until {until}.")

    def resolve(self, action: Resolve) -> Alert:
        self._check_is_settled()
        outcome = OUTCOMES.get(action.outcome)
        if outcome is None or not outcome.is_for_persons:
            raise self._refused("there is no such outcome to choose.")
        if self.alert.priority is Level.RED and not outcome.is_for_red:
            raise self._refused(f"a red one cannot end as {outcome.code}.")
        note = action.note.strip()
        if note or self.alert.priority is not Level.BLUE:
            note = self._text("The note", note, NOTE_MOST)
        telling.not_at_all(self.case, self.alert)
        detail = {"outcome": outcome.code, "note": note}
        return self._done(ended(self.alert, outcome.code, self.now), Event.RESOLVED, detail)

    def withdraw(self, action: Withdraw) -> Alert:
        self._check_is_settled()
        reason = self._text("The reason", action.reason, REASON_MOST)
        if not any(reading.is_withdrawn for reading in self.alert.readings):
            raise self._refused(
                "nothing that it rests on was taken back; resolve it with an outcome."
            )
        telling.not_at_all(self.case, self.alert)
        after = ended(self.alert, WITHDRAWN, self.now)
        return self._done(after, Event.WITHDRAWN, {"reason": reason})

    def note(self, action: Note) -> Alert:
        text = self._text("The note", action.text, NOTE_MOST)
        return self._done(self.alert, Event.NOTED, {"note": text})

    def reopen(self, action: Reopen) -> Alert:
        reason = self._text("The reason", action.reason, REASON_MOST)
        if self.alert.state is not State.RESOLVED:
            raise self._refused("it is open.")
        standing = self.case.alerts.get(self.alert.rule)
        if standing is not None:
            # There is never a second open one of a rule: this one stands for both.
            detail = {"reason": reason, "alert": str(self.alert.id)}
            return replace(self, alert=standing).join(self.alert, detail)
        opened = replace(self.alert, outcome=None, resolved_at=None, escalations=0)
        return self._done(self._raised(opened), Event.REOPENED, {"reason": reason})

    def join(self, old: Alert, detail: Mapping[str, str]) -> Alert:
        after = self.alert
        if old.priority.rank > after.priority.rank:
            # It is more urgent than whoever has it knew.
            after = self._raised(replace(after, priority=old.priority, escalations=0))
        return self._done(after, Event.REOPENED, detail)

    def _raised(self, alert: Alert) -> Alert:
        raised = waiting(self.case, replace(alert, raised_at=self.now), self.now)
        telling.waits(self.case, raised, self.now)
        return raised

    def undo(self) -> Alert:
        alert, step = self.alert, self.alert.undo
        if step is None:
            raise self._refused("something else has happened to it since; nothing can be undone.")
        if step.by != self.by:
            raise self._refused(f"what was done last was done by {step.by}.")
        if self.now - step.at > UNDO_WITHIN:
            seconds = UNDO_WITHIN // timedelta(seconds=1)
            raise self._refused(f"what was done more than {seconds} seconds ago stands.")
        other = self.case.alerts.get(alert.rule)
        if other is not None and other.id != alert.id:
            raise self._refused("a new one has been raised since.")
        before = step.before
        if before.owner not in {None, self.by}:
            # Who handed it over cannot know whether that person is still there.
            raise self._refused(f"assign it to {before.owner} instead.")
        restored = replace(alert, **structs.asdict(before))
        # What was to be told before may have gone unsaid because of what is undone now.
        if restored.state is State.NEW and alert.state is not State.NEW:
            telling.waits(self.case, restored, self.now)
        elif restored.state is not State.NEW:
            telling.not_to_staff(self.case, restored)
        self.case.change(restored, Event.UNDONE, at=self.now, by=self.by)
        return _stands(self.case, alert)

    def _owned(self, owner: str) -> Alert:
        return replace(
            self.alert,
            state=State.TAKEN,
            owner=owner,
            paused_until=None,
            pause_reason=None,
            due_at=response.finish_by(self.case, self.alert, self.now),
        )

    def _done(self, after: Alert, event: Event, detail: Mapping[str, str] | None = None) -> Alert:
        before = Before(**{name: getattr(self.alert, name) for name in Before.__struct_fields__})
        self.case.change(
            after,
            event,
            at=self.now,
            by=self.by,
            detail=dict(detail or {}),
            undo=Undoable(by=self.by, at=self.now, before=before),
        )
        return _stands(self.case, self.alert)

    def _text(self, what: str, text: str, most: int) -> str:
        text = text.strip()
        if not text or len(text) > most:
            raise self._refused(f"{what} must have 1 to {most} characters.")
        return text

    def _refused(self, text: str) -> RefusedError:
        return RefusedError(self.alert.id, text)


def _stands(case: Case, alert: Alert) -> Alert:
    known = case.find(alert.id)
    if known is None:
        raise UnknownAlertError(alert.id)
    return known
