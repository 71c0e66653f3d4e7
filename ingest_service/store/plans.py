"""Plans by which patients are judged, and when their units are open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from ingest_service.plans import hours as opening_hours
from ingest_service.plans import merging, reading
from ingest_service.plans.default_hours import DEFAULT_HOURS
from ingest_service.plans.hours import Hours
from ingest_service.plans.plan import Approval, Plan
from ingest_service.plans.templates import template
from ingest_service.plans.templates.template import Template
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

_IN_FORCE: Final = """
SELECT p.id, p.version, p.patient_id, patient.care_unit_id AS lead_unit_id, p.body
  FROM plan p
  JOIN patient ON patient.id = p.patient_id
 WHERE p.patient_id = ANY(%(patients)s) AND p.valid @> %(at)s::timestamptz
 ORDER BY p.patient_id, p.id
"""

_NEXT_CHANGE: Final = """
SELECT patient_id, min(at)
  FROM plan, unnest(ARRAY[lower(valid), upper(valid)]) AS bound(at)
 WHERE patient_id = ANY(%(patients)s) AND at > %(after)s
 GROUP BY patient_id
"""

_HOURS: Final = """
SELECT DISTINCT ON (care_unit_id) care_unit_id, version, body
  FROM care_unit_hours
 WHERE care_unit_id = ANY(%s)
 ORDER BY care_unit_id, version DESC
"""

# Of every plan of these patients its newest version; of a patient the one that says most of why.
_UNMONITORED: Final = """
SELECT patient.id AS patient_id,
       CASE
       WHEN plans.newest IS NULL THEN 'no_plan'
       WHEN 'on-hold' = ANY(plans.newest) THEN 'on_hold'
       WHEN plans.begins_at IS NOT NULL THEN 'not_begun'
       WHEN 'active' = ANY(plans.newest) THEN 'expired'
       WHEN plans.ended_at IS NOT NULL THEN 'ended'
       WHEN 'draft' = ANY(plans.newest) THEN 'draft_only'
       ELSE 'ended'
       END AS why,
       plans.ended_at AS since, plans.begins_at
  FROM patient
 CROSS JOIN LATERAL (
       SELECT array_agg(status) FILTER (WHERE is_newest) AS newest,
              max(upper(valid)) FILTER (WHERE upper(valid) <= %(now)s) AS ended_at,
              min(lower(valid)) FILTER (WHERE lower(valid) > %(now)s) AS begins_at
         FROM (SELECT status, valid,
                      row_number() OVER (PARTITION BY id ORDER BY version DESC) = 1 AS is_newest
                 FROM plan
                WHERE patient_id = patient.id) AS version
 ) AS plans
 WHERE patient.care_unit_id = ANY(%(units)s)
   AND (%(patients)s::uuid[] IS NULL OR patient.id = ANY(%(patients)s))
   AND NOT EXISTS (SELECT FROM plan
                    WHERE patient_id = patient.id AND valid @> %(now)s::timestamptz)
 ORDER BY patient.family, patient.given, patient.id
 LIMIT %(limit)s
"""

_OF_PATIENT: Final = """
SELECT id, version, patient_id, care_unit_id, programme, status, lower(valid) AS valid_from,
       upper(valid) AS valid_until, approved_by, approved_role, approved_at, written_by,
       written_at, reason, replay::text AS replay, body
  FROM plan
 WHERE patient_id = %(patient)s
 ORDER BY programme, id, version
"""

_OF_PLAN: Final = """
SELECT id, version, patient_id, care_unit_id, programme, status, lower(valid) AS valid_from,
       upper(valid) AS valid_until, approved_by, approved_role, approved_at, written_by,
       written_at, reason, replay::text AS replay, body
  FROM plan
 WHERE id = %(plan)s
 ORDER BY version
"""

# The same version again, of a document that is registered twice, changes nothing.
_PUT: Final = """
INSERT INTO plan (id, version, patient_id, care_unit_id, programme, status, valid, template_id,
       template_version, approved_by, approved_role, approved_at, written_by, written_at, reason,
       replay, body)
