"""Alerts and what happened to them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from psycopg.rows import args_row

from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

# What was resolved lately too: a yellow that was dealt with is no news until it has been over.
_OF_PATIENTS: Final = """
SELECT id, patient_id, rule, rule_version, priority, state, readings::text, raised_at, confirm_by,
       due_at, owner, paused_until, pause_reason, escalations, outcome, resolved_at, plan_id,
       plan_version, limits::text, facts::text, state_by, state_at, undo::text, version
  FROM alert
 WHERE patient_id = ANY(%(patients)s)
   AND (state <> 'resolved' OR resolved_at > %(ended_since)s OR id = %(wanted)s)
 ORDER BY id
   FOR UPDATE
"""

_PLACE: Final = "SELECT patient_id, care_unit_id FROM alert WHERE id = %s"

_OF_OWNER: Final = """
SELECT DISTINCT patient_id FROM alert WHERE state = 'taken' AND owner = %s ORDER BY patient_id
"""

_ABSENT: Final = """
SELECT DISTINCT a.owner
  FROM alert a
 WHERE a.state = 'taken'
   AND NOT EXISTS (SELECT FROM staff_presence s WHERE s.hsa_id = a.owner AND s.ends_at > %s)
 ORDER BY a.owner
"""

_MENTIONED: Final = """
SELECT given.id
  FROM unnest(%(ids)s::uuid[]) AS given(id)
 WHERE EXISTS (SELECT FROM alert
                WHERE patient_id = ANY(%(patients)s)
                  AND readings @> jsonb_build_array(
                                      jsonb_build_object('observation_id', given.id)))
"""

_ADD: Final = """
INSERT INTO alert (id, care_unit_id, patient_id, rule, rule_version, priority, state, raised_at,
       last_reading_at, confirm_by, due_at, owner, paused_until, pause_reason, escalations,
       outcome, resolved_at, plan_id, plan_version, limits, facts, state_by, state_at, undo,
       version, readings, trace_id)
SELECT id, care_unit_id, patient_id, rule, rule_version, priority, state, raised_at,
       last_reading_at, confirm_by, due_at, owner, paused_until, pause_reason, escalations,
       outcome, resolved_at, plan_id, plan_version, limits, facts, state_by, state_at, undo,
       version, readings, trace_id
  FROM json_to_recordset(%s::json)
       AS row(id uuid, care_unit_id uuid, patient_id uuid, rule text, rule_version integer,
              priority text, state text, raised_at timestamptz, last_reading_at timestamptz,
              confirm_by timestamptz, due_at timestamptz, owner text, paused_until timestamptz,
              pause_reason text, escalations integer, outcome text, resolved_at timestamptz,
              plan_id uuid, plan_version integer, limits jsonb, facts jsonb, state_by text,
              state_at timestamptz, undo jsonb, version integer, readings jsonb, trace_id text)
 ORDER BY patient_id, rule
"""

_CHANGE: Final = """
UPDATE alert a
   SET rule_version = row.rule_version, priority = row.priority, state = row.state,
       raised_at = row.raised_at,
       last_reading_at = greatest(a.last_reading_at, row.last_reading_at),
       confirm_by = row.confirm_by, due_at = row.due_at, owner = row.owner,
       paused_until = row.paused_until, pause_reason = row.pause_reason,
       escalations = row.escalations, outcome = row.outcome, resolved_at = row.resolved_at,
       plan_id = row.plan_id, plan_version = row.plan_version, limits = row.limits,
       facts = row.facts, state_by = row.state_by, state_at = row.state_at, undo = row.undo,
       readings = row.readings,
       trace_id = coalesce(row.trace_id, a.trace_id),
       version = row.version, updated_at = clock_timestamp()
  FROM json_to_recordset(%s::json)
       AS row(id uuid, rule_version integer, priority text, state text, raised_at timestamptz,
              last_reading_at timestamptz, confirm_by timestamptz, due_at timestamptz, owner text,
              paused_until timestamptz, pause_reason text, escalations integer, outcome text,
              resolved_at timestamptz, plan_id uuid, plan_version integer, limits jsonb,
              facts jsonb, state_by text, state_at timestamptz, undo jsonb, version integer,
              readings jsonb, trace_id text)
 WHERE a.id = row.id
"""

_ADD_EVENTS: Final = """
INSERT INTO alert_event (alert_id, at, event, by, detail)
SELECT alert_id, at, event, by, detail
  FROM ROWS FROM (json_to_recordset(%s::json)
                  AS (alert_id uuid, at timestamptz, event text, by text, detail jsonb))
       WITH ORDINALITY AS row(alert_id, at, event, by, detail, position)
 ORDER BY position
