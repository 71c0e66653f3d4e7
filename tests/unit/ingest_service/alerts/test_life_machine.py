"""Whatever comes in whatever order: no red that was raised is lost before a person ends it.

Readings, nurses' actions, sign-outs and passing time in arbitrary sequences, against what may
never happen. That is told from the log of changes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ingest_service.alerts import acting, engine, life
from ingest_service.alerts.actions import (
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
from ingest_service.alerts.alert import Alert, Event, State
from ingest_service.alerts.backup import Agreement, When
from ingest_service.alerts.case import BY_RULES, Change
from ingest_service.alerts.history import History, Reading
from ingest_service.alerts.refusals import ActionError, EndedError, TakenError
from ingest_service.plans.limits import Family, Level, Limits, Measure
from ingest_service.plans.plan import Approval, Confirm
from tests.support.alert_life import ANNA, BERIT, CILLA, LEAD, backup, local, patient, plan
from tests.support.cases import attempt, reading

NURSES: Final = (ANNA, BERIT, CILLA)
PERSONS: Final = {*NURSES, LEAD}
# From Friday evening to Monday morning, and half an hour of it: nothing waits longer for a red.
LONGEST_CLOSURE: Final = timedelta(hours=64, minutes=30)

SPO2: Final = Limits(
    red_low=Decimal(88), yellow_low=Decimal(91), immediate_low=Decimal(80), step=Decimal(2)
)
PULSE: Final = Limits(yellow_high=Decimal(110), red_high=Decimal(130), step=Decimal(10))

nurses = st.sampled_from(NURSES)
whiles = st.sampled_from(
    [timedelta(seconds=3), timedelta(seconds=12)]
    + [timedelta(minutes=count) for count in (1, 4, 16, 31, 61, 300)]
    + [timedelta(hours=20), timedelta(days=5)]
)
acts: st.SearchStrategy[Action | type[Pause | Assign]] = st.one_of(
    st.just(Take()),
    st.just(Take()),
    st.just(Release()),
    st.just(Resume()),
    st.just(Remeasure()),
    st.just(Note(text="Ringde.")),
    st.just(Reopen(reason="Igen")),
    st.just(Withdraw(reason="Fel person")),
    st.just(Undo()),
    st.just(Undo()),
    st.sampled_from(["advice_given", "not_reached", "measuring_error"]).map(
        lambda code: Resolve(outcome=code, note="Ringde.")
    ),
    st.just(Pause),
    st.just(Assign),
)


@dataclass(frozen=True, slots=True)
class Step:
    """How an alert was before a person's last action, and how it was after it."""

    by: str
    at: datetime
    before: Alert
    after: Alert


def said(alert: Alert) -> dict[str, object]:
    """Return all of an alert but what counts its changes."""
    counting = {"version", "undo"}
    return {
        one.name: getattr(alert, one.name) for one in fields(alert) if one.name not in counting
    }


