"""What a member of staff opens: an alert or a patient, what happened, and who did that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.rows import class_row

from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from ingest_service.store.worklist import ListedPatient, Measured

# Of the caller's own units, or handed to one of them as a backup for a time (A11).
_ALERT: Final = """
SELECT a.id, a.patient_id, a.care_unit_id, a.rule, a.rule_version, a.priority, a.state,
       a.raised_at, a.confirm_by, a.due_at, a.owner, a.paused_until, a.pause_reason, a.outcome,
       a.resolved_at, a.plan_version, a.limits::text AS limits, a.readings::text AS readings,
       a.facts::text AS facts, a.state_by, a.state_at, a.undo->>'by' AS undo_by,
       (a.undo->>'at')::timestamptz AS undo_at, a.version
  FROM alert a
 WHERE a.id = %(id)s
   AND a.state <> 'awaiting'
   AND (a.care_unit_id = ANY(%(units)s)
        OR EXISTS (SELECT FROM backup_grant g
                    WHERE g.alert_id = a.id
                      AND g.backup_unit_id = ANY(%(units)s)
                      AND g.valid @> %(now)s::timestamptz))
"""

_EVENTS: Final = """
SELECT at, event, by, detail::text AS detail
  FROM alert_event
 WHERE alert_id = %(id)s
 ORDER BY at DESC, id DESC
 LIMIT %(limit)s
"""

_PATIENT: Final = """
SELECT id, identifier_system, identifier_value, family, given, birth_date, gender, programme,
       is_protected
  FROM patient
 WHERE id = %(id)s
   AND (%(units)s::uuid[] IS NULL OR care_unit_id = ANY(%(units)s))
"""

_OPEN_OF: Final = """
SELECT id, priority, rule, raised_at
  FROM alert
 WHERE patient_id = %(patient)s AND care_unit_id = ANY(%(units)s)
   AND state NOT IN ('awaiting', 'resolved')
 ORDER BY CASE priority WHEN 'red' THEN 0 WHEN 'yellow' THEN 1 ELSE 2 END, raised_at, id
"""

_DEVICES: Final = """
SELECT d.id, d.kind, d.gateway_id, s.is_online, s.heard_at,
       (SELECT max(r.effective_at) FROM device_record r
         WHERE r.device_id = d.id AND r.patient_id = a.patient_id) AS last_at
  FROM assignment a
  JOIN device d ON d.id = a.device_id
  LEFT JOIN gateway_status s ON s.gateway_id = d.gateway_id
 WHERE a.patient_id = %(patient)s AND a.valid @> %(at)s::timestamptz
 ORDER BY d.kind, d.id
"""

_READINGS: Final = """
SELECT patient_id, code, effective_at, last_updated, value, systolic, diastolic, is_irregular,
       is_doubtful, may_be_another
  FROM observation
 WHERE care_unit_id = %(unit)s
   AND patient_id = %(patient)s
   AND code = ANY(%(codes)s)
   AND effective_at >= %(since)s
   AND effective_at < %(until)s
   AND coalesce(systolic, value) IS NOT NULL
   AND status <> 'entered-in-error'
 ORDER BY effective_at DESC, id DESC
 LIMIT %(limit)s
"""

_OTHERS: Final = """
SELECT id
  FROM alert
 WHERE patient_id = %(patient)s AND care_unit_id = %(unit)s AND id <> %(id)s
   AND state NOT IN ('awaiting', 'resolved')
 ORDER BY CASE priority WHEN 'red' THEN 0 WHEN 'yellow' THEN 1 ELSE 2 END, raised_at, id
"""

_PRIORITIES: Final = """
SELECT id, priority FROM alert WHERE id = ANY(%(ids)s) AND care_unit_id = ANY(%(units)s)
"""

# Who has a session, or had one that is not swept away yet; of others the HSA-id has to do.
_NAMES: Final = """
SELECT DISTINCT ON (hsa_id) hsa_id, name
  FROM web_session
 WHERE hsa_id = ANY(%s)
 ORDER BY hsa_id, created_at DESC
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedAlert:
    """An alert in whatever state; ``limits``, ``readings`` and ``facts`` are JSON text.

    ``undo_by`` and ``undo_at`` say whose last action may still be taken back, and when it was.
    """

    id: UUID
    patient_id: UUID
    care_unit_id: UUID
    rule: str
    rule_version: int
    priority: str
    state: str
    raised_at: datetime | None
    confirm_by: datetime | None
    due_at: datetime | None
    owner: str | None
    paused_until: datetime | None
    pause_reason: str | None
    outcome: str | None
    resolved_at: datetime | None
    plan_version: int | None
    limits: str
    readings: str
    facts: str
    state_by: str | None
    state_at: datetime | None
    undo_by: str | None
    undo_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAlertId:
    """An open alert of a patient, to go to."""

    id: UUID
    priority: str
    rule: str
    raised_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A device of a patient: where it stands, and whether that gateway is heard."""

    id: str
    kind: str
    gateway_id: str | None
    is_online: bool | None
    heard_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One thing that happened to an alert; ``detail`` is JSON text."""

    at: datetime
    event: str
    by: str
    detail: str | None


