from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from ingest_service.alerts import acting, life
from ingest_service.alerts.actions import (
    Action,
    Assign,
    Note,
    Pause,
    Release,
    Reopen,
    Resolve,
    Resume,
    Take,
    Undo,
    Withdraw,
    decode,
)
from ingest_service.alerts.alert import Alert, Event, State
from ingest_service.alerts.case import Case
from ingest_service.alerts.episodes import EVIDENCE_WITHDRAWN, NOT_CONFIRMED
from ingest_service.alerts.outcomes import OUTCOMES
from ingest_service.alerts.presence import MEASURED
from ingest_service.alerts.refusals import (
    EndedError,
    RefusedError,
    TakenError,
    UnknownAlertError,
)
from ingest_service.messages.message import Cause, Kind
from ingest_service.plans.limits import Level
from tests.support.alert_life import (
    ANNA,
    BERIT,
    CILLA,
    LEAD,
    MORNING,
    RULE,
    events,
    local,
    minutes,
    pass_time,
    patient,
    raised,
    said,
)

PAGE = Path(__file__).resolve().parents[4] / "docs" / "reference" / "alerts.md"
SOON = MORNING + timedelta(seconds=5)
LATER = MORNING + minutes(12)
PAUSE = Pause(until=MORNING + minutes(25), reason="Ringer igen")
RESOLVE = Resolve(outcome="advice_given", note="Ringde, mår bättre.")
ASSIGN = Assign(to=BERIT, reason="Hon känner patienten")


def do(case: Case, action: Action, *, by: str = ANNA, now: datetime = MORNING) -> Alert:
    """Act on the one alert that there is."""
    [alert] = [*case.alerts.values(), *case.ended.values()]
    return acting.act(case, alert.id, action, by=by, now=now)


def with_withdrawn(case: Case) -> None:
    """Take back what the alert rests on, as the rules do."""
    alert = case.alerts[RULE]
    taken_back = tuple(
        msgspec.structs.replace(reading, is_withdrawn=True) for reading in alert.readings
    )
    case.change(replace(alert, readings=taken_back), Event.EVIDENCE_WITHDRAWN, at=MORNING)


def test_to_take_is_to_acknowledge_and_to_own() -> None:
    case = patient()
    raised(case)

    taken = do(case, Take())

    assert (taken.state, taken.owner) == (State.TAKEN, ANNA)
    assert (taken.state_by, taken.state_at) == (ANNA, MORNING)
    assert taken.due_at == MORNING + minutes(60)


def test_to_take_twice_is_to_take_once() -> None:
    case = patient()
    raised(case)
    do(case, Take())

    do(case, Take(), now=LATER)

    assert events(case) == [Event.RAISED, Event.TAKEN]


@pytest.mark.parametrize(
    "action", [Take(), Release(), PAUSE, RESOLVE, Withdraw(reason="Fel person"), ASSIGN, Resume()]
)
def test_the_second_of_two_nurses_is_told_who_was_first(action: Action) -> None:
    case = patient()
    raised(case)
    do(case, Take(), now=SOON)
    before = case.alerts[RULE]

    with pytest.raises(TakenError) as caught:
        do(case, action, by=BERIT, now=LATER)

    assert (caught.value.first.by, caught.value.first.at) == (ANNA, SOON)
    assert ANNA in str(caught.value)
    assert case.alerts[RULE] is before


@pytest.mark.parametrize(
    "action", [Take(), Release(), PAUSE, RESOLVE, Withdraw(reason="Fel person"), ASSIGN, Resume()]
)
def test_who_comes_after_the_end_is_told_who_ended_it(action: Action) -> None:
    case = patient()
    raised(case)
    do(case, RESOLVE, now=SOON)

    with pytest.raises(EndedError) as caught:
        do(case, action, by=BERIT, now=LATER)

    assert (caught.value.first.by, caught.value.first.at) == (ANNA, SOON)


def test_an_alert_is_handed_to_a_colleague_by_who_knows_whose_it_is() -> None:
    case = patient()
    raised(case)
    do(case, Take())

    given = do(case, Assign(to=CILLA, reason="Rast", held_by=ANNA), by=LEAD, now=LATER)

    assert given.owner == CILLA
    assert case.changes[-1].detail == {"to": CILLA, "from": ANNA, "reason": "Rast"}
    with pytest.raises(TakenError) as caught:
        do(case, Assign(to=BERIT, reason="Rast", held_by=ANNA), by=BERIT, now=LATER)
    assert caught.value.first.by == CILLA


