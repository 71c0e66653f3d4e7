"""Patients: found by name, and what one's page shows; read and logged in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from clinician_api.errors import NotFoundError
from clinician_api.services.worklist import CODES
from ingest_service.plans.plan import Plan
from ingest_service.store import access, answers, opened, patient_search, plans, worklist
from ingest_service.store.answers import PastAnswers
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from ingest_service.store.opened import OpenAlertId, Standing
from ingest_service.store.worklist import ListedPatient, Measured

AVERAGE: Final = "96607-7"  # LOINC: blood pressure panel, mean
_AHEAD: Final = timedelta(days=1)  # a gateway's clock may run ahead of ours
_ANSWERS: Final = timedelta(days=30)
_MOST_READINGS: Final = 4000
MOST_FOUND: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Everything a patient's page is made of; nothing here is a word yet.

    ``readings`` are by LOINC code, oldest first; ``is_cut`` tells that there are more of them.
    """

    patient: ListedPatient
    readings: Mapping[str, Sequence[Measured]]
    average: Measured | None
    answers: Sequence[PastAnswers]
    alerts: Sequence[OpenAlertId]
    devices: Sequence[Standing]
    plan: Plan | None
    names: Mapping[str, str]
    since: datetime
    is_cut: bool


async def read(
    connection: Connection, caller: Caller, patient_id: UUID, *, days: int, now: datetime
) -> Known:
    """Return a patient of the caller's unit with so many days of readings; the view is logged.

    Raises:
        NotFoundError: If there is none that the caller may see.
    """
    units = list(caller.care_unit_ids)
    patient = await opened.patient(connection, patient_id, units)
    if patient is None:
        raise NotFoundError("there is no such patient")
    since, until = now - timedelta(days=days), now + _AHEAD
    found = await opened.readings(
        connection, patient_id, units[0], CODES, since=since, until=until, limit=_MOST_READINGS
    )
    averages = await worklist.latest(
        connection, caller, [patient_id], [AVERAGE], since=now - timedelta(days=90), until=until
    )
    in_force = await plans.of_caller(connection, caller, [patient_id], at=now)
    plan = in_force.get(patient_id)
    approver = plan.approval.by if plan and plan.approval else ""
    readings: dict[str, list[Measured]] = {code: [] for code in CODES}
    for row in reversed(found):
        readings[row.code].append(row)
    known = Known(
        patient=patient,
        readings=readings,
        average=averages[0] if averages else None,
        answers=await answers.since(connection, [patient_id], now - _ANSWERS),
        alerts=await opened.open_of(connection, patient_id, units),
        devices=await opened.devices_of(connection, patient_id, at=now),
        plan=plan,
        names=await opened.names(connection, {approver}),
        since=since,
        is_cut=len(found) == _MOST_READINGS,
    )
    await access.log(connection, caller, action="patient", patient_ids=[patient_id])
    return known


async def search(connection: Connection, caller: Caller, text: str) -> list[ListedPatient]:
    """Return the caller's patients with that in their name or number; the list is logged."""
    if not text.strip():
        return []
    found = await patient_search.search(connection, caller, text, limit=MOST_FOUND)
    if found:
        await access.log(connection, caller, action="search", patient_ids=[p.id for p in found])
    return found
