"""Judge what was stored, in the transaction that stored it, and write what that means."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4

import msgspec

from fhir_mappings.observations import MappedObservation
from ingest_service.alerts import attempts, threshold
from ingest_service.alerts.attempts import Attempt
from ingest_service.alerts.finding import (
    Alert,
    Event,
    Evidence,
    Finding,
    State,
    grown,
    is_late,
)
from ingest_service.plans.limits import (
    FAMILY_OF_CODE,
    Family,
    Level,
    Limits,
    Measure,
    PlanLimits,
)
from ingest_service.alerts.threshold import Measured
from ingest_service.store import alerts, observations, plans
from ingest_service.store.alerts import AlertRow, EventRow, OpenAlertRow
from ingest_service.store.connections import Connection
from ingest_service.store.observations import StoredValue
from ingest_service.store.patients import Patient

logger = logging.getLogger(__name__)

COULD_NOT_JUDGE: Final = "could_not_judge"
_COULD_NOT_JUDGE_VERSION: Final = 1
_BY: Final = "ingest"
_UNITS: Final = {Family.BLOOD_PRESSURE: "mm[Hg]", Family.PULSE: "/min", Family.SPO2: "%"}
_SINGLE: Final = {Family.PULSE: Measure.PULSE, Family.SPO2: Measure.SPO2}
_MOST_RECENT: Final = 500
_READINGS: Final = msgspec.json.Decoder(tuple[Evidence, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An observation that is to be judged, new or stored before, and whose it is."""

    patient: Patient
    observation: MappedObservation | StoredValue
    flags: tuple[str, ...]
    trace_id: str


@dataclass(slots=True)
class _Patient:
    """What is known of one patient while their readings are judged one after the other."""

    limits: dict[Measure, Limits] = field(default_factory=dict[Measure, Limits])
    open_rows: dict[str, OpenAlertRow] = field(default_factory=dict[str, OpenAlertRow])
    measured: list[Measured] = field(default_factory=list[Measured])
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    changed: dict[str, tuple[UUID, Finding, Stored]] = field(
        default_factory=dict[str, tuple[UUID, Finding, Stored]]
    )
    raised: set[str] = field(default_factory=set[str])

    def remember(self, value: StoredValue) -> None:
        """Take in what else was measured."""
        reading = _measured(value, ())
        if reading.values:
            self.measured.append(reading)
        self.attempts.append(
            Attempt(
                observation_id=value.id,
                code=value.code,
                effective_at=value.effective_at,
                is_failed=not reading.values,
            )
        )

    def alert(self, rule: str) -> Alert | None:
        """Return the open alert of that rule as it stands."""
        if rule in self.changed:
            return self.changed[rule][1].alert
        row = self.open_rows.get(rule)
        return None if row is None else open_alert(row)


def open_alert(row: OpenAlertRow) -> Alert:
    """Return a stored alert as rules see it.

    Raises:
        ValueError: If what stands there cannot be read.
    """
    return Alert(
        rule=row.rule,
        priority=Level(row.priority),
        state=State(row.state),
        readings=_READINGS.decode(row.readings),
    )


async def limits_of(
    connection: Connection, patients: Collection[UUID], now: datetime
) -> dict[UUID, dict[Measure, Limits]]:
    """Return these patients' limits in force, for each of them maybe none."""
    found = await plans.in_force(connection, patients, now) if patients else {}
    return {
        patient_id: found[patient_id].limits_at(now) if patient_id in found else {}
        for patient_id in patients
    }


def level_of(value: StoredValue, plan: PlanLimits) -> Level | None:
    """Return how far a stored value lies beyond its patient's limits."""
    return threshold.level_of(_values(value), plan)


async def judge(
    connection: Connection, stored: Sequence[Stored], *, now: datetime, is_blind: bool = False
) -> int:
    """Judge each observation by its patient's limits and write alerts; the patients are locked.

    Args:
        connection: Inside the transaction that stored the observations.
        stored: What it stored, in any order; each patient's are judged oldest first.
        now: When it is judged.
        is_blind: Judging failed before as a whole: say for each that it could not be judged.

    Returns:
        How many times an alert was raised, raised again or joined.
    """
    if not stored:
        return 0
    patients = await _load(connection, stored, now)
    events: list[EventRow] = []
    for one in sorted(stored, key=lambda s: (s.observation.effective_at, s.observation.id)):
        patient = patients[one.patient.id]
        finding = _could_not(one, patient) if is_blind else _judge_one(one, patient, now)
        if finding is not None:
            events.append(_note(one, patient, finding))
    if events:
        await _write(connection, list(patients.values()), events, now)
    return len(events)


async def _load(
    connection: Connection, stored: Sequence[Stored], now: datetime
) -> Mapping[UUID, _Patient]:
    in_force = await limits_of(connection, {one.patient.id for one in stored}, now)
    patients = {patient_id: _Patient(limits=plan) for patient_id, plan in in_force.items()}
    for open_row in await alerts.open_of(connection, patients):
        patients[open_row.patient_id].open_rows[open_row.rule] = open_row
    since: dict[UUID, datetime] = {}
    for one in stored:
        if _needs_history(one, patients[one.patient.id], now):
            start = one.observation.effective_at - attempts.WINDOW
            since[one.patient.id] = min(start, since.get(one.patient.id, start))
    if since:
        recent = await observations.around(
            connection,
            since,
            codes=list(FAMILY_OF_CODE),
            until=now + attempts.WINDOW,
            most=_MOST_RECENT,
        )
        for value in recent:
            patients[value.patient_id].remember(value)
    return patients


