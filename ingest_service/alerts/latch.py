"""The latch: what a finding does to the patient's alert of its rule.

It raises one, raises it again, joins it, or asks for a second value. An alert's priority never
falls here, and nothing here closes one that was raised. What was only waiting for a second value,
and never raised, ends when that value is within limits. What is said already by a red alert of the
same family is not said once more beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec
from msgspec import structs

from ingest_service.alerts import certainty, life, naming, worse
from ingest_service.alerts.alert import Alert, Event, Evidence, Facts, State
from ingest_service.alerts.case import Case
from ingest_service.alerts.episodes import BY_ITSELF, NOT_CONFIRMED
from ingest_service.alerts.finding import Finding
from ingest_service.alerts.history import Reading
from ingest_service.messages import kinds
from ingest_service.messages.kinds import Subject
from ingest_service.messages.message import Cancellation, Cause, Kind
from ingest_service.plans.limits import FAMILY_OF_CODE, Level, Measure

# An alert may stay open for weeks. What raised it is kept; of the rest the oldest goes first.
_MOST_READINGS: Final = 100

# Of the same values, seen together; what a patient answers is news beside them.
_OF_SEVERAL: Final = ("sustained.", "baseline.", "change.")

#: The flag of a red reading that a second value disproved.
DISPROVED: Final = NOT_CONFIRMED


def join(case: Case, finding: Finding, *, now: datetime) -> None:
    """Let a finding raise the patient's alert of its rule, raise it again, or join it."""
    alert = case.alerts.get(finding.rule)
    if alert is None:
        if not _was_dealt_with(case, finding) and not _is_said(case, finding):
            _begin(case, finding, now)
        return
    new = _new(alert, finding)
    if not new and finding.evidence:
        return  # the same once more
    if finding.level is Level.RED and alert.priority is not Level.RED:
        _redden(case, alert, finding, new, now)
    elif alert.state is State.AWAITING:
        _second(case, alert, finding, new, now)
    elif _is_news(alert, finding, new):
        _raise(case, alert, finding, now)
    else:
        _join(case, alert, finding, now)


def settle(case: Case, reading: Reading, not_red: Collection[Measure], *, now: datetime) -> None:
    """Let a second value that is not red end the waiting for it.

    It counts if it is later than what waits, of the same family, well measured and surely this
    patient's. An alert that was never raised ends; one that was raised before stays as it was.

    Args:
        case: The patient.
        reading: The second value.
        not_red: What of it was held against limits and is not red; none if one of them is.
        now: When it is judged.
    """
    alert = case.alerts.get(naming.limit_rule(reading.family))
    if alert is None or alert.confirm_by is None or not not_red:
        return
    if not certainty.is_trusted(reading.flags):
        return
    waiting = pending(alert)
    measures = {measure for one in waiting for measure in worse.values_of(one)}
    is_second = all(one.effective_at < reading.effective_at for one in waiting)
    if is_second and not (measures & alert.limits.keys()).difference(not_red):
        _disprove(case, alert, reading, now)


def time_out(case: Case, alert: Alert, *, at: datetime) -> None:
    """Let an alert whose second value did not come be red without one (A4).

    What was never raised and is not red waited for a valid reading at all: it is as urgent as it
    was, and there is no value to doubt.
    """
    is_of_value = alert.state is not State.AWAITING or alert.priority is Level.RED
    waiting = pending(alert) if is_of_value else alert.standing
    last = waiting[-1] if waiting else None
    raised = replace(alert, readings=_marked(alert.readings, last), confirm_by=None)
    if is_of_value:
        facts = structs.replace(alert.facts, is_unconfirmed=True, is_without_remeasurement=True)
        raised = replace(raised, priority=Level.RED, facts=facts)
    event = Event.RAISED if alert.state is State.AWAITING else Event.RERAISED
    case.change(
        life.on_raised(case, raised, now=at), event, at=at, detail=_detail(alert, event, last)
    )


def pending(alert: Alert) -> tuple[Evidence, ...]:
    """Return the red readings for which a second value is waited for."""
    if alert.confirm_by is None:
        return ()
    return tuple(
        one
        for one in alert.standing
        if one.level is Level.RED and DISPROVED not in one.flags and not one.is_raise
    )


def not_needed(case: Case, alert: Alert) -> None:
    """Let the request to measure again go unsaid, if it has not been said yet."""
    if alert.confirm_by is None:
        return
    case.unsay(
        Cancellation(
            patient_id=case.patient_id,
            cause=Cause.VALUE_CAME,
            alert_id=alert.id,
            kinds=frozenset({Kind.REMEASURE_REQUEST}),
        )
    )


def _was_dealt_with(case: Case, finding: Finding) -> bool:
    """Tell whether a person has ended an alert that rests on just this: it is judged once more.

    Of a red all of it has to be known: one that came late, beside a later one that was dealt with,
    is news.
    """
    ended = case.ended.get(finding.rule)
    if ended is None or ended.outcome in BY_ITSELF or not finding.evidence:
        return False
    if finding.level is Level.RED:
        return not _new(ended, finding)
    return not _new(ended, replace(finding, evidence=finding.evidence[-1:]))


