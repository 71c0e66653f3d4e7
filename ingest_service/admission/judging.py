"""Judge what was stored, in the transaction that stored it, and write what that means."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from fhir_mappings.observations import MappedObservation
from ingest_service.admission import cases
from ingest_service.admission.cases import UNITS
from ingest_service.alerts import engine, lookback, quoting
from ingest_service.alerts.case import Case
from ingest_service.alerts.history import Attempt, Reading
from ingest_service.alerts.levels import level_of as level_by
from ingest_service.plans.limits import FAMILY_OF_CODE, Family, Level, Limits, Measure, PlanLimits
from ingest_service.store import plans
from ingest_service.store.connections import Connection
from ingest_service.store.observations import StoredValue
from ingest_service.store.patients import Patient

logger = logging.getLogger(__name__)


_Input = Reading | Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An observation that is to be judged, new or stored before, and whose it is."""

    patient: Patient
    observation: MappedObservation | StoredValue
    flags: tuple[str, ...]
    trace_id: str


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
    return level_by(_values(value), plan)


async def judge(
    connection: Connection, stored: Sequence[Stored], *, now: datetime, is_blind: bool = False
) -> int:
    """Judge each observation by its patient's plan and write alerts; the patients are locked.

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
    patients = {one.patient.id: one.patient for one in stored}
    inputs: dict[UUID, list[_Input]] = {patient_id: [] for patient_id in patients}
    for one in sorted(stored, key=lambda s: (s.observation.effective_at, s.observation.id)):
        if (given := input_of(one, now)) is not None:
            inputs[one.patient.id].append(given)
    loaded = await cases.load(connection, patients, now=now, is_blind=is_blind)
    if not is_blind:
        await _look_back(connection, loaded, inputs, now)
    for patient_id, given in inputs.items():
        judge_one(loaded[patient_id], given, now, is_blind=is_blind)
    told = cases.told(loaded.values())
    trace_ids = {one.patient.id: one.trace_id for one in stored}
    await cases.write(connection, loaded.values(), patients, now=now, trace_ids=trace_ids)
    return told


async def _look_back(
    connection: Connection,
    loaded: Mapping[UUID, Case],
    inputs: Mapping[UUID, Sequence[_Input]],
    now: datetime,
) -> None:
    """Give the cases what their rules would look back on: for most, nothing."""
    needed: dict[tuple[UUID, Family], datetime] = {}
    for patient_id, given in inputs.items():
        case = loaded[patient_id]
        for one in given:
            if (since := _since(case, one)) is not None:
                # What a rule compares a value with is of its own family.
                key = patient_id, FAMILY_OF_CODE[one.code]
                needed[key] = min(since, needed.get(key, since))
    await cases.look_back_on(connection, loaded, needed, now=now)


def _since(case: Case, one: _Input) -> datetime | None:
    try:
        return lookback.since(case, one)
    except ArithmeticError:
        return None  # the same will be said of the reading itself


def judge_one(
    case: Case, given: Sequence[_Input], now: datetime, *, is_blind: bool = False
) -> None:
    """Judge what came of one patient at once, whatever goes wrong."""
    if is_blind or case.is_unreadable:
        could_not_judge(case, given, now=now)
        return
    before = case.copy()
    try:
        engine.take_batch(case, given, now=now)
    except Exception:  # whatever goes wrong: the readings are stored, and a person must look
        logger.exception("could not judge together", extra={"count": len(given)})
        case.restore(before)
        _judge_each(case, given, now)


def _judge_each(case: Case, given: Sequence[_Input], now: datetime) -> None:
    """Judge one by one, so that one that cannot be judged takes no other with it."""
    for one in given:
        before = case.copy()
        try:
            engine.take_batch(case, [one], now=now)
        except Exception:  # as above
            logger.exception("could not judge")
            case.restore(before)
            could_not_judge(case, [one], now=now)


def could_not_judge(case: Case, given: Iterable[_Input], *, now: datetime) -> None:
    """Raise for each of these that a person must judge it."""
    for one in given:
        if isinstance(one, Reading):
            evidence = quoting.of_reading(one, Level.RED, now=now)
        else:
            evidence = quoting.of_attempt(one, Level.RED, now=now)
        engine.could_not_judge(case, evidence, now=now)


def input_of(one: Stored, now: datetime) -> _Input | None:
    """Return what a stored observation is to the rules; a pulse that failed with its cuff is none.

    It stands beside the pressure or saturation that failed with it.
    """
    observation = one.observation
    family = FAMILY_OF_CODE.get(observation.code)
    if family is None:
        return None
    if observation.is_failed:
        if family is Family.PULSE:
            return None
        return Attempt(
            observation_id=observation.id,
            code=observation.code,
            effective_at=observation.effective_at,
            received_at=now,
            flags=one.flags,
        )
    return Reading(
        observation_id=observation.id,
        code=observation.code,
        family=family,
        values=_values(observation),
        unit=UNITS[family],
        effective_at=observation.effective_at,
        received_at=now,
        flags=one.flags,
    )


def _values(source: MappedObservation | StoredValue) -> dict[Measure, Decimal]:
    family = FAMILY_OF_CODE.get(source.code)
    if family is None:
        return {}
    return cases.values_of(family, source.systolic, source.diastolic, source.value)