def _needs_history(one: Stored, patient: _Patient, now: datetime) -> bool:
    """Tell whether what else was measured matters: it rarely does, so it is rarely asked for."""
    observation = one.observation
    if observation.is_failed:
        return True
    if not is_late(observation.effective_at, now):
        return False
    values = _values(observation)
    try:
        return threshold.level_of(values, patient.limits) is not None
    except ArithmeticError:
        return False  # the same will be said of the reading itself


def _judge_one(one: Stored, patient: _Patient, now: datetime) -> Finding | None:
    try:
        return _apply_rules(one, patient, now)
    except Exception:  # whatever goes wrong: the reading is stored, and a person must look
        logger.exception("could not judge", extra={"trace_id": one.trace_id})
        return _could_not(one, patient)


def _apply_rules(one: Stored, patient: _Patient, now: datetime) -> Finding | None:
    observation = one.observation
    family = FAMILY_OF_CODE.get(observation.code)
    if family is None:
        return None
    if observation.is_failed:
        if family is Family.PULSE:
            return None  # it stands beside the pressure or saturation that failed with it
        attempt = Attempt(
            observation_id=observation.id,
            code=observation.code,
            effective_at=observation.effective_at,
            is_failed=True,
            flags=one.flags,
        )
        alert = patient.alert(attempts.RULE)
        return attempts.judge(attempt, patient.attempts, alert, now=now)
    if not patient.limits:
        return None
    open_alert = patient.alert(threshold.rule_of(family))
    reading = _measured(observation, one.flags)
    return threshold.judge(reading, patient.limits, open_alert, patient.measured, now=now)


def _could_not(one: Stored, patient: _Patient) -> Finding:
    observation = one.observation
    family = FAMILY_OF_CODE.get(observation.code)
    evidence = Evidence(
        observation_id=observation.id,
        code=observation.code,
        effective_at=observation.effective_at,
        systolic=observation.systolic,
        diastolic=observation.diastolic,
        value=observation.value,
        unit=_UNITS[family] if family else None,
        level=Level.RED,
        flags=one.flags,
    )
    alert = _readable(patient)
    event, grown_alert = grown(alert, COULD_NOT_JUDGE, evidence, is_raise=True)
    return Finding(
        event=event,
        rule_version=_COULD_NOT_JUDGE_VERSION,
        alert=grown_alert,
        reading=evidence,
        previous=alert.readings[-1] if alert and alert.readings else None,
    )


def _readable(patient: _Patient) -> Alert | None:
    """Return the open ``could_not_judge`` alert, without its readings if they are the trouble."""
    try:
        return patient.alert(COULD_NOT_JUDGE)
    except ValueError:
        row = patient.open_rows[COULD_NOT_JUDGE]
        return Alert(rule=row.rule, priority=Level.RED, state=State.NEW, readings=())


def _measured(source: MappedObservation | StoredValue, flags: tuple[str, ...]) -> Measured:
    family = FAMILY_OF_CODE[source.code]
    return Measured(
        observation_id=source.id,
        code=source.code,
        family=family,
        values=_values(source),
        unit=_UNITS[family],
        effective_at=source.effective_at,
        flags=flags,
    )


def _values(source: MappedObservation | StoredValue) -> dict[Measure, Decimal]:
    family = FAMILY_OF_CODE.get(source.code)
    if family is Family.BLOOD_PRESSURE:
        given = {Measure.SYSTOLIC: source.systolic, Measure.DIASTOLIC: source.diastolic}
    else:
        given = {_SINGLE[family]: source.value} if family else {}
    return {measure: value for measure, value in given.items() if value is not None}


def _note(one: Stored, patient: _Patient, finding: Finding) -> EventRow:
    rule = finding.alert.rule
    row = patient.open_rows.get(rule)
    known = patient.changed.get(rule)
    alert_id = known[0] if known else row.id if row else uuid4()
    patient.changed[rule] = (alert_id, finding, one)
    if finding.event is not Event.JOINED:
        patient.raised.add(rule)
    detail: dict[str, Evidence] = {"reading": finding.reading}
    if finding.event is Event.RERAISED and finding.previous:
        detail["previous"] = finding.previous
    return EventRow(
        alert_id=alert_id,
        event=finding.event,
        by=_BY,
        detail=msgspec.Raw(msgspec.json.encode(detail)),
    )


async def _write(
    connection: Connection, patients: Sequence[_Patient], events: list[EventRow], now: datetime
) -> None:
    new: list[AlertRow] = []
    changed: list[AlertRow] = []
    for patient in patients:
        for rule, (alert_id, finding, one) in patient.changed.items():
            row = _row(alert_id, finding, one, now if rule in patient.raised else None)
            (changed if rule in patient.open_rows else new).append(row)
    if new:
        await alerts.add(connection, new)
    if changed:
        await alerts.change(connection, changed)
    await alerts.add_events(connection, events)


def _row(alert_id: UUID, finding: Finding, one: Stored, raised_at: datetime | None) -> AlertRow:
    readings = finding.alert.readings
    return AlertRow(
        id=alert_id,
        care_unit_id=one.patient.care_unit_id,
        patient_id=one.patient.id,
        rule=finding.alert.rule,
        rule_version=finding.rule_version,
        priority=finding.alert.priority,
        state=finding.alert.state,
        raised_at=raised_at,
        last_reading_at=max(reading.effective_at for reading in readings),
        limits=msgspec.Raw(msgspec.json.encode(finding.limits)),
        readings=msgspec.Raw(msgspec.json.encode(readings)),
        trace_id=one.trace_id,
    )
