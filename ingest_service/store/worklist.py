"""What a unit's worklist shows, and the signal that it changed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from psycopg import AsyncConnection, OperationalError
from psycopg.rows import class_row

from ingest_service.store.callers import Caller

_LISTEN: Final = "LISTEN worklist"
_PING: Final = "SELECT 1"
_IDLE_S: Final = 5.0
_FIRST_DELAY_S: Final = 0.2
_LAST_DELAY_S: Final = 5.0
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_UNIT = """
SELECT u.id, u.name, p.name AS provider_name,
       (SELECT count(*) FROM patient WHERE care_unit_id = u.id) AS patients
  FROM care_unit u JOIN care_provider p ON p.id = u.care_provider_id
 WHERE u.id = ANY(%(units)s)
"""

# What waits for a second value alerts nobody yet, and is no alert to anybody.
# limits and readings as text: a jsonb number would become a float on the way.
_ALERTS = """
SELECT id, patient_id, rule, priority, state, raised_at, last_reading_at, owner, due_at,
       paused_until, version,
       limits::text AS limits, readings::text AS readings, facts::text AS facts
  FROM alert
 WHERE state NOT IN ('awaiting', 'resolved')
   AND care_unit_id = ANY(%(units)s)
 ORDER BY CASE priority WHEN 'red' THEN 0 WHEN 'yellow' THEN 1 ELSE 2 END,
          state <> 'new', raised_at, id
 LIMIT %(limit)s
"""

# Whoever has an open alert here is shown here, even if the patient has since moved.
_PATIENTS = """
SELECT id, identifier_system, identifier_value, family, given, birth_date, gender, programme,
       is_protected
  FROM patient
 WHERE care_unit_id = ANY(%(units)s)
    OR id IN (SELECT patient_id FROM alert
               WHERE state NOT IN ('awaiting', 'resolved') AND care_unit_id = ANY(%(units)s))
 ORDER BY id = ANY(%(first)s) DESC, family, given, id
 LIMIT %(limit)s
"""

_LATEST = """
SELECT o.patient_id, o.code, o.effective_at, o.last_updated, o.value, o.systolic, o.diastolic,
       o.is_irregular, o.is_doubtful, o.may_be_another
  FROM unnest(%(patients)s::uuid[]) AS patient(id)
 CROSS JOIN unnest(%(codes)s::text[]) AS wanted(code)
 CROSS JOIN LATERAL (
       SELECT patient_id, code, effective_at, last_updated, value, systolic, diastolic,
              is_irregular, is_doubtful, may_be_another
         FROM observation
        WHERE care_unit_id = ANY(%(units)s)
          AND patient_id = patient.id
          AND code = wanted.code
          AND effective_at >= %(since)s
          AND effective_at < %(until)s
          AND coalesce(systolic, value) IS NOT NULL
          AND status <> 'entered-in-error'
        ORDER BY effective_at DESC, id DESC
        LIMIT 1
 ) AS o
"""

# Thousands of points for one page: as arrays they cost a tenth of what rows do in Python.
_TREND = """
SELECT wanted.patient_id, wanted.code, points.times, points.values
  FROM unnest(%(patients)s::uuid[], %(codes)s::text[]) AS wanted(patient_id, code)
 CROSS JOIN LATERAL (
       SELECT array_agg(effective_at ORDER BY effective_at) AS times,
              array_agg(coalesce(systolic, value) ORDER BY effective_at) AS values
         FROM (SELECT effective_at, systolic, value
                 FROM observation
                WHERE care_unit_id = ANY(%(units)s)
                  AND patient_id = wanted.patient_id
                  AND code = wanted.code
                  AND effective_at >= %(since)s
                  AND effective_at < %(until)s
                  AND coalesce(systolic, value) IS NOT NULL
                  AND status <> 'entered-in-error'
                ORDER BY effective_at DESC, id DESC
                LIMIT %(limit)s) AS newest
 ) AS points
 WHERE points.times IS NOT NULL
"""

_FRAMES = """
SELECT patient_id, device_id, kind, count(*) AS times, max(effective_at) AS latest_at
  FROM device_record
 WHERE care_unit_id = ANY(%(units)s)
   AND patient_id = ANY(%(patients)s)
   AND effective_at >= %(since)s
   AND effective_at < %(until)s
   AND kind IN ('failed_attempt', 'incomplete', 'unsupported_frame')
   AND NOT is_invalid
 GROUP BY patient_id, device_id, kind
 ORDER BY latest_at DESC
