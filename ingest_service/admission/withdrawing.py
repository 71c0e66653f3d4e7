"""What rested on readings that were taken back or moved: alerts, and what they hid (A8, A5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ingest_service.admission import cases
from ingest_service.admission.revising import Decision
from ingest_service.alerts import engine
from ingest_service.alerts.case import Case
from ingest_service.alerts.history import Reading
from ingest_service.plans.limits import FAMILY_OF_CODE
from ingest_service.store.connections import Connection
from ingest_service.store.patients import Patient

# How far before a value that was taken back others are looked for that it may have hidden.
_HIDDEN: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Gone:
    """An observation that is no longer the patient's, or no longer says what it said, or when."""

    id: UUID
    patient_id: UUID
    code: str
    effective_at: datetime


async def withdraw(
    connection: Connection,
    gone: Collection[Gone],
    patients: Mapping[UUID, Patient],
    decision: Decision,
    *,
    now: datetime,
) -> int:
    """Take these observations out of alerts, and judge anew what is left and what they hid.

    Args:
        connection: Inside the transaction that took them back; the patients are locked.
        gone: What was taken back.
        patients: Whose it was.
        decision: Who took it back, and why.
        now: The time it is.

    Returns:
        How many times an alert was raised, raised again or joined by what it hid.
    """
    loaded = await _loaded(connection, gone, patients, now)
    for patient_id, case in loaded.items():
        ids = {one.id for one in gone if one.patient_id == patient_id}
        for one in gone:
            if one.id in ids and (known := _known(one)) is not None:
                case.history.add(known)  # what was stored of it is taken back already
        engine.take_back(case, ids, by=decision.by, why=decision.why, now=now)
    told = cases.told(loaded.values())
    await cases.write(connection, loaded.values(), patients, now=now)
    return told


async def uncover(
    connection: Connection,
    moved: Collection[Gone],
    patients: Mapping[UUID, Patient],
    *,
    now: datetime,
) -> int:
    """Judge anew what these observations may have hidden where they stood before.

    A late reading is history only because a later one was within limits: without that one, or at
    its better time, it may alert.

    Returns:
        How many times an alert was raised, raised again or joined.
    """
    loaded = await _loaded(connection, moved, patients, now)
    for patient_id, case in loaded.items():
        codes = {one.code for one in moved if one.patient_id == patient_id}
        families = {FAMILY_OF_CODE[code] for code in codes if code in FAMILY_OF_CODE}
        engine.judge_again(case, families, now=now)
    told = cases.told(loaded.values())
    await cases.write(connection, loaded.values(), patients, now=now)
    return told


def _known(one: Gone) -> Reading | None:
    """Return what was taken back as the rules knew it: its place is all that matters now."""
    family = FAMILY_OF_CODE.get(one.code)
    if family is None:
        return None
    return Reading(
        observation_id=one.id,
        code=one.code,
        family=family,
        values={},
        unit=cases.UNITS[family],
        effective_at=one.effective_at,
        received_at=one.effective_at,
    )


async def _loaded(
    connection: Connection,
    gone: Collection[Gone],
    patients: Mapping[UUID, Patient],
    now: datetime,
) -> dict[UUID, Case]:
    concerned = {one.patient_id: patients[one.patient_id] for one in gone}
    loaded = await cases.load(connection, concerned, now=now)
    since = {
        patient_id: min(one.effective_at for one in gone if one.patient_id == patient_id) - _HIDDEN
        for patient_id in loaded
    }
    await cases.look_back(connection, loaded, since, now=now)
    return loaded