def test_a6_a_lead_gives_everything_of_one_person_to_another() -> None:
    case = patient()
    for rule in ("limit.spo2", "limit.pulse", "missed"):
        acting.act(case, raised(case, rule=rule).id, Take(), by=ANNA, now=MORNING)
    other = raised(case, rule="silence")
    acting.act(case, other.id, Take(), by=CILLA, now=MORNING)

    given = acting.reassign_all(case, ANNA, BERIT, "Sjuk", by=LEAD, now=LATER)

    assert len(given) == 3
    assert [alert.owner for alert in case.alerts.values()] == [BERIT, BERIT, BERIT, CILLA]
    assert {change.by for change in case.changes[-3:]} == {LEAD}


def test_a_resolved_alert_keeps_its_outcome_and_who_signed_the_note() -> None:
    case = patient()
    raised(case)

    ended = do(case, RESOLVE)

    assert (ended.state, ended.outcome, ended.resolved_at) == (
        State.RESOLVED,
        "advice_given",
        MORNING,
    )
    assert (ended.owner, ended.due_at, ended.confirm_by) == (None, None, None)
    change = case.changes[-1]
    assert (change.event, change.by, change.at) == (Event.RESOLVED, ANNA, MORNING)
    assert change.detail == {"outcome": "advice_given", "note": "Ringde, mår bättre."}
    assert case.alerts == {}


@pytest.mark.parametrize("outcome", ["not_reached", "withdrawn", "deceased", "", "fixed"])
def test_a_red_does_not_end_by_an_outcome_that_leaves_the_patient_alone(outcome: str) -> None:
    case = patient()
    raised(case)

    with pytest.raises(RefusedError):
        do(case, Resolve(outcome=outcome, note="Ringde utan svar."))

    assert case.alerts[RULE].state is State.NEW


def test_only_a_blue_one_ends_without_a_note() -> None:
    case = patient()
    raised(case, priority=Level.YELLOW)
    with pytest.raises(RefusedError, match="note"):
        do(case, Resolve(outcome="other", note="  "))
    blue = patient()
    raised(blue, priority=Level.BLUE)

    assert do(blue, Resolve(outcome="other")).state is State.RESOLVED


def test_outcomes_have_codes_of_their_own_and_persons_can_end_a_red() -> None:
    assert all(code == outcome.code for code, outcome in OUTCOMES.items())
    assert [one for one in OUTCOMES.values() if one.is_for_red and one.is_for_persons]


def test_every_event_and_outcome_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert [code for code in (*OUTCOMES, *Event) if f"`{code}`" not in page] == []


@pytest.mark.parametrize("outcome", sorted({NOT_CONFIRMED, EVIDENCE_WITHDRAWN, MEASURED}))
def test_no_person_chooses_what_rules_end_by(outcome: str) -> None:
    assert not OUTCOMES[outcome].is_for_persons


@pytest.mark.parametrize(
    ("priority", "longest"),
    [(Level.RED, minutes(30)), (Level.YELLOW, timedelta(hours=24))],
)
def test_a_pause_is_bounded_and_a_reds_is_short(priority: Level, longest: timedelta) -> None:
    case = patient()
    raised(case, priority=priority)
    for until in (MORNING, MORNING + longest + timedelta(seconds=1)):
        with pytest.raises(RefusedError, match="paused for"):
            do(case, Pause(until=until, reason="Sover"))

    paused = do(case, Pause(until=MORNING + longest, reason="Sover"))

    assert (paused.state, paused.owner) == (State.PAUSED, None)
    assert (paused.paused_until, paused.due_at) == (MORNING + longest, MORNING + longest)
    assert paused.pause_reason == "Sover"


def test_a_pause_without_a_zone_is_refused() -> None:
    case = patient()
    raised(case)

    with pytest.raises(RefusedError, match="paused for"):
        do(case, Pause(until=datetime(2026, 11, 25, 9, 10), reason="Sover"))  # noqa: DTZ001 hostile


