"""Observations: the SQL with which ingest writes and looks back in the hypertable."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from msgspec import structs
from psycopg.rows import args_row

from ingest_service.store import texts
from ingest_service.store.connections import TRANSACTION_S, Connection
from ingest_service.store.rows import packed

# Identity was decided before, in the plain table `device_record` and in this transaction: a
# hypertable's key must hold its time column, so it cannot decide by id alone.
# What became current is told in the same statement, with the database's own clock: see `changes`.
_ADD: Final = """
WITH stored AS (
    INSERT INTO observation (id, record_id, version, care_provider_id, care_unit_id, patient_id,
           device_id, code, status, effective_at, time_quality, value, systolic, diastolic,
           is_irregular, is_doubtful, may_be_another, last_updated, flags, body)
    SELECT id, record_id, version, care_provider_id, care_unit_id, patient_id,
           device_id, code, status, effective_at, time_quality, value, systolic, diastolic,
           is_irregular, is_doubtful, may_be_another, last_updated, flags,
           decode(resource, 'base64')
      FROM json_to_recordset(%s::json)
           AS row(id uuid, record_id uuid, version integer, care_provider_id uuid,
                  care_unit_id uuid, patient_id uuid, device_id text, code text, status text,
                  effective_at timestamptz, time_quality text, value numeric, systolic numeric,
                  diastolic numeric, is_irregular boolean, is_doubtful boolean,
                  may_be_another boolean, last_updated timestamptz, flags text[], resource text)
    RETURNING id, version, care_unit_id, patient_id, effective_at
)
INSERT INTO observation_change (last_updated, effective_at, id, care_unit_id, patient_id, version)
SELECT clock_timestamp(), effective_at, id, care_unit_id, patient_id, version
  FROM stored
"""

# Readers of changes rely on it, whoever writes: a worker's session has it, a command's has none.
_END_IN_TIME: Final = "SELECT set_config('transaction_timeout', %s, true)"

_BOUNDS: Final = """
SELECT min(effective_at), max(effective_at) FROM identity WHERE record_id = ANY(%s)
"""

# An UPDATE that moves a row to another chunk is refused, so a better time is DELETE and INSERT.
# The outer bounds, constants to the planner, keep all other chunks closed.
_RETIRE: Final = """
WITH gone AS (
    DELETE FROM observation o
     USING json_to_recordset(%(changes)s::json)
           AS c(record_id uuid, attribution smallint, is_invalid boolean, ids uuid[],
                changed_by text, reason text)
      JOIN identity i USING (record_id, attribution)
     WHERE (o.id, o.effective_at) = (i.id, i.effective_at)
       AND (o.status <> 'entered-in-error' OR c.is_invalid OR o.id = ANY(c.ids))
       AND o.effective_at BETWEEN %(since)s AND %(until)s
    RETURNING o.id, o.record_id, o.version, o.care_provider_id, o.care_unit_id, o.patient_id,
              o.device_id, o.code, o.status, o.effective_at, o.time_quality, o.value, o.systolic,
              o.diastolic, o.is_irregular, o.is_doubtful, o.may_be_another, o.last_updated,
              o.flags, o.resource, o.body, c.changed_by, c.reason
), kept AS (
    INSERT INTO observation_history
           (id, version, effective_at, last_updated, flags, resource, body, changed_by, reason)
    SELECT id, version, effective_at, last_updated, flags, resource, body, changed_by, reason
      FROM gone
)
SELECT id, record_id, version, care_provider_id, care_unit_id, patient_id, device_id, code, status,
       effective_at, time_quality, value, systolic, diastolic, is_irregular, is_doubtful,
       may_be_another, last_updated, flags, resource, body
  FROM gone
"""

_CURRENT: Final = """
SELECT o.id, o.record_id, o.code, o.status, o.version, o.effective_at, o.value, o.systolic,
       o.diastolic, o.resource, o.body
  FROM identity i
  JOIN observation o ON (o.id, o.effective_at) = (i.id, i.effective_at)
  JOIN device_record d ON (d.record_id, d.attribution) = (i.record_id, i.attribution)
 WHERE i.record_id = ANY(%(records)s)
   AND o.effective_at BETWEEN %(since)s AND %(until)s
"""

_AROUND: Final = """
SELECT found.*
  FROM unnest(%(patients)s::uuid[], %(since)s::timestamptz[]) AS given(patient_id, since)
 CROSS JOIN LATERAL (
       SELECT o.id, o.record_id, o.patient_id, o.code, o.effective_at, o.value, o.systolic,
              o.diastolic
         FROM observation o
        WHERE o.patient_id = given.patient_id
          AND o.code = ANY(%(codes)s)
          AND o.effective_at >= given.since
          AND o.effective_at BETWEEN %(first)s AND %(until)s
          AND o.status <> 'entered-in-error'
        ORDER BY o.effective_at DESC
        LIMIT %(most)s) AS found
"""


# One index probe for each pair, whatever the patient ever measured.
_NEWEST: Final = """
SELECT found.*
  FROM unnest(%(patients)s::uuid[], %(codes)s::text[]) AS given(patient_id, code)
 CROSS JOIN LATERAL (
       SELECT o.id, o.record_id, o.patient_id, o.code, o.effective_at, o.value, o.systolic,
              o.diastolic
         FROM observation o
        WHERE o.patient_id = given.patient_id
          AND o.code = given.code
          AND o.effective_at BETWEEN %(since)s AND %(until)s
          AND o.status <> 'entered-in-error'
          AND coalesce(o.systolic, o.value) IS NOT NULL
        ORDER BY o.effective_at DESC, o.id DESC
        LIMIT 1) AS found