SELECT id, version, patient_id, care_unit_id, programme, status,
       CASE WHEN valid_from IS NULL THEN 'empty' ELSE tstzrange(valid_from, valid_until) END,
       template_id, template_version, approved_by, approved_role, approved_at, written_by,
       written_at, reason, replay, body
  FROM json_to_recordset(%s::json)
       AS row(id uuid, version integer, patient_id uuid, care_unit_id uuid, programme text,
              status text, valid_from timestamptz, valid_until timestamptz, template_id text,
              template_version integer, approved_by text, approved_role text,
              approved_at timestamptz, written_by text, written_at timestamptz, reason text,
              replay jsonb, body text)
 ORDER BY id, version
"""

_REWRITE: Final = """
UPDATE plan p
   SET status = row.status, valid = CASE WHEN row.valid_from IS NULL THEN 'empty'
                                         ELSE tstzrange(row.valid_from, row.valid_until) END,
       approved_by = row.approved_by, approved_role = row.approved_role,
       approved_at = row.approved_at, reason = row.reason, replay = row.replay,
       template_id = row.template_id, template_version = row.template_version,
       written_by = row.written_by, written_at = row.written_at, body = row.body
  FROM json_to_recordset(%s::json)
       AS row(id uuid, version integer, status text, valid_from timestamptz,
              valid_until timestamptz, template_id text, template_version integer,
              approved_by text, approved_role text, approved_at timestamptz, written_by text,
              written_at timestamptz, reason text, replay jsonb, body text)
 WHERE p.id = row.id AND p.version = row.version
"""

# What had not begun by then never holds.
_END: Final = """
UPDATE plan
   SET valid = CASE WHEN lower(valid) >= %(at)s THEN 'empty'
                    ELSE tstzrange(lower(valid), %(at)s) END
 WHERE id = %(plan)s AND NOT isempty(valid) AND (upper(valid) IS NULL OR upper(valid) > %(at)s)
"""

_DUE_NOW: Final = """
INSERT INTO patient_clock AS known (patient_id, due_at, judged_through)
VALUES (%(patient)s, %(now)s, %(now)s)
    ON CONFLICT (patient_id) DO UPDATE SET due_at = least(known.due_at, excluded.due_at)
"""

_AFFECTED: Final = """
SELECT p.patient_id, p.id AS plan_id, p.version, p.template_version
  FROM plan p
 WHERE p.template_id = %(template)s AND p.template_version < %(version)s
   AND p.valid @> %(now)s::timestamptz
 ORDER BY p.patient_id, p.id
"""

_TEMPLATES: Final = "SELECT id, version, body FROM plan_template ORDER BY id, version"

_PUT_TEMPLATE: Final = """
INSERT INTO plan_template (id, version, care_provider_id, care_unit_id, narrows_id,
       narrows_version, approved_by, approved_role, approved_at, body)
VALUES (%(id)s, %(version)s, %(provider)s, %(unit)s, %(narrows_id)s, %(narrows_version)s, %(by)s,
        %(role)s, %(at)s, %(body)s)
"""

_PUT_HOURS: Final = """
INSERT INTO care_unit_hours (care_unit_id, version, body, written_by, written_at)
SELECT row.care_unit_id,
       coalesce((SELECT max(version) FROM care_unit_hours h
                  WHERE h.care_unit_id = row.care_unit_id), 0) + 1,
       row.body, row.written_by, row.written_at
  FROM json_to_recordset(%s::json)
       AS row(care_unit_id uuid, body text, written_by text, written_at timestamptz)
 WHERE row.body IS DISTINCT FROM (SELECT body FROM care_unit_hours h
                                   WHERE h.care_unit_id = row.care_unit_id
                                   ORDER BY version DESC LIMIT 1)
 ORDER BY row.care_unit_id
"""


class Why(StrEnum):
    """Why nobody judges a patient's readings (A19)."""

    NO_PLAN = "no_plan"
    DRAFT_ONLY = "draft_only"
    ON_HOLD = "on_hold"
    NOT_BEGUN = "not_begun"
    EXPIRED = "expired"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmonitored:
    """A patient by whom no plan is in force, why, since when, and when one begins."""

    patient_id: UUID
    why: Why
    since: datetime | None
    begins_at: datetime | None


