"""One alert: what a member of staff sees of it, read and logged in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from clinician_api.errors import NotFoundError
from clinician_api.services.worklist import CODE_OF_RULE, CODES, TREND
from ingest_service.plans.plan import Plan
from ingest_service.store import access, answers, opened, plans, worklist
from ingest_service.store.answers import PastAnswers
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from ingest_service.store.opened import Happened, OpenedAlert
from ingest_service.store.worklist import ListedPatient, Measured, Trend

_AHEAD: Final = timedelta(days=1)  # a gateway's clock may run ahead of ours
_ANSWERS: Final = timedelta(days=7)
_MOST_EVENTS: Final = 50
_MOST_READINGS: Final = 12
_MOST_POINTS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Everything the pane is made of; nothing here is a word yet.

    ``names`` are of staff by HSA-id, as far as they are known; ``is_own`` tells that it is not
    another unit's that was handed over.
    """

    alert: OpenedAlert
    patient: ListedPatient
    others: Sequence[UUID]
    trend: Trend | None
    readings: Sequence[Measured]
    answers: Sequence[PastAnswers]
    events: Sequence[Happened]
    plan: Plan | None
    names: Mapping[str, str]
    is_own: bool


async def read(connection: Connection, caller: Caller, alert_id: UUID, *, now: datetime) -> Opened:
    """Return an alert with its patient; the view is logged.

    Raises:
        NotFoundError: If there is none that the caller may open.
    """
    alert = await opened.alert(connection, caller, alert_id, now=now)
    patient = await opened.patient(connection, alert.patient_id, None) if alert else None
    if alert is None or patient is None:
        raise NotFoundError("there is no such alert")
    # A backup unit that was handed it reads as the unit whose alert it is.
    reader = replace(caller, care_unit_ids=(alert.care_unit_id,))
    until = now + _AHEAD
    events = await opened.events(connection, alert_id, limit=_MOST_EVENTS)
    people = {each.by for each in events} | {alert.owner or "", alert.state_by or ""}
    in_force = await plans.of_caller(connection, reader, [patient.id], at=now)
    found = Opened(
        alert=alert,
        patient=patient,
        others=await opened.others(connection, alert),
        trend=await _trend(connection, reader, alert, now, until),
        readings=await opened.readings(
            connection,
            patient.id,
            alert.care_unit_id,
            CODES,
            since=now - TREND,
            until=until,
            limit=_MOST_READINGS,
        ),
        answers=await answers.since(connection, [patient.id], now - _ANSWERS),
        events=events,
        plan=in_force.get(patient.id),
        names=await opened.names(connection, people),
        is_own=alert.care_unit_id in caller.care_unit_ids,
    )
    await access.log(connection, caller, action="alert", patient_ids=[patient.id])
    return found


async def _trend(
    connection: Connection, reader: Caller, alert: OpenedAlert, now: datetime, until: datetime
) -> Trend | None:
    code = CODE_OF_RULE.get(alert.rule)
    if code is None:
        return None
    found = await worklist.trend(
        connection,
        reader,
        [(alert.patient_id, code)],
        since=now - TREND,
        until=until,
        limit=_MOST_POINTS,
    )
    return found[0] if found else None
