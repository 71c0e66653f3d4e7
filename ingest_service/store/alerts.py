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

_OPEN: Final = """
SELECT id, patient_id, rule, priority, state, readings::text
  FROM alert
 WHERE patient_id = ANY(%s) AND state <> 'resolved'
 ORDER BY id
   FOR UPDATE
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
       last_reading_at, limits, readings, trace_id)
SELECT id, care_unit_id, patient_id, rule, rule_version, priority, 'new', raised_at,
       last_reading_at, limits, readings, trace_id
  FROM json_to_recordset(%s::json)
       AS row(id uuid, care_unit_id uuid, patient_id uuid, rule text, rule_version integer,
              priority text, raised_at timestamptz, last_reading_at timestamptz, limits jsonb,
              readings jsonb, trace_id text)
 ORDER BY patient_id, rule
"""

# A re-raised alert waits again from the moment of the re-raise.
_CHANGE: Final = """
UPDATE alert a
   SET priority = row.priority, state = row.state,
       raised_at = coalesce(row.raised_at, a.raised_at),
       last_reading_at = greatest(a.last_reading_at, row.last_reading_at), limits = row.limits,
       readings = row.readings, trace_id = row.trace_id, rule_version = row.rule_version,
       version = a.version + 1, updated_at = clock_timestamp()
  FROM json_to_recordset(%s::json)
       AS row(id uuid, priority text, state text, raised_at timestamptz,
              last_reading_at timestamptz, limits jsonb, readings jsonb, trace_id text,
              rule_version integer)
 WHERE a.id = row.id
"""

_WITHDRAW: Final = """
UPDATE alert a
   SET state = row.state, readings = row.readings, version = a.version + 1,
       updated_at = clock_timestamp()
  FROM json_to_recordset(%s::json) AS row(id uuid, state text, readings jsonb)
 WHERE a.id = row.id
"""

_ADD_EVENTS: Final = """
INSERT INTO alert_event (alert_id, event, by, detail)
SELECT alert_id, event, by, detail
  FROM ROWS FROM (json_to_recordset(%s::json)
                  AS (alert_id uuid, event text, by text, detail jsonb))
       WITH ORDINALITY AS row(alert_id, event, by, detail, position)
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
class OpenAlertRow:
    """An alert that nobody has resolved; ``readings`` is JSON text."""

    id: UUID
    patient_id: UUID
    rule: str
    priority: str
    state: str
    readings: str


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    """An alert to add, or to change by its id; a change without ``raised_at`` is no re-raise."""

    id: UUID
    care_unit_id: UUID
    patient_id: UUID
    rule: str
    rule_version: int
    priority: str
    state: str
    raised_at: datetime | None
    last_reading_at: datetime
    limits: msgspec.Raw
    readings: msgspec.Raw
    trace_id: str | None


class WithdrawnRow(msgspec.Struct, frozen=True, kw_only=True):
    """An alert whose evidence was taken back."""

    id: UUID
    state: str
    readings: msgspec.Raw


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an alert, and through whom."""

    alert_id: UUID
    event: str
    by: str
    detail: msgspec.Raw


async def open_of(connection: Connection, patients: Collection[UUID]) -> list[OpenAlertRow]:
    """Lock and return these patients' unresolved alerts; the patients are locked already."""
    async with connection.cursor(row_factory=args_row(OpenAlertRow)) as cursor:
        await cursor.execute(_OPEN, [list(patients)])
        return await cursor.fetchall()


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


async def withdraw(connection: Connection, rows: Collection[WithdrawnRow]) -> None:
    """Write what is left of alerts whose evidence was taken back."""
    await connection.execute(_WITHDRAW, [packed(rows)])


async def add_events(connection: Connection, rows: Collection[EventRow]) -> None:
    """Append to what happened, in this order."""
    await connection.execute(_ADD_EVENTS, [packed(rows)])


async def notify_pages(connection: Connection, care_units: Collection[UUID]) -> None:
    """Tell open pages, at commit, that something of these units changed.

    The channel is ``worklist``, the payload the units' ids with commas between.
    """
    await connection.execute(_NOTIFY, [sorted(str(unit) for unit in care_units)])