def _is_said(case: Case, finding: Finding) -> bool:
    """Tell whether a red alert already has a person look at what this finds of several readings.

    It is found anew by the next reading, once the red one has been dealt with.
    """
    if finding.level is Level.RED or not finding.rule.startswith(_OF_SEVERAL):
        return False
    families = {FAMILY_OF_CODE[one.code] for one in finding.evidence if one.code in FAMILY_OF_CODE}
    reds = (case.alerts.get(naming.limit_rule(family)) for family in families)
    return bool(families) and all(
        red is not None and red.priority is Level.RED and red.raised_at is not None for red in reds
    )


def _begin(case: Case, finding: Finding, now: datetime) -> None:
    before = case.ended.get(finding.rule)
    first = str(finding.evidence[0].observation_id) if finding.evidence else ""
    plan = case.plan
    alert = Alert(
        id=naming.alert_id(
            case.patient_id,
            finding.rule,
            first,
            at=now,
            before=None if before is None else before.id,
        ),
        rule=finding.rule,
        rule_version=finding.version,
        priority=finding.level,
        state=State.AWAITING,
        plan_id=None if plan is None else plan.id,
        plan_version=None if plan is None else plan.version,
        limits=finding.limits,
        facts=finding.facts,
    )
    if finding.level is Level.RED and finding.is_disproved:
        _never(case, alert, finding, now)
    elif finding.confirm_within is not None:
        _ask(case, alert, finding, now)
    else:
        _raise(case, alert, finding, now)


def _redden(
    case: Case, alert: Alert, finding: Finding, new: Sequence[Evidence], now: datetime
) -> None:
    """Let a red come to an alert that is not red yet."""
    if alert.confirm_by is not None:
        _second(case, alert, finding, new, now)
    elif finding.is_disproved:
        _join(case, alert, _with_flag(finding, DISPROVED), now)
    elif finding.confirm_within is None:
        _raise(case, alert, finding, now)
    else:
        _ask(case, alert, finding, now)


def _second(
    case: Case, alert: Alert, finding: Finding, new: Sequence[Evidence], now: datetime
) -> None:
    """Let another finding come to an alert that waits for a second value."""
    if finding.level is not Level.RED:
        _join(case, alert, finding, now)
        return
    waiting = pending(alert)
    is_second = any(_are_two(one, other, finding) for one in new for other in waiting)
    if finding.confirm_within is None or is_second:
        facts = structs.replace(finding.facts, is_unconfirmed=finding.is_doubtful)
        _raise(case, alert, replace(finding, facts=facts), now)
    elif not finding.is_disproved:
        _join(case, alert, finding, now)


def _are_two(new: Evidence, waiting: Evidence, finding: Finding) -> bool:
    """Tell whether two red readings are two values, in whichever order they came."""
    if certainty.DOUBLE in new.flags or certainty.DOUBLE in waiting.flags:
        return False
    if new.observation_id == waiting.observation_id:
        return False  # its time was corrected
    if finding.is_disproved:  # something was within limits after it
        return new.effective_at > waiting.effective_at
    return new.effective_at != waiting.effective_at


def _ask(case: Case, alert: Alert, finding: Finding, now: datetime) -> None:
    """Ask the patient to measure again, and wait for it until a deadline (A4)."""
    if finding.confirm_within is None:
        return
    deadline = now + finding.confirm_within
    asked = replace(_grown(alert, finding, is_raise=False), confirm_by=deadline, facts=alert.facts)
    if not case.is_deceased:
        language = None if case.plan is None else case.plan.language
        subject = Subject(patient_id=case.patient_id, care_unit_id=case.care_unit_id)
        case.messages.append(kinds.remeasure_request(subject, alert.id, deadline, language))
    case.change(
        asked,
        Event.REMEASURE_ASKED,
        at=now,
        detail=_detail(alert, Event.REMEASURE_ASKED, finding.evidence[-1]),
    )


def _never(case: Case, alert: Alert, finding: Finding, now: datetime) -> None:
    """Note a red that a later value, known already, has disproved: nobody is asked or alerted."""
    grown = _grown(alert, _with_flag(finding, DISPROVED), is_raise=False)
    ended = life.ended(grown, NOT_CONFIRMED, now)
    detail = _detail(alert, Event.NOT_CONFIRMED, finding.evidence[-1])
    case.change(ended, Event.NOT_CONFIRMED, at=now, detail=detail)


def _disprove(case: Case, alert: Alert, reading: Reading, now: datetime) -> None:
    waiting = pending(alert)
    readings = tuple(
        structs.replace(one, flags=(*one.flags, DISPROVED)) if one in waiting else one
        for one in alert.readings
    )
    left = replace(alert, readings=readings, confirm_by=None)
    if alert.state is State.AWAITING:
        left = life.ended(left, NOT_CONFIRMED, now)
    not_needed(case, alert)
    detail = {"by": str(reading.observation_id)}
    case.change(left, Event.NOT_CONFIRMED, at=now, detail=detail)