class PlanRow(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a plan; without ``valid_from`` nobody is ever judged by it."""

    id: UUID
    version: int
    patient_id: UUID
    care_unit_id: UUID
    programme: str
    status: str
    valid_from: datetime | None
    valid_until: datetime | None
    written_by: str
    written_at: datetime
    body: str
    template_id: str | None = None
    template_version: int | None = None
    approved_by: str | None = None
    approved_role: str | None = None
    approved_at: datetime | None = None
    reason: str | None = None
    replay: msgspec.Raw | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a plan as it stands; ``replay`` is JSON text, ``body`` the document."""

    id: UUID
    version: int
    patient_id: UUID
    care_unit_id: UUID
    programme: str
    status: str
    valid_from: datetime | None
    valid_until: datetime | None
    approved_by: str | None
    approved_role: str | None
    approved_at: datetime | None
    written_by: str
    written_at: datetime
    reason: str | None
    replay: str | None
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """A patient's plan in force that came from an older version of a template."""

    patient_id: UUID
    plan_id: UUID
    version: int
    template_version: int


class HoursRow(msgspec.Struct, frozen=True, kw_only=True):
    """A unit's hours as a document, and who wrote them."""

    care_unit_id: UUID
    body: str
    written_by: str
    written_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _InForce:
    id: UUID
    version: int
    patient_id: UUID
    lead_unit_id: UUID
    body: str


async def in_force(
    connection: Connection, patients: Collection[UUID], at: datetime
) -> dict[UUID, Plan]:
    """Return by which plan each of these patients is judged then; none of those without one.

    Raises:
        PlanError: If one cannot be read: then nobody knows what it asks for.
    """
    return _merged_of(await _in_force(connection, patients, at))


async def of_caller(
    connection: Connection, caller: Caller, patients: Collection[UUID], *, at: datetime
) -> dict[UUID, Plan]:
    """Return the same of the caller's own patients; a plan that cannot be read is left out."""
    rows = [
        row
        for row in await _in_force(connection, patients, at)
        if row.lead_unit_id in caller.care_unit_ids
    ]
    unreadable = {row.patient_id for row in rows if not _is_readable(row)}
    return _merged_of(row for row in rows if row.patient_id not in unreadable)


async def next_change(
    connection: Connection, patients: Collection[UUID], after: datetime
) -> dict[UUID, datetime]:
    """Return when a plan of these patients begins or ends next; the clock has to look then."""
    cursor = await connection.execute(_NEXT_CHANGE, {"patients": list(patients), "after": after})
    return {row[0]: row[1] for row in await cursor.fetchall()}


async def hours_of(connection: Connection, units: Collection[UUID]) -> dict[UUID, Hours]:
    """Return these units' hours; `DEFAULT_HOURS` where a unit has stated none.

    Raises:
        HoursError: If some cannot be read.
    """
    cursor = await connection.execute(_HOURS, [list(units)])
    stated = {row[0]: _hours(row[2]) for row in await cursor.fetchall()}
    return {unit: stated.get(unit, DEFAULT_HOURS) for unit in units}


async def unmonitored_patients(
    connection: Connection,
    caller: Caller,
    *,
    now: datetime,
    limit: int,
    among: Collection[UUID] | None = None,
) -> list[Unmonitored]:
    """Return the caller's patients by whom no plan is in force, by name (A19).

    ``among`` are those who are looked at: all where it is left out, which reads every patient.
    """
    patients = None if among is None else list(among)
    async with connection.cursor(row_factory=class_row(Unmonitored)) as cursor:
        await cursor.execute(
            _UNMONITORED,
            {
                "units": list(caller.care_unit_ids),
                "now": now,
                "limit": limit,
                "patients": patients,
            },
        )
        return await cursor.fetchall()


async def of_patient(connection: Connection, patient_id: UUID) -> list[Version]:
    """Return every version of every plan of a patient, by programme, oldest first."""
    async with connection.cursor(row_factory=class_row(Version)) as cursor:
        await cursor.execute(_OF_PATIENT, {"patient": patient_id})
        return await cursor.fetchall()


async def versions(connection: Connection, plan_id: UUID) -> list[Version]:
    """Return every version of a plan, oldest first."""
    async with connection.cursor(row_factory=class_row(Version)) as cursor:
        await cursor.execute(_OF_PLAN, {"plan": plan_id})
        return await cursor.fetchall()


async def add(connection: Connection, rows: Collection[PlanRow]) -> None:
    """Add versions; their patients are locked."""
    await connection.execute(_PUT, [packed(rows)])


async def rewrite(connection: Connection, row: PlanRow) -> None:
    """Write a draft anew, or approve it; the database refuses to change what was approved."""
    await connection.execute(_REWRITE, [packed([row])])


async def end(connection: Connection, plan_id: UUID, at: datetime) -> None:
    """Let whatever version of the plan holds then, or would later, hold no longer."""
    await connection.execute(_END, {"plan": plan_id, "at": at})


async def judge_soon(connection: Connection, patient_id: UUID, now: datetime) -> None:
    """Let time-driven rules look at the patient at once; the patient is locked."""
    await connection.execute(_DUE_NOW, {"patient": patient_id, "now": now})


async def affected(
    connection: Connection, template: str, version: int, now: datetime
) -> list[Affected]:
    """Return the plans in force that came from a template before that version."""
    async with connection.cursor(row_factory=class_row(Affected)) as cursor:
        await cursor.execute(_AFFECTED, {"template": template, "version": version, "now": now})
        return await cursor.fetchall()


async def templates_of(connection: Connection) -> dict[tuple[str, int], Template]:
    """Return the regions' and units' own templates.

    Raises:
        TemplateError: If one cannot be read.
    """
    cursor = await connection.execute(_TEMPLATES)
    return {
        (row[0], row[1]): template.parse(row[2].encode(), name=f"template {row[0]}")
        for row in await cursor.fetchall()
    }


async def put_template(
    connection: Connection,
    given: Template,
    *,
    owner: UUID,
    is_unit: bool,
    approval: Approval,
) -> None:
    """Add a version of a provider's or a unit's own template."""
    narrows = given.narrows
    await connection.execute(
        _PUT_TEMPLATE,
        {
            "id": given.id,
            "version": given.version,
            "provider": None if is_unit else owner,
            "unit": owner if is_unit else None,
            "narrows_id": narrows.id if narrows else None,
            "narrows_version": narrows.version if narrows else None,
            "by": approval.by,
            "role": approval.role,
            "at": approval.at,
            "body": msgspec.json.encode(given).decode(),
        },
    )


async def put_hours(connection: Connection, rows: Collection[HoursRow]) -> None:
    """Write units' hours; the same as before make no new version."""
    await connection.execute(_PUT_HOURS, [packed(rows)])


def _merged_of(rows: Iterable[_InForce]) -> dict[UUID, Plan]:
    """Return each patient's plans as one."""
    found: dict[UUID, list[_InForce]] = {}
    for row in rows:
        found.setdefault(row.patient_id, []).append(row)
    return {
        patient_id: plan
        for patient_id, of_one in found.items()
        if (plan := _merged(tuple(of_one), of_one[0].lead_unit_id)) is not None
    }


async def _in_force(
    connection: Connection, patients: Collection[UUID], at: datetime
) -> Sequence[_InForce]:
    async with connection.cursor(row_factory=class_row(_InForce)) as cursor:
        await cursor.execute(_IN_FORCE, {"patients": list(patients), "at": at})
        return await cursor.fetchall()


@lru_cache(maxsize=1 << 14)  # a version never changes, and is asked for at every reading
def _merged(rows: tuple[_InForce, ...], lead_unit: UUID) -> Plan | None:
    return merging.merged([_plan(row) for row in rows], lead_unit=lead_unit)


def _plan(row: _InForce) -> Plan:
    return reading.decode(row.body, name=f"plan {row.id} version {row.version}")


def _is_readable(row: _InForce) -> bool:
    try:
        _plan(row)
    except reading.PlanError:
        return False
    return True


@lru_cache(maxsize=1 << 10)
def _hours(body: str) -> Hours:
    return opening_hours.decode(body.encode())