"""

# One for each batch: a notification for every reading halves the database's commits. A payload
# may have 8,000 bytes, so many units take several.
_NOTIFY: Final = """
SELECT pg_notify('worklist', string_agg(id, ','))
  FROM unnest(%s::text[]) WITH ORDINALITY AS unit(id, position)
 GROUP BY position / 200
"""


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert as it is stored; ``readings``, ``limits`` and ``facts`` are JSON text."""

    id: UUID
    patient_id: UUID
    rule: str
    rule_version: int
    priority: str
    state: str
    readings: str
    raised_at: datetime | None
    confirm_by: datetime | None
    due_at: datetime | None
    owner: str | None
    paused_until: datetime | None
    pause_reason: str | None
    escalations: int
    outcome: str | None
    resolved_at: datetime | None
    plan_id: UUID | None
    plan_version: int | None
    limits: str
    facts: str
    state_by: str | None
    state_at: datetime | None
    undo: str | None
    version: int


@dataclass(frozen=True, slots=True)
class Place:
    """Whose an alert is, and which unit's."""

    patient_id: UUID
    care_unit_id: UUID


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    """An alert to add, or to change by its id."""

    id: UUID
    care_unit_id: UUID
    patient_id: UUID
    rule: str
    rule_version: int
    priority: str
    state: str
    raised_at: datetime | None
    last_reading_at: datetime | None
    confirm_by: datetime | None
    due_at: datetime | None
    owner: str | None
    paused_until: datetime | None
    pause_reason: str | None
    escalations: int
    outcome: str | None
    resolved_at: datetime | None
    plan_id: UUID | None
    plan_version: int | None
    limits: msgspec.Raw
    facts: msgspec.Raw
    state_by: str | None
    state_at: datetime | None
    undo: msgspec.Raw | None
    version: int
    readings: msgspec.Raw
    trace_id: str | None


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an alert, and through whom."""

    alert_id: UUID
    at: datetime
    event: str
    by: str
    detail: msgspec.Raw | None = None


async def of_patients(
    connection: Connection,
    patients: Collection[UUID],
    *,
    ended_since: datetime,
    wanted: UUID | None = None,
) -> list[StoredAlert]:
    """Lock and return these patients' unresolved alerts, and those resolved since then.

    The patients are locked already. ``wanted`` is returned whenever it was resolved.
    """
    async with connection.cursor(row_factory=args_row(StoredAlert)) as cursor:
        values = {"patients": list(patients), "ended_since": ended_since, "wanted": wanted}
        await cursor.execute(_OF_PATIENTS, values)
        return await cursor.fetchall()


async def place_of(connection: Connection, alert_id: UUID) -> Place | None:
    """Return whose an alert is, without a lock: that never changes."""
    row = await (await connection.execute(_PLACE, [alert_id])).fetchone()
    return None if row is None else Place(*row)


async def of_owner(connection: Connection, owner: str) -> list[UUID]:
    """Return the patients of whom somebody owns an alert, without a lock."""
    cursor = await connection.execute(_OF_OWNER, [owner])
    return [row[0] for row in await cursor.fetchall()]


async def absent_owners(connection: Connection, now: datetime) -> list[str]:
    """Return who owns alerts and has no session that lives."""
    cursor = await connection.execute(_ABSENT, [now])
    return [row[0] for row in await cursor.fetchall()]


async def mentioned(
    connection: Connection, patients: Collection[UUID], observations: Collection[UUID]
) -> set[UUID]:
    """Return those of these observations that an alert of these patients ever rested on."""
    values = {"patients": list(patients), "ids": list(observations)}
    cursor = await connection.execute(_MENTIONED, values)
    return {row[0] for row in await cursor.fetchall()}


async def add(connection: Connection, rows: Collection[AlertRow]) -> None:
    """Raise new alerts."""
    await connection.execute(_ADD, [packed(rows)])


async def change(connection: Connection, rows: Collection[AlertRow]) -> None:
    """Write what open alerts have become."""
    await connection.execute(_CHANGE, [packed(rows)])


async def add_events(connection: Connection, rows: Collection[EventRow]) -> None:
    """Append to what happened, in this order."""
    await connection.execute(_ADD_EVENTS, [packed(rows)])


async def notify_pages(connection: Connection, care_units: Collection[UUID]) -> None:
    """Tell open pages, at commit, that something of these units changed.

    The channel is ``worklist``, the payload the units' ids with commas between.
    """
    await connection.execute(_NOTIFY, [sorted(str(unit) for unit in care_units)])