def test_nobody_acts_on_what_nobody_was_alerted_of() -> None:
    case = patient()
    alert = replace(raised(case), state=State.AWAITING, raised_at=None)
    case.change(alert, Event.REMEASURE_ASKED, at=MORNING)

    for action in (Take(), PAUSE, RESOLVE, ASSIGN):
        with pytest.raises(RefusedError, match="second value"):
            do(case, action)

    assert do(case, Note(text="Ringde ändå.")).state is State.AWAITING


def test_an_alert_that_was_ended_too_soon_is_opened_again() -> None:
    case = patient()
    raised(case)
    do(case, RESOLVE)

    opened = do(case, Reopen(reason="Ringde igen, sämre"), by=BERIT, now=LATER)

    assert (opened.state, opened.raised_at) == (State.NEW, LATER)
    assert (opened.outcome, opened.resolved_at) == (None, None)
    assert opened.due_at == LATER + minutes(30)
    assert case.ended == {}
    assert [one.kind for one in said(case)] == [Kind.STAFF_ALERT]


def test_an_alert_is_opened_again_by_joining_the_open_one() -> None:
    case = patient()
    old = raised(case)
    do(case, RESOLVE)
    new = raised(case, LATER, priority=Level.YELLOW)

    joined = acting.act(case, old.id, Reopen(reason="Hör ihop"), by=BERIT, now=LATER)

    assert joined.id == new.id
    assert joined.priority is Level.RED
    assert list(case.alerts) == [RULE]
    assert case.ended[RULE].id == old.id
    assert case.changes[-1].detail == {"reason": "Hör ihop", "alert": str(old.id)}


def test_what_is_open_is_not_opened() -> None:
    case = patient()
    raised(case)

    with pytest.raises(RefusedError, match="is open"):
        do(case, Reopen(reason="Igen"))


def test_a8_a_person_withdraws_a_red_whose_evidence_was_taken_back() -> None:
    case = patient()
    raised(case)
    with pytest.raises(RefusedError, match="taken back"):
        do(case, Withdraw(reason="Makens mätning"))
    with_withdrawn(case)
    assert case.alerts[RULE].state is State.NEW

    ended = do(case, Withdraw(reason="Makens mätning"))

    assert (ended.state, ended.outcome) == (State.RESOLVED, "withdrawn")
    change = case.changes[-1]
    assert (change.event, change.by) == (Event.WITHDRAWN, ANNA)
    assert change.detail == {"reason": "Makens mätning"}


@pytest.mark.parametrize(
    "action",
    [Take(), Release(), ASSIGN, PAUSE, RESOLVE, Note(text="Ringer"), Withdraw(reason="Fel")],
    ids=lambda action: type(action).__name__,
)
def test_undo_brings_back_exactly_what_was(action: Action) -> None:
    case = patient()
    raised(case)
    with_withdrawn(case)
    if isinstance(action, Release):
        do(case, Take())
    before = case.alerts[RULE]
    do(case, action, now=SOON)

    undone = do(case, Undo(), now=SOON + acting.UNDO_WITHIN)

    assert state_of(undone) == state_of(before)
    assert case.alerts[RULE] is undone
    assert case.ended == {}
    assert undone.version == before.version + 2
    assert events(case)[-1] is Event.UNDONE


def test_undo_brings_back_what_was_resolved() -> None:
    case = patient()
    raised(case)
    ended = do(case, RESOLVE)
    do(case, Reopen(reason="Igen"), now=SOON)

    undone = do(case, Undo(), now=SOON)

    assert state_of(undone) == state_of(ended)
    assert case.alerts == {}


def state_of(alert: Alert) -> dict[str, object]:
    """Return all of an alert but what counts its changes."""
    counting = {"version", "undo"}
    return {
        each.name: getattr(alert, each.name) for each in fields(alert) if each.name not in counting
    }


def test_undo_is_only_for_seconds() -> None:
    case = patient()
    raised(case)
    do(case, Take())

    with pytest.raises(RefusedError, match="10 seconds"):
        do(case, Undo(), now=MORNING + acting.UNDO_WITHIN + timedelta(milliseconds=1))


def test_undo_is_only_of_ones_own() -> None:
    case = patient()
    raised(case)
    do(case, RESOLVE)

    with pytest.raises(RefusedError, match=ANNA):
        do(case, Undo(), by=BERIT, now=SOON)