async def alert(
    connection: Connection, caller: Caller, alert_id: UUID, *, now: datetime
) -> OpenedAlert | None:
    """Return an alert that the caller may open now, or None: there is none for them."""
    async with connection.cursor(row_factory=class_row(OpenedAlert)) as cursor:
        values = {"id": alert_id, "units": list(caller.care_unit_ids), "now": now}
        await cursor.execute(_ALERT, values)
        return await cursor.fetchone()


async def events(connection: Connection, alert_id: UUID, *, limit: int) -> list[Happened]:
    """Return what happened to an alert, newest first."""
    async with connection.cursor(row_factory=class_row(Happened)) as cursor:
        await cursor.execute(_EVENTS, {"id": alert_id, "limit": limit})
        return await cursor.fetchall()


async def patient(
    connection: Connection, patient_id: UUID, care_unit_ids: Collection[UUID] | None
) -> ListedPatient | None:
    """Return a patient as a list names one, if one of these units has them.

    Without units whoever calls has checked who may see them: an alert stays where it was raised.
    """
    units = None if care_unit_ids is None else list(care_unit_ids)
    async with connection.cursor(row_factory=class_row(ListedPatient)) as cursor:
        await cursor.execute(_PATIENT, {"id": patient_id, "units": units})
        return await cursor.fetchone()


async def open_of(
    connection: Connection, patient_id: UUID, care_unit_ids: Collection[UUID]
) -> list[OpenAlertId]:
    """Return a patient's open alerts, the most urgent first."""
    async with connection.cursor(row_factory=class_row(OpenAlertId)) as cursor:
        await cursor.execute(_OPEN_OF, {"patient": patient_id, "units": list(care_unit_ids)})
        return await cursor.fetchall()


async def devices_of(connection: Connection, patient_id: UUID, *, at: datetime) -> list[Standing]:
    """Return the devices that are a patient's at that time."""
    async with connection.cursor(row_factory=class_row(Standing)) as cursor:
        await cursor.execute(_DEVICES, {"patient": patient_id, "at": at})
        return await cursor.fetchall()


async def readings(
    connection: Connection,
    patient_id: UUID,
    care_unit_id: UUID,
    codes: Sequence[str],
    *,
    since: datetime,
    until: datetime,
    limit: int,
) -> list[Measured]:
    """Return a patient's values of these LOINC codes, newest first."""
    async with connection.cursor(row_factory=class_row(Measured)) as cursor:
        await cursor.execute(
            _READINGS,
            {
                "patient": patient_id,
                "unit": care_unit_id,
                "codes": list(codes),
                "since": since,
                "until": until,
                "limit": limit,
            },
        )
        return await cursor.fetchall()


async def others(connection: Connection, opened: OpenedAlert) -> list[UUID]:
    """Return the patient's other open alerts in the same unit, the most urgent first."""
    values = {"patient": opened.patient_id, "unit": opened.care_unit_id, "id": opened.id}
    cursor = await connection.execute(_OTHERS, values)
    return [row[0] for row in await cursor.fetchall()]


async def priorities(
    connection: Connection, caller: Caller, alert_ids: Collection[UUID]
) -> dict[UUID, str]:
    """Return the priorities of those of these alerts that are of the caller's units."""
    values = {"ids": list(alert_ids), "units": list(caller.care_unit_ids)}
    cursor = await connection.execute(_PRIORITIES, values)
    return {row[0]: row[1] for row in await cursor.fetchall()}


async def names(connection: Connection, hsa_ids: Collection[str]) -> dict[str, str]:
    """Return the names of those of these members of staff that are known."""
    cursor = await connection.execute(_NAMES, [sorted(set(hsa_ids))])
    return {row[0]: row[1] for row in await cursor.fetchall()}
