"""A unit's worklist: what the page shows, read in one transaction and logged in the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from clinician_api.fhir import codings
from ingest_service.plans.limits import Limits, Measure
from ingest_service.store import access, opened, plans, worklist
from ingest_service.store.access import Session
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from ingest_service.store.plans import Unmonitored
from ingest_service.store.worklist import (
    ListedPatient,
    Measured,
    OpenAlert,
    QuarantineState,
    Trend,
    Unit,
    ValuelessRecords,
)

CODES: Final = (codings.BLOOD_PRESSURE, codings.PULSE, codings.SPO2)
CODE_OF_RULE: Final[Mapping[str, str]] = {
    "limit.blood_pressure": codings.BLOOD_PRESSURE,
    "limit.pulse": codings.PULSE,
    "limit.spo2": codings.SPO2,
}
TREND: Final = timedelta(days=14)
_LATEST: Final = timedelta(days=365)
_FRAMES: Final = timedelta(days=7)
_AHEAD: Final = timedelta(days=1)  # a gateway's clock may run ahead of ours
_MOST_ALERTS: Final = 500
_MOST_PATIENTS: Final = 300
_MOST_POINTS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Worklist:
    """Everything the page is made of; nothing here is a word yet.

    ``alerts`` are in the order they are to be dealt with; ``names`` are of staff by HSA-id;
    ``is_cut`` tells that there is more than is shown.
    """

    unit: Unit
    alerts: Sequence[OpenAlert]
    patients: Sequence[ListedPatient]
    latest: Mapping[UUID, Mapping[str, Measured]]
    trends: Mapping[UUID, Trend]
    limits: Mapping[UUID, Mapping[Measure, Limits]]
    valueless: Sequence[ValuelessRecords]
    quarantine: QuarantineState
    names: Mapping[str, str]
    unmonitored: Mapping[UUID, Unmonitored]
    is_cut: bool


async def read(
    connection: Connection, caller: Caller, session: Session, *, now: datetime
) -> Worklist | None:
    """Return the caller's worklist, or None if their unit is gone; the view is logged."""
    unit = await worklist.unit(connection, caller)
    if unit is None:
        return None
    alerts = await worklist.open_alerts(connection, caller, limit=_MOST_ALERTS)
    alerted = list(dict.fromkeys(alert.patient_id for alert in alerts))
    patients = await worklist.patients(
        connection, caller, first=alerted, limit=len(alerted) + _MOST_PATIENTS
    )
    ids = [patient.id for patient in patients]
    until = now + _AHEAD
    latest = await worklist.latest(
        connection, caller, ids, CODES, since=now - _LATEST, until=until
    )
    trends = await worklist.trend(
        connection,
        caller,
        _trends_of(alerts),
        since=now - TREND,
        until=until,
        limit=_MOST_POINTS,
    )
    in_force = await plans.of_caller(connection, caller, ids, at=now)
    valueless = await worklist.valueless_records(
        connection, caller, ids, since=now - _FRAMES, until=until
    )
    await access.log_list(connection, caller, session, ids)
    return Worklist(
        unit=unit,
        alerts=alerts,
        patients=patients,
        latest=_latest_by_patient(latest),
        trends={each.patient_id: each for each in trends},
        limits={patient_id: plan.limits_at(now) for patient_id, plan in in_force.items()},
        valueless=valueless,
        quarantine=await worklist.quarantine(connection, caller),
        names=await opened.names(connection, {alert.owner for alert in alerts if alert.owner}),
        unmonitored=await _unmonitored(connection, caller, ids, in_force, now),
        is_cut=len(alerts) == _MOST_ALERTS or len(patients) == len(alerted) + _MOST_PATIENTS,
    )


async def _unmonitored(
    connection: Connection,
    caller: Caller,
    ids: Sequence[UUID],
    in_force: Collection[UUID],
    now: datetime,
) -> dict[UUID, Unmonitored]:
    """Return why those of these patients are not monitored who have no plan in force."""
    without = [each for each in ids if each not in in_force]
    if not without:
        return {}
    found = await plans.unmonitored_patients(
        connection, caller, now=now, limit=len(without), among=without
    )
    return {each.patient_id: each for each in found}


def _trends_of(alerts: Sequence[OpenAlert]) -> list[tuple[UUID, str]]:
    """Return for each patient what the first of their alerts is about: that one is drawn."""
    first = dict[UUID, str]()
    for alert in alerts:
        if code := CODE_OF_RULE.get(alert.rule):
            first.setdefault(alert.patient_id, code)
    return list(first.items())


def _latest_by_patient(rows: Sequence[Measured]) -> dict[UUID, dict[str, Measured]]:
    found = dict[UUID, dict[str, Measured]]()
    for row in rows:
        found.setdefault(row.patient_id, {})[row.code] = row
    return found
