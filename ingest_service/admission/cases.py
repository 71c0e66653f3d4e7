"""Patients as cases: what rules, deadlines and persons' actions need, loaded and written back."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from ingest_service.admission import alert_rows, handing, monitoring
from ingest_service.alerts import engine, lookback
from ingest_service.alerts.alert import Alert, Event
from ingest_service.alerts.case import Case
from ingest_service.alerts.history import Answer, Attempt, History, Reading
from ingest_service.alerts.rules import unjudged
from ingest_service.plans.default_hours import DEFAULT_HOURS
from ingest_service.plans.limits import FAMILY_OF_CODE, Family, Measure
from ingest_service.plans.plan import Symptom
from ingest_service.store import alerts, answers, clocks, deaths, histories, messages, plans
from ingest_service.store.answers import PastAnswers
from ingest_service.store.clocks import Clock, Deadline
from ingest_service.store.connections import Connection
from ingest_service.store.histories import Past
from ingest_service.store.messages import MessageRow
from ingest_service.store.patients import Patient

logger = logging.getLogger(__name__)

UNITS: Final[Mapping[Family, str]] = {
    Family.BLOOD_PRESSURE: "mm[Hg]",
    Family.PULSE: "/min",
    Family.SPO2: "%",
    Family.BODY_WEIGHT: "kg",
}
SINGLE: Final[Mapping[Family, Measure]] = {
    Family.PULSE: Measure.PULSE,
    Family.SPO2: Measure.SPO2,
    Family.BODY_WEIGHT: Measure.BODY_WEIGHT,
}
_TOLD: Final = frozenset({Event.RAISED, Event.RERAISED, Event.JOINED})
_AHEAD: Final = timedelta(minutes=30)  # a gateway's clock may run ahead of ours
_MOST_READINGS: Final = 1000
_CODES: Final[Mapping[Family, tuple[str, ...]]] = {
    family: tuple(code for code, its in FAMILY_OF_CODE.items() if its is family)
    for family in Family
}
_ANSWERS: Final = timedelta(days=30)  # the one before the first that counts


async def load(
    connection: Connection,
    patients: Mapping[UUID, Patient],
    *,
    now: datetime,
    is_blind: bool = False,
    wanted: UUID | None = None,
) -> dict[UUID, Case]:
    """Return these patients as cases without readings; the patients are locked.

    Args:
        connection: Inside the transaction that holds the patients' locks.
        patients: Which ones, and where they belong.
        now: The time it is.
        is_blind: Leave out plans and hours: it may be one of them that cannot be read.
        wanted: An alert that is meant, however long ago it was resolved.

    Raises:
        ValueError: If a plan or a unit's hours cannot be read. An alert that cannot be read makes
            its case unreadable, and stays as it is; but one that says that somebody must judge is
            taken without what it rests on, so that it can say it again.
    """
    if not patients:
        return {}
    in_force = {} if is_blind else await plans.in_force(connection, patients, now)
    units = {one.care_unit_id for one in patients.values()}
    hours = {} if is_blind else await plans.hours_of(connection, units)
    agreements = await handing.agreements_of(connection, units, now=now)
    dead = await deaths.standing(connection, patients)
    known = await clocks.of(connection, patients)
    cases = {
        one.id: Case(
            patient_id=one.id,
            care_unit_id=one.care_unit_id,
            plan=in_force.get(one.id),
            hours=hours.get(one.care_unit_id, DEFAULT_HOURS),
            history=History(),
            judged_through=known[one.id].judged_through if one.id in known else now,
            agreements=agreements.get(one.care_unit_id, ()),
            is_deceased=one.id in dead,
        )
        for one in patients.values()
    }
    rows = await alerts.of_patients(
        connection, patients, ended_since=now - lookback.EPISODE, wanted=wanted
    )
    found: dict[UUID, list[Alert]] = {}
    for row in rows:
        case = cases[row.patient_id]
        case.known.add(row.id)
        try:
            alert = alert_rows.alert_of(row)
        except ValueError:
            if row.rule != unjudged.RULE:
                case.is_unreadable = True
                continue
            alert = alert_rows.without_copies(row)
        found.setdefault(case.patient_id, []).append(alert)
    for patient_id, given in found.items():
        place(cases[patient_id], given, now=now, wanted=wanted)
    return cases


async def load_for_acting(
    connection: Connection,
    patients: Mapping[UUID, Patient],
    *,
    now: datetime,
    wanted: UUID | None = None,
) -> dict[UUID, Case]:
    """Return these patients as cases though a plan or hours cannot be read.

    For what persons do to alerts, and what time does: nobody may be kept from a red by a document
    that no program can read.
    """
    try:
        return await load(connection, patients, now=now, wanted=wanted)
    except ValueError:
        logger.exception("a plan or hours cannot be read", extra={"patients": len(patients)})
        return await load(connection, patients, now=now, is_blind=True, wanted=wanted)


def place(
    case: Case, given: Iterable[Alert], *, now: datetime, wanted: UUID | None = None
) -> None:
    """Give a case its alerts: of each rule the open one, and the last that has ended lately.

    ``wanted`` is one that is meant, however long ago it was resolved.
    """
    for alert in sorted(given, key=lambda one: (one.id == wanted, one.resolved_at or now, one.id)):
        is_lately = alert.resolved_at is None or alert.resolved_at > now - lookback.EPISODE
        if alert.is_open:
            case.alerts[alert.rule] = alert
        elif is_lately or alert.id == wanted:
            case.ended[alert.rule] = alert


async def look_back(
    connection: Connection,
    cases: Mapping[UUID, Case],
    since: Mapping[UUID, datetime],
    *,
    now: datetime,
) -> None:
    """Give these cases what was measured since then, and answered where a rule asks for it."""
    wanted = {(each, family): at for each, at in since.items() for family in Family}
    await look_back_on(connection, cases, wanted, now=now)


async def look_back_on(
    connection: Connection,
    cases: Mapping[UUID, Case],
    wanted: Mapping[tuple[UUID, Family], datetime],
    *,
    now: datetime,
) -> None:
    """Give these cases what was measured of some families, each since its own time."""
    codes = {
        (patient_id, code): at
        for (patient_id, family), at in wanted.items()
        for code in _CODES[family]
    }
    found = await histories.readings(connection, codes, until=now + _AHEAD, most=_MOST_READINGS)
    for patient_id, past in found:
        cases[patient_id].history.extend(_reading(one) for one in past)
    asked = {each: at for (each, _), at in wanted.items() if _asks(cases[each])}
    if asked:
        # A symptom is weighed beside a value, and against the answer before (A14).
        for past in await answers.since(connection, asked, min(asked.values()) - _ANSWERS):
            cases[past.patient_id].history.add(answer_of(past))


async def look_back_whole(
    connection: Connection, cases: Mapping[UUID, Case], *, now: datetime
) -> None:
    """Give these cases all that any of their rules looks back on, and whether they are seen."""
    since = {
        patient_id: now - max(lookback.furthest(case.plan), timedelta(days=90))
        for patient_id, case in cases.items()
    }
    await look_back(connection, cases, since, now=now)
    seen = monitoring.of_patient(await clocks.seen(connection, cases))
    for patient_id, chains in seen.items():
        cases[patient_id].chains = chains


async def history_of(
    connection: Connection, patient_id: UUID, *, since: datetime, now: datetime
) -> History:
    """Return what one patient measured and answered since then, whatever plan judged it."""
    wanted = {(patient_id, code): since for code in FAMILY_OF_CODE}
    history = History()
    for _, past in await histories.readings(
        connection, wanted, until=now + _AHEAD, most=_MOST_READINGS
    ):
        history.extend(_reading(one) for one in past)
    for past in await answers.since(connection, {patient_id}, since):
        history.add(answer_of(past))
    return history


async def write(
    connection: Connection,
    cases: Iterable[Case],
    patients: Mapping[UUID, Patient],
    *,
    now: datetime,
    trace_ids: Mapping[UUID, str] | None = None,
) -> int:
    """Write what the cases have become, and return how many changes that was."""
    changed = [case for case in cases if case.changes or case.messages or case.cancellations]
    new: list[alerts.AlertRow] = []
    old: list[alerts.AlertRow] = []
    for case in changed:
        patient = patients[case.patient_id]
        trace_id = (trace_ids or {}).get(case.patient_id)
        for alert in _last(case):
            rows = old if alert.id in case.known else new
            rows.append(alert_rows.row_of(alert, patient, trace_id))
    changes = [change for case in changed for change in case.changes]
    # What ended first: a rule has one unresolved alert at most, at every moment.
    old.sort(key=lambda row: row.state != "resolved")
    if old:
        await alerts.change(connection, old)
    if new:
        await alerts.add(connection, new)
    if changes:
        await alerts.add_events(connection, [alert_rows.event_of(each) for each in changes])
    unsaid = [each for case in changed for each in case.cancellations]
    await messages.cancel(connection, unsaid, at=now)
    said = [message for case in changed for message in case.messages]
    await messages.put(connection, [MessageRow.of(each, created_at=now) for each in said])
    await handing.open_to_backups(connection, changed)
    await _hasten(connection, changed, now)
    for case in changed:
        case.known.update(change.alert.id for change in case.changes)
        case.changes.clear()
        case.messages.clear()
        case.cancellations.clear()
        case.handovers.clear()
    return len(changes)


def told(cases: Iterable[Case]) -> int:
    """Return how many times alerts of these cases were raised, raised again or joined."""
    return sum(change.event in _TOLD for case in cases for change in case.changes)


async def set_clocks(connection: Connection, cases: Collection[Case], *, now: datetime) -> None:
    """Write when each case, with its whole history, is due again, or gets another plan."""
    patients = [case.patient_id for case in cases]
    changes = await plans.next_change(connection, patients, now)
    await clocks.put(
        connection,
        [
            Clock(
                patient_id=case.patient_id,
                due_at=min(
                    (
                        at
                        for at in (engine.next_due(case), changes.get(case.patient_id))
                        if at is not None
                    ),
                    default=None,
                ),
                judged_through=case.judged_through,
            )
            for case in cases
        ],
    )


async def _hasten(connection: Connection, cases: Iterable[Case], now: datetime) -> None:
    rows = [
        Deadline(patient_id=case.patient_id, due_at=min(deadlines))
        for case in cases
        if (deadlines := [d for alert in _last(case) for d in _deadlines(alert)])
    ]
    if rows:
        await clocks.hasten(connection, rows, now=now)


def _deadlines(alert: Alert) -> Iterable[datetime]:
    if alert.is_open:
        given = (alert.confirm_by, alert.due_at, alert.paused_until)
        yield from (each for each in given if each is not None)


def _last(case: Case) -> list[Alert]:
    """Return each changed alert once, as it stands after the last change."""
    return list({change.alert.id: change.alert for change in case.changes}.values())


def answer_of(past: PastAnswers) -> Answer:
    """Return stored answers as rules see them."""
    return Answer(
        response_id=past.id,
        answered_at=past.answered_at,
        received_at=past.received_at,
        values=past.values,
    )


def _asks(case: Case) -> bool:
    """Tell whether the plan has a rule that looks at answers."""
    return case.plan is not None and any(isinstance(one, Symptom) for one in case.plan.rules)


def _reading(past: Past) -> Reading | Attempt:
    family = FAMILY_OF_CODE[past.code]
    values = values_of(family, past.systolic, past.diastolic, past.value)
    flags = past.flags if past.flags is not None else _flags_before(past)
    if not values:
        return Attempt(
            observation_id=past.id,
            code=past.code,
            effective_at=past.effective_at,
            received_at=past.last_updated,
            flags=flags,
        )
    return Reading(
        observation_id=past.id,
        code=past.code,
        family=family,
        values=values,
        unit=UNITS[family],
        effective_at=past.effective_at,
        received_at=past.last_updated,
        flags=flags,
    )


def _flags_before(past: Past) -> tuple[str, ...]:
    """Return what releases knew of a reading that they looked back on."""
    if not (past.is_irregular or past.is_doubtful or past.may_be_another):
        return ()  # nearly all, and there are many
    said = (
        ("irregular_pulse", past.is_irregular),
        ("doubtful", past.is_doubtful),
        ("may_be_another", past.may_be_another),
    )
    return tuple(name for name, is_set in said if is_set)


def values_of(
    family: Family, systolic: Decimal | None, diastolic: Decimal | None, value: Decimal | None
) -> dict[Measure, Decimal]:
    """Return an observation's values by measure; none of a failed attempt."""
    if family is not Family.BLOOD_PRESSURE:
        return {} if value is None else {SINGLE[family]: value}
    given = {Measure.SYSTOLIC: systolic, Measure.DIASTOLIC: diastolic}
    return {measure: each for measure, each in given.items() if each is not None}
