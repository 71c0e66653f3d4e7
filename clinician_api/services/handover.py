"""What one shift leaves to the next, read and logged in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ingest_service.store import access, handover, opened, worklist
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from ingest_service.store.handover import LeftAlert
from ingest_service.store.worklist import ListedPatient

LATELY: Final = timedelta(hours=24)
_MOST: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """Alerts in the order in which they are told, their patients, and staff by HSA-id."""

    alerts: Sequence[LeftAlert]
    patients: Mapping[UUID, ListedPatient]
    names: Mapping[str, str]
    is_cut: bool


async def read(connection: Connection, caller: Caller, *, now: datetime) -> Handover:
    """Return what is open at the caller's unit, and what became of the rest within a day."""
    alerts = await handover.alerts(connection, caller, since=now - LATELY, limit=_MOST)
    ids = list(dict.fromkeys(alert.patient_id for alert in alerts))
    patients = (
        await worklist.patients(connection, caller, first=ids, limit=len(ids)) if ids else []
    )
    people = {
        each
        for alert in alerts
        for each in (alert.owner, alert.state_by, alert.note_by)
        if each is not None
    }
    await access.log(connection, caller, action="handover", patient_ids=ids)
    return Handover(
        alerts=alerts,
        patients={each.id: each for each in patients},
        names=await opened.names(connection, people),
        is_cut=len(alerts) == _MOST,
    )