def _raise(case: Case, alert: Alert, finding: Finding, now: datetime) -> None:
    is_first = alert.state is State.AWAITING
    event = Event.RAISED if is_first else Event.RERAISED
    priority = finding.level if is_first else _higher(alert.priority, finding.level)
    # A red that is still waited for keeps its deadline where a yellow value has grown worse.
    confirm_by = None if priority is Level.RED else alert.confirm_by
    if confirm_by is None:
        not_needed(case, alert)
    raised = replace(
        _grown(alert, finding, is_raise=True),
        priority=priority,
        facts=finding.facts,
        confirm_by=confirm_by,
    )
    last = finding.evidence[-1] if finding.evidence else None
    raised = life.on_raised(case, raised, now=now)
    case.change(raised, event, at=now, detail=_detail(alert, event, last))


def _join(case: Case, alert: Alert, finding: Finding, now: datetime) -> None:
    last = finding.evidence[-1] if finding.evidence else None
    joined = replace(_grown(alert, finding, is_raise=False), facts=_facts(alert, finding))
    case.change(joined, Event.JOINED, at=now, detail=_detail(alert, Event.JOINED, last))


def _facts(alert: Alert, finding: Finding) -> Facts:
    """Return what the sentence says: less urgent or less sure changes nothing of it."""
    is_less = finding.level.rank < alert.priority.rank
    is_unsure = finding.facts.is_unconfirmed and not alert.facts.is_unconfirmed
    return alert.facts if is_less or is_unsure else finding.facts


def _is_news(alert: Alert, finding: Finding, new: Sequence[Evidence]) -> bool:
    """Tell whether an alert that a person may have dealt with is to be looked at again (A7)."""
    if finding.level.rank > _standing_rank(alert, finding):
        return True
    if finding.again_after is not None and finding.evidence:
        return alert.since_raise() + len(new) >= finding.again_after
    return worse.is_worse(new, alert.reference(), finding.limits)


def _standing_rank(alert: Alert, finding: Finding) -> int:
    """Return how urgent the alert is by what still stands of it.

    What was taken back is no measure: the first true red after a false one is news.
    """
    if not finding.evidence:
        return alert.priority.rank
    ranks = [one.level.rank for one in alert.standing if one.level and DISPROVED not in one.flags]
    return min(alert.priority.rank, max(ranks, default=0))


def _new(alert: Alert, finding: Finding) -> tuple[Evidence, ...]:
    """Return what of the finding's evidence the alert does not have, or has with another value."""
    known = {one.observation_id: one for one in alert.readings}
    return tuple(
        one
        for one in finding.evidence
        if (before := known.get(one.observation_id)) is None
        or before.is_withdrawn
        or _said(before) != _said(one)
    )


def _said(one: Evidence) -> tuple[object, ...]:
    return one.code, one.effective_at, one.systolic, one.diastolic, one.value


def _grown(alert: Alert, finding: Finding, *, is_raise: bool) -> Alert:
    """Return the alert with the finding's evidence.

    A reading that is in it already (its time was corrected) takes its own place instead of a
    second one.
    """
    readings = list(alert.readings)
    places = {one.observation_id: index for index, one in enumerate(readings)}
    for number, one in enumerate(finding.evidence, start=1):
        is_last = number == len(finding.evidence)
        place = places.get(one.observation_id)
        before = None if place is None else readings[place]
        is_known = before is not None and not before.is_withdrawn and _said(before) == _said(one)
        was_raise = before is not None and before.is_raise
        new = structs.replace(
            before if before is not None and is_known else one,
            is_raise=was_raise or (is_raise and is_last),
        )
        if place is None:
            readings.append(new)
        else:
            readings[place] = new
    return replace(
        alert,
        rule_version=finding.version,
        readings=_bounded(readings),
        limits={**alert.limits, **finding.limits},
    )


def _bounded(readings: list[Evidence]) -> tuple[Evidence, ...]:
    while len(readings) > _MOST_READINGS:
        plain = (i for i, reading in enumerate(readings[:-1]) if not reading.is_raise)
        del readings[next(plain, 0)]
    return tuple(readings)


def _marked(readings: tuple[Evidence, ...], last: Evidence | None) -> tuple[Evidence, ...]:
    return tuple(structs.replace(one, is_raise=True) if one == last else one for one in readings)


def _with_flag(finding: Finding, flag: str) -> Finding:
    evidence = tuple(structs.replace(one, flags=(*one.flags, flag)) for one in finding.evidence)
    return replace(finding, evidence=evidence)


def _higher(one: Level, other: Level) -> Level:
    return max(one, other, key=lambda level: level.rank)


def _detail(before: Alert, event: Event, reading: Evidence | None) -> dict[str, msgspec.Raw | str]:
    """Return what is logged: the reading, and for a re-raise the one before and who had it."""
    detail: dict[str, msgspec.Raw | str] = {}
    if reading is not None:
        detail["reading"] = msgspec.Raw(msgspec.json.encode(reading))
    if event is Event.RERAISED:
        previous = next(reversed(before.reference()), None)
        if previous is not None:
            detail["previous"] = msgspec.Raw(msgspec.json.encode(previous))
        if before.owner is not None:
            detail["owner"] = before.owner
    return detail