"""


class ObservationRow(msgspec.Struct, frozen=True, kw_only=True):
    """One observation: the resource as finished text, and columns to search by.

    ``flags`` are what alerts quote of it; None where there are none.
    """

    id: UUID
    record_id: UUID
    version: int
    care_provider_id: UUID
    care_unit_id: UUID
    patient_id: UUID
    device_id: str
    code: str
    status: str
    effective_at: datetime
    time_quality: str
    value: Decimal | None
    systolic: Decimal | None
    diastolic: Decimal | None
    is_irregular: bool
    is_doubtful: bool
    may_be_another: bool
    last_updated: datetime
    flags: tuple[str, ...] | None = None
    resource: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Who changes the observations of a record's present attribution, and why.

    What was taken back before stays as it is, unless all of the record was (``is_invalid``) or it
    is among ``ids``, which get a new version.
    """

    record_id: UUID
    attribution: int
    is_invalid: bool
    ids: tuple[UUID, ...]
    changed_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Current:
    """The current version of an observation as it is stored."""

    id: UUID
    record_id: UUID
    code: str
    status: str
    version: int
    effective_at: datetime
    value: Decimal | None
    systolic: Decimal | None
    diastolic: Decimal | None
    resource: str


@dataclass(frozen=True, slots=True)
class StoredValue:
    """An observation's time and values; all values ``None`` is a failed attempt."""

    id: UUID
    record_id: UUID
    patient_id: UUID
    code: str
    effective_at: datetime
    value: Decimal | None
    systolic: Decimal | None
    diastolic: Decimal | None

    @property
    def is_failed(self) -> bool:
        """Tell whether the attempt gave no value."""
        return self.value is None and self.systolic is None


async def add(connection: Connection, rows: Collection[ObservationRow]) -> None:
    """Store new observations, or new versions of retired ones; the transaction must end in time.

    What it stores is told as of this moment, and readers take for granted that nothing older than
    `changes.HORIZON` is still to come. So the database ends a transaction that outlasts that.
    """
    await connection.execute(_END_IN_TIME, [f"{TRANSACTION_S}s"])
    stored = [structs.replace(row, resource=texts.body_of(row.resource)) for row in rows]
    await connection.execute(_ADD, [packed(stored)])


async def retire(connection: Connection, changes: Collection[Change]) -> list[ObservationRow]:
    """Move the current versions of these records' observations to the history.

    Args:
        connection: Inside the transaction that will `add` the new versions.
        changes: Which records, and who and why.

    Returns:
        What was retired, as it stood.
    """
    bounds = await _bounds(connection, [change.record_id for change in changes])
    cursor = await connection.execute(_RETIRE, {**bounds, "changes": packed(changes)})
    return [
        msgspec.convert(
            dict(zip(ObservationRow.__struct_fields__, row, strict=False))
            | {"resource": texts.resource_of(row[0], row[-2], row[-1])},
            ObservationRow,
        )
        for row in await cursor.fetchall()
    ]


async def current(connection: Connection, records: Collection[UUID]) -> list[Current]:
    """Return the current observations of these records, as their patients' records hold them.

    Args:
        connection: Inside the transaction that holds the patients' locks.
        records: Which records.
    """
    bounds = await _bounds(connection, records)
    cursor = await connection.execute(_CURRENT, {**bounds, "records": list(records)})
    return [
        Current(*row, resource=texts.resource_of(row[0], resource, body))
        for *row, resource, body in await cursor.fetchall()
    ]


async def _bounds(connection: Connection, records: Collection[UUID]) -> dict[str, datetime | None]:
    """Return between which times these records' observations lie, to open no other chunk.

    What was taken back alone keeps its time when the rest of its record gets a better one.
    """
    cursor = await connection.execute(_BOUNDS, [list(records)])
    row = await cursor.fetchone()
    return {"since": row[0], "until": row[1]} if row else {"since": None, "until": None}


async def around(
    connection: Connection,
    patients: Mapping[UUID, datetime],
    *,
    codes: Collection[str],
    until: datetime,
    most: int,
) -> list[StoredValue]:
    """Return what these patients measured since each one's own time, newest first.

    Args:
        connection: Inside the transaction that holds the patients' locks.
        patients: Since when, inclusive.
        codes: LOINC codes.
        until: Inclusive.
        most: At most this many of each patient.
    """
    async with connection.cursor(row_factory=args_row(StoredValue)) as cursor:
        await cursor.execute(
            _AROUND,
            {
                "patients": list(patients.keys()),
                "since": list(patients.values()),
                "first": min(patients.values()),
                "until": until,
                "codes": list(codes),
                "most": most,
            },
        )
        return await cursor.fetchall()


async def newest(
    connection: Connection,
    wanted: Collection[tuple[UUID, str]],
    *,
    since: datetime,
    until: datetime,
) -> list[StoredValue]:
    """Return the newest value of each of these patients and LOINC codes that has one.

    Args:
        connection: Inside the transaction that holds the patients' locks.
        wanted: Patients and codes.
        since: Not older, inclusive.
        until: Not later, inclusive.
    """
    async with connection.cursor(row_factory=args_row(StoredValue)) as cursor:
        await cursor.execute(
            _NEWEST,
            {
                "patients": [patient_id for patient_id, _ in wanted],
                "codes": [code for _, code in wanted],
                "since": since,
                "until": until,
            },
        )
        return await cursor.fetchall()