def test_undo_is_only_of_the_last_thing_that_happened() -> None:
    case = patient()
    raised(case)
    do(case, Take())
    raised(case, SOON)
    with pytest.raises(RefusedError, match="something else"):
        do(case, Undo(), now=SOON)

    do(case, Take(), now=SOON)
    do(case, Undo(), now=SOON)
    with pytest.raises(RefusedError, match="something else"):
        do(case, Undo(), now=SOON)


def test_undo_does_not_open_a_second_alert_of_a_rule() -> None:
    case = patient()
    old = raised(case)
    do(case, RESOLVE)
    raised(case, SOON)

    with pytest.raises(RefusedError, match="a new one"):
        acting.act(case, old.id, Undo(), by=ANNA, now=SOON)


def test_undo_does_not_give_an_alert_to_somebody_who_may_be_gone() -> None:
    case = patient()
    raised(case)
    do(case, Take())
    do(case, Assign(to=BERIT, reason="Rast", held_by=ANNA), by=LEAD, now=SOON)
    life.unassign(case, ANNA, life.SIGNED_OUT, now=SOON)

    with pytest.raises(RefusedError, match="assign it"):
        do(case, Undo(), by=LEAD, now=SOON)


def test_staff_are_told_again_of_what_an_undo_lets_wait_again() -> None:
    case = patient()
    raised(case)
    do(case, Take())
    said(case)

    do(case, Undo(), now=SOON)

    assert [one.kind for one in said(case)] == [Kind.STAFF_ALERT]


def test_who_takes_an_alert_spares_staff_what_was_still_to_be_said() -> None:
    case = patient()
    alert = raised(case)

    do(case, Take())
    do(case, RESOLVE, now=SOON)

    taken, resolved = case.cancellations
    assert (taken.cause, taken.alert_id) == (Cause.TAKEN, alert.id)
    assert Kind.STAFF_ALERT in taken.kinds
    assert Kind.RED_OUT_OF_HOURS not in taken.kinds
    assert (resolved.cause, tuple(resolved.kinds)) == (Cause.RESOLVED, ())


def test_one_action_ends_everything_of_a_patient_who_has_died() -> None:
    case = patient()
    raised(case)
    yellow = raised(case, rule="missed", priority=Level.YELLOW)
    acting.act(case, yellow.id, Take(), by=BERIT, now=MORNING)
    said(case)
    case.cancellations.clear()

    ended = acting.deceased(case, by=ANNA, now=LATER)

    assert {alert.outcome for alert in ended} == {"deceased"}
    assert case.alerts == {}
    assert {change.by for change in case.changes[-2:]} == {ANNA}
    [cancellation] = case.cancellations
    assert (cancellation.cause, cancellation.alert_id) == (Cause.DECEASED, None)
    pass_time(case, local("12-31T00:00"))
    assert said(case) == []


def test_there_is_no_alert_but_the_patients_own() -> None:
    case = patient()
    alert = raised(case)

    with pytest.raises(UnknownAlertError):
        acting.act(patient(), alert.id, Take(), by=ANNA, now=MORNING)


@pytest.mark.parametrize(
    "action",
    [
        Note(text=" "),
        Note(text="x" * 4001),
        Pause(until=PAUSE.until, reason=""),
        Assign(to=" ", reason="Rast"),
        Assign(to=BERIT, reason="x" * 501),
        Resolve(outcome="other", note="x" * 4001),
    ],
)
def test_a_text_is_given_and_bounded(action: Action) -> None:
    case = patient()
    raised(case)

    with pytest.raises(RefusedError, match="characters"):
        do(case, action)

    assert events(case) == [Event.RAISED]


@pytest.mark.parametrize(
    "action", [Take(), ASSIGN, PAUSE, RESOLVE, Undo(), Note(text="Ja"), Withdraw(reason="Fel")]
)
def test_an_action_travels_as_json(action: Action) -> None:
    assert decode(msgspec.json.encode(action)) == action


@pytest.mark.parametrize(
    "document",
    [
        b"{}",
        b'{"type":"erase"}',
        b'{"type":"take","by":"SE1"}',
        b'{"type":"note","text":""}',
        b'{"type":"pause","until":"2026-11-25T09:10:00","reason":"x"}',
    ],
)
def test_what_is_no_action_is_refused(document: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(document)