"""

_QUARANTINE = """
SELECT count(*) AS readings, min(received_at) AS oldest_at,
       count(*) FILTER (WHERE priority = 'red') AS red,
       min(raised_at) FILTER (WHERE priority = 'red') AS red_since
  FROM quarantine
 WHERE resolved_at IS NULL
   AND care_unit_id = ANY(%(units)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A care unit as the page's head names it."""

    id: UUID
    name: str
    provider_name: str
    patients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAlert:
    """An unresolved alert; the last three are JSON text as they were stored."""

    id: UUID
    patient_id: UUID
    rule: str
    priority: str
    state: str
    raised_at: datetime
    last_reading_at: datetime | None
    owner: str | None
    due_at: datetime | None
    paused_until: datetime | None
    version: int
    limits: str
    readings: str
    facts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPatient:
    """A patient as a list names one."""

    id: UUID
    identifier_system: str
    identifier_value: str
    family: str
    given: str
    birth_date: date | None
    gender: str | None
    programme: str | None
    is_protected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement's values; pressures in mm[Hg], ``last_updated`` is when it was stored."""

    patient_id: UUID
    code: str
    effective_at: datetime
    last_updated: datetime
    value: Decimal | None
    systolic: Decimal | None
    diastolic: Decimal | None
    is_irregular: bool
    is_doubtful: bool
    may_be_another: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A patient's values of one code, oldest first; of a blood pressure the systolic one."""

    patient_id: UUID
    code: str
    times: list[datetime]
    values: list[Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuelessRecords:
    """Records of one device and kind that gave no value, and when the last one came."""

    patient_id: UUID
    device_id: str
    kind: str
    times: int
    latest_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineState:
    """How many readings of the unit's gateways wait for a person, and since when.

    ``red`` counts those of them that would be red for whoever it may be.
    """

    readings: int
    oldest_at: datetime | None
    red: int = 0
    red_since: datetime | None = None


async def unit(connection: AsyncConnection, caller: Caller) -> Unit | None:
    """Return the caller's unit, or None if it is gone."""
    async with connection.cursor(row_factory=class_row(Unit)) as cursor:
        await cursor.execute(_UNIT, {"units": list(caller.care_unit_ids)})
        return await cursor.fetchone()


async def open_alerts(
    connection: AsyncConnection, caller: Caller, *, limit: int
) -> list[OpenAlert]:
    """Return unresolved alerts: by priority, unacknowledged first, longest wait first."""
    async with connection.cursor(row_factory=class_row(OpenAlert)) as cursor:
        await cursor.execute(_ALERTS, {"units": list(caller.care_unit_ids), "limit": limit})
        return await cursor.fetchall()


async def patients(
    connection: AsyncConnection, caller: Caller, *, first: Sequence[UUID], limit: int
) -> list[ListedPatient]:
    """Return the caller's patients, those in ``first`` before the others, then by name."""
    async with connection.cursor(row_factory=class_row(ListedPatient)) as cursor:
        await cursor.execute(
            _PATIENTS, {"units": list(caller.care_unit_ids), "first": list(first), "limit": limit}
        )
        return await cursor.fetchall()


async def latest(
    connection: AsyncConnection,
    caller: Caller,
    patient_ids: Sequence[UUID],
    codes: Sequence[str],
    *,
    since: datetime,
    until: datetime,
) -> list[Measured]:
    """Return the newest value of each of the LOINC codes for each of the patients.

    ``since`` and ``until`` bound the effective time, half open: what is older than the window is
    not looked for.
    """
    async with connection.cursor(row_factory=class_row(Measured)) as cursor:
        await cursor.execute(
            _LATEST,
            {
                "units": list(caller.care_unit_ids),
                "patients": list(patient_ids),
                "codes": list(codes),
                "since": since,
                "until": until,
            },
        )
        return await cursor.fetchall()


async def trend(
    connection: AsyncConnection,
    caller: Caller,
    wanted: Sequence[tuple[UUID, str]],
    *,
    since: datetime,
    until: datetime,
    limit: int,
) -> list[Trend]:
    """Return the values of these (patient, LOINC code) pairs, of each the newest ``limit``."""
    async with connection.cursor(row_factory=class_row(Trend)) as cursor:
        await cursor.execute(
            _TREND,
            {
                "units": list(caller.care_unit_ids),
                "patients": [patient_id for patient_id, _ in wanted],
                "codes": [code for _, code in wanted],
                "since": since,
                "until": until,
                "limit": limit,
            },
        )
        return await cursor.fetchall()


async def valueless_records(
    connection: AsyncConnection,
    caller: Caller,
    patient_ids: Sequence[UUID],
    *,
    since: datetime,
    until: datetime,
) -> list[ValuelessRecords]:
    """Return failed attempts and unreadable frames by patient, device and kind."""
    async with connection.cursor(row_factory=class_row(ValuelessRecords)) as cursor:
        await cursor.execute(
            _FRAMES,
            {
                "units": list(caller.care_unit_ids),
                "patients": list(patient_ids),
                "since": since,
                "until": until,
            },
        )
        return await cursor.fetchall()


async def quarantine(connection: AsyncConnection, caller: Caller) -> QuarantineState:
    """Return how many readings of the caller's units wait for a person."""
    async with connection.cursor(row_factory=class_row(QuarantineState)) as cursor:
        await cursor.execute(_QUARANTINE, {"units": list(caller.care_unit_ids)})
        state = await cursor.fetchone()
    return state or QuarantineState(readings=0, oldest_at=None)


async def changes(dsn: str) -> AsyncGenerator[frozenset[UUID] | None]:
    """Yield the units whose worklists changed, as soon as each change is committed.

    An empty set stands for every unit: after (re)connecting, what changed before is unknown.
    ``None`` says that the connection is lost and changes pass unseen until the next item. Never
    ends by itself: it tries again, and asks an idle connection now and then whether it lives.
    """
    delay_s = _FIRST_DELAY_S
    while True:
        try:
            async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
                await connection.execute(_LISTEN)
                delay_s = _FIRST_DELAY_S
                yield frozenset()
                while True:
                    async for notification in connection.notifies(timeout=_IDLE_S):
                        yield _units(notification.payload)
                    await connection.execute(_PING)
        except OperationalError:
            yield None
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _LAST_DELAY_S)


def _units(payload: str) -> frozenset[UUID]:
    return frozenset(UUID(each) for each in _UUID.findall(payload))