class Ward(RuleBasedStateMachine):
    """One patient, three nurses and a lead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = local("11-25T09:00")
        self.count = 0
        self.read = 0
        self.case = patient()
        self.last: dict[UUID, Alert] = {}
        self.steps: dict[UUID, Step] = {}
        self.held_since: dict[UUID, datetime] = {}
        self.ended_by: dict[UUID, tuple[str, datetime]] = {}
        self.reds: set[UUID] = set()

    @initialize(
        at=st.sampled_from([local("11-25T09:00"), local("11-27T15:40"), local("11-28T02:00")]),
        agreements=st.sets(st.sampled_from(list(When))),
        confirm_min=st.sampled_from([0, 15]),
    )
    def begin(self, at: datetime, agreements: set[When], confirm_min: int) -> None:
        self.now = at
        approved = Approval(by=LEAD, role="physician", at=datetime(2026, 1, 1, tzinfo=UTC))
        confirm = Confirm(within_min=confirm_min)
        own = msgspec.structs.replace(
            plan(tell_kin=True),
            approval=approved,
            limits={Measure.SPO2: SPO2, Measure.PULSE: PULSE},
            confirm={Family.SPO2: confirm, Family.PULSE: confirm},
        )
        given: tuple[Agreement, ...] = tuple(backup(when) for when in sorted(agreements))
        self.case = patient(*given, plan=own, history=History(), judged_through=at)

    # What comes.

    @rule(value=st.integers(74, 96), ago=st.sampled_from([0, 0, 0, 5, 45, 4000]))
    def saturation(self, value: int, ago: int) -> None:
        self._take(self._reading(Family.SPO2, {Measure.SPO2: Decimal(value)}, ago))

    @rule(value=st.integers(60, 150), ago=st.sampled_from([0, 0, 10]))
    def pulse(self, value: int, ago: int) -> None:
        self._take(self._reading(Family.PULSE, {Measure.PULSE: Decimal(value)}, ago))

    def _reading(self, family: Family, values: dict[Measure, Decimal], ago: int) -> Reading:
        self.count += 1
        at = self.now - timedelta(minutes=ago, microseconds=self.count)
        return reading(family, values, at, identity=UUID(int=self.count))

    def _take(self, one: Reading) -> None:
        engine.take_reading(self.case, one, now=self.now)
        self._read()

    @rule(values=st.lists(st.integers(74, 96), min_size=2, max_size=12))
    def reconnect(self, values: list[int]) -> None:
        late = [
            self._reading(Family.SPO2, {Measure.SPO2: Decimal(value)}, 300 - 10 * number)
            for number, value in enumerate(values)
        ]
        engine.take_batch(self.case, late, now=self.now)
        self._read()

    @rule()
    def fail(self) -> None:
        self.count += 1
        failed = attempt(self.now, "59408-5", UUID(int=self.count))
        engine.take_attempt(self.case, failed, now=self.now)
        self._read()

    @rule(passed=whiles)
    def pass_time(self, passed: timedelta) -> None:
        before = dict(self.case.alerts)
        self.now += passed
        engine.advance(self.case, self.now)
        self._read()
        for known in before.values():
            alert = self.last[known.id]
            if (
                known.priority is Level.RED
                and known.state is State.NEW
                and passed > LONGEST_CLOSURE
            ):
                assert alert.escalations > known.escalations, "a red is escalated for ever"

    # What persons do.

    @precondition(lambda self: self.case.alerts or self.case.ended)
    @rule(data=st.data(), by=nurses, action=acts)
    def act(self, data: st.DataObject, by: str, action: Action | type[Pause | Assign]) -> None:
        alert = data.draw(st.sampled_from(self._in_sight()), label="alert")
        if action is Pause:
            minutes = data.draw(st.sampled_from([1, 29, 31, 600]), label="minutes")
            action = Pause(until=self.now + timedelta(minutes=minutes), reason="Sover")
        elif action is Assign:
            to = data.draw(nurses, label="to")
            held_by = data.draw(st.sampled_from([None, *NURSES]), label="held by")
            action = Assign(to=to, reason="Rast", held_by=held_by)
        if not isinstance(action, type):
            self._act(alert, action, by)

    def _act(self, alert: Alert, action: Action, by: str) -> None:
        changes, name = len(self.case.changes), type(action).__name__
        try:
            after = acting.act(self.case, alert.id, action, by=by, now=self.now)
        except ActionError as error:
            event(f"{name} refused: {type(error).__name__}")
            self._check_refusal(alert, error)
            assert len(self.case.changes) == changes, "what is refused changes nothing"
            return
        event(name)
        assert len(self.case.changes) - changes <= 1
        if not isinstance(action, Note | Reopen | Undo):
            held_by = action.held_by if isinstance(action, Assign) else by
            assert alert.owner in {None, held_by}, "nobody acts on what is another's"
        if isinstance(action, Undo):
            step = self.steps[alert.id]
            assert step.by == by
            assert self.now - step.at <= timedelta(seconds=10)
            assert step.after.version == alert.version, "nothing happened in between"
            assert said(after) == said(step.before)
        self._read()
        if len(self.case.changes) > changes and not isinstance(action, Undo):
            before = alert if after.id == alert.id else self._was(after.id)
            self.steps[after.id] = Step(by, self.now, before, after)

    def _check_refusal(self, alert: Alert, error: ActionError) -> None:
        assert self.case.find(alert.id) == alert
        match error:
            case TakenError(first=first):
                assert first.by == alert.owner
                assert first.at == self.held_since[alert.id]
            case EndedError(first=first):
                assert (first.by, first.at) == self.ended_by[alert.id]
            case _:
                pass

    @precondition(lambda self: any(one.undo for one in self._in_sight()))
    @rule(data=st.data(), by=st.sampled_from([None, None, None, *NURSES]))
    def think_better_of_it(self, data: st.DataObject, by: str | None) -> None:
        undoable = [one for one in self._in_sight() if one.undo]
        alert = data.draw(st.sampled_from(undoable), label="alert")
        self._act(alert, Undo(), by or (alert.undo.by if alert.undo else ANNA))

    def _in_sight(self) -> list[Alert]:
        return [*self.case.alerts.values(), *self.case.ended.values()]

    def _was(self, alert_id: UUID) -> Alert:
        earlier = [one.alert for one in self.case.changes[:-1] if one.alert.id == alert_id]
        return earlier[-1]

    @rule(who=nurses, reason=st.sampled_from([life.SIGNED_OUT, life.SHIFT_ENDED, life.ABSENT]))
    def leave(self, who: str, reason: str) -> None:
        left = life.unassign(self.case, who, reason, now=self.now)
        event("left something" if left else "left nothing")
        self._read()
        assert all(alert.owner != who for alert in self.case.alerts.values())

    @rule(who=nurses, to=nurses)
    def reassign(self, who: str, to: str) -> None:
        acting.reassign_all(self.case, who, to, "Sjuk", by=LEAD, now=self.now)
        self._read()
        assert who == to or all(alert.owner != who for alert in self.case.alerts.values())

    @precondition(lambda self: any(one.standing for one in self.case.alerts.values()))
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        """Take back a reading as the rules do: what stands of a red waits for a person (A8)."""
        alert = data.draw(
            st.sampled_from([one for one in self.case.alerts.values() if one.standing])
        )
        reading = data.draw(st.sampled_from(alert.standing))
        self._withdraw(reading.observation_id)

    def _withdraw(self, observation_id: UUID) -> None:
        engine.take_back(self.case, {observation_id}, by=LEAD, why="Makens mätning", now=self.now)
        self._read()

    # What the log of changes says.

    def _read(self) -> None:
        """Follow the changes since the last time, one after the other."""
        for change in self.case.changes[self.read :]:
            self._follow(change)
        self.read = len(self.case.changes)

    def _follow(self, change: Change) -> None:
        alert, before = change.alert, self.last.get(change.alert.id)
        event(f"event {change.event}")
        assert alert.version == (before.version + 1 if before else 1), "each change once, in order"
        if before is not None and change.event is not Event.UNDONE:
            assert alert.priority.rank >= before.priority.rank, "priority never falls"
        if alert.priority is Level.RED and alert.raised_at is not None:
            self.reds.add(alert.id)
        if alert.state is State.RESOLVED and alert.id in self.reds:
            is_ended_now = before is not None and before.is_open
            if is_ended_now:
                assert change.by in PERSONS, "only a person ends a red"
                assert change.event in {Event.RESOLVED, Event.WITHDRAWN, Event.UNDONE}
        if change.event is not Event.UNDONE:
            if alert.owner is not None and (before is None or before.owner != alert.owner):
                self.held_since[alert.id] = change.at
            if alert.state is State.RESOLVED and (before is None or before.is_open):
                self.ended_by[alert.id] = change.by, change.at
        elif alert.state_at is not None:
            self.held_since[alert.id] = alert.state_at
            self.ended_by[alert.id] = alert.state_by or BY_RULES, alert.state_at
        assert change.at <= self.now
        self.last[alert.id] = alert

    @invariant()
    def no_red_is_lost(self) -> None:
        for alert_id in self.reds:
            last = self.last[alert_id]
            if last.is_open:
                assert said(self.case.alerts[last.rule]) == said(last)

    @invariant()
    def each_alert_is_in_one_state(self) -> None:
        for name, alert in self.case.alerts.items():
            assert alert.rule == name
            assert alert.is_open
        for alert in self._in_sight():
            assert (alert.owner is not None) is (alert.state is State.TAKEN)
            assert (alert.paused_until is not None) is (alert.state is State.PAUSED)
            assert (alert.outcome is not None) is (alert.state is State.RESOLVED)
            assert (alert.resolved_at is not None) is (alert.state is State.RESOLVED)

    @invariant()
    def every_red_has_somebody_or_a_time(self) -> None:
        for alert in self.case.alerts.values():
            if alert.priority is Level.RED and alert.state is not State.AWAITING:
                assert alert.due_at is not None
                assert alert.due_at <= self.now + LONGEST_CLOSURE
            if alert.state is State.AWAITING:
                assert alert.confirm_by is not None

    @invariant()
    def hands_over_each_occasion_once(self) -> None:
        assert len(set(self.case.handovers)) == len(self.case.handovers)


TestWard = Ward.TestCase
TestWard.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
