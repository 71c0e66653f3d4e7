"""All that one patient's alerts followed from, read back: for judging it anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from psycopg.rows import TupleRow, args_row

from ingest_service.store import texts
from ingest_service.store.alerts import StoredAlert
from ingest_service.store.connections import Connection

_ONE_SIGHT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

# Who has alerts, or may have had one that is missing; not the canary.
_PATIENTS: Final = """
SELECT p.id, p.care_unit_id, u.care_provider_id
  FROM patient p
  JOIN care_unit u ON u.id = p.care_unit_id
 WHERE p.id > %(after)s
   AND NOT p.is_synthetic
   AND (%(patient)s::uuid IS NULL OR p.id = %(patient)s)
   AND (EXISTS (SELECT FROM plan WHERE plan.patient_id = p.id)
        OR EXISTS (SELECT FROM alert WHERE alert.patient_id = p.id))
 ORDER BY p.id
 LIMIT %(most)s
"""

# Opens every chunk, which is what is meant here. An observation that was moved to somebody else
# stays with its first patient as entered in error; its record is found by its id.
_READINGS: Final = """
WITH mine AS MATERIALIZED (
    SELECT id, record_id, version, status = 'entered-in-error' AS is_gone, code, effective_at,
           last_updated, value, systolic, diastolic, may_be_another, flags
      FROM observation
     WHERE patient_id = %(patient)s AND code = ANY(%(codes)s)
)
SELECT mine.id, mine.record_id, mine.version, mine.is_gone, mine.code, mine.effective_at,
       mine.last_updated, mine.value, mine.systolic, mine.diastolic, mine.may_be_another,
       mine.flags, d.record, d.gateway_id, d.is_suspected_double, i.attribution,
       coalesce((SELECT json_agg(json_build_array(h.version, h.effective_at, h.last_updated,
                                                  h.changed_by, h.reason, h.flags)
                                 ORDER BY h.version)
                   FROM observation_history h
                  WHERE h.id = mine.id), '[]')::text,
       (SELECT min(p.recorded)
          FROM provenance p
         WHERE p.record_id = mine.record_id
           AND p.patient_id = %(patient)s
           AND p.activity = 'invalidation'
           AND p.recorded >= (SELECT min(each.at)
                                FROM (SELECT mine.last_updated AS at
                                       UNION ALL
                                      SELECT h.last_updated
                                        FROM observation_history h
                                       WHERE h.id = mine.id) AS each))
  FROM mine
  JOIN device_record d USING (record_id)
  LEFT JOIN identity i ON i.id = mine.id
 ORDER BY mine.last_updated, mine.id
"""

_ANSWERS: Final = """
SELECT id, answered_at, received_at, answers::text
  FROM questionnaire_response
 WHERE patient_id = %s
 ORDER BY received_at, id
"""

_ACTS: Final = """
SELECT alert_id, by, at, action::text
  FROM alert_action
 WHERE patient_id = %s
 ORDER BY at, id
"""

_EVENTS: Final = """
SELECT e.id, e.alert_id, e.at, e.event, e.by, e.detail::text
  FROM alert a
  JOIN alert_event e ON e.alert_id = a.id
 WHERE a.patient_id = %s
 ORDER BY e.id
"""

_ALERTS: Final = """
SELECT id, patient_id, rule, rule_version, priority, state, readings::text, raised_at, confirm_by,
       due_at, owner, paused_until, pause_reason, escalations, outcome, resolved_at, plan_id,
       plan_version, limits::text, facts::text, state_by, state_at, undo::text, version
  FROM alert
 WHERE patient_id = %s
 ORDER BY id
"""

_SEEN: Final = """
SELECT family, at, is_whole, is_outage, cause, broken_since
  FROM monitoring_change
 WHERE patient_id = %s
 ORDER BY at, id
"""

_TICKS: Final = """
SELECT at, judged_through FROM patient_tick WHERE patient_id = %s ORDER BY at
"""

_PLAN_TIMES: Final = """
SELECT DISTINCT at
  FROM plan, unnest(ARRAY[lower(valid), upper(valid)]) AS bound(at)
 WHERE patient_id = %s AND NOT isempty(valid) AND at IS NOT NULL
 ORDER BY at
"""

_HOURS: Final = """
SELECT written_at, body FROM care_unit_hours WHERE care_unit_id = %s ORDER BY version
"""

_DEATHS: Final = """
SELECT told_at, told_by, revoked_at, revoked_by FROM death WHERE patient_id = %s ORDER BY told_at
"""


class Version(msgspec.Struct, frozen=True, array_like=True):
    """An earlier version of an observation, and who retired it and why."""

    version: int
    effective_at: datetime
    last_updated: datetime
    changed_by: str
    reason: str
    flags: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class StoredReading:
    """An observation of the patient's, with the record that it was made from.

    ``record`` is empty once its bytes are kept no longer. ``is_gone``: entered in error.
    """

    id: UUID
    record_id: UUID
    version: int
    is_gone: bool
    code: str
    effective_at: datetime
    last_updated: datetime
    value: Decimal | None
    systolic: Decimal | None
    diastolic: Decimal | None
    may_be_another: bool
    flags: tuple[str, ...] | None
    record: bytes
    gateway_id: str
    is_suspected_double: bool
    attribution: int
    earlier: tuple[Version, ...]
    invalidated_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A questionnaire answered; ``values`` is JSON text."""

    id: UUID
    answered_at: datetime
    received_at: datetime
    values: str


@dataclass(frozen=True, slots=True)
class StoredAct:
    """What a person did to an alert; ``action`` is JSON text."""

    alert_id: UUID
    by: str
    at: datetime
    action: str


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """What was logged of an alert; ``detail`` is JSON text."""

    id: int
    alert_id: UUID
    at: datetime
    event: str
    by: str
    detail: str | None


@dataclass(frozen=True, slots=True)
class StoredSight:
    """From then on a family's readings reached us, or did not."""

    family: str
    at: datetime
    is_whole: bool
    is_outage: bool
    cause: str | None
    broken_since: datetime | None


@dataclass(frozen=True, slots=True)
class StoredDeath:
    """That somebody told of a death, and maybe took it back."""

    told_at: datetime
    told_by: str
    revoked_at: datetime | None
    revoked_by: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """Whose timeline."""

    id: UUID
    care_unit_id: UUID
    care_provider_id: UUID


_VERSIONS: Final = msgspec.json.Decoder(tuple[Version, ...])


async def one_sight(connection: Connection) -> None:
    """Let the transaction that has just begun see one moment, and write nothing."""
    await connection.execute(_ONE_SIGHT)


async def patients(
    connection: Connection, *, after: UUID, most: int, only: UUID | None = None
) -> list[Person]:
    """Return patients who have or had a plan or an alert, in the order of their ids."""
    async with connection.cursor(row_factory=args_row(Person)) as cursor:
        await cursor.execute(_PATIENTS, {"after": after, "most": most, "patient": only})
        return await cursor.fetchall()


async def readings(
    connection: Connection, patient_id: UUID, codes: list[str]
) -> list[StoredReading]:
    """Return all that was ever stored as this patient's, what was taken back too."""
    cursor = await connection.execute(_READINGS, {"patient": patient_id, "codes": codes})
    return [_reading(row) async for row in cursor]


async def answers(connection: Connection, patient_id: UUID) -> list[StoredAnswer]:
    """Return what the patient answered, as it came."""
    async with connection.cursor(row_factory=args_row(StoredAnswer)) as cursor:
        await cursor.execute(_ANSWERS, [patient_id])
        return await cursor.fetchall()


async def acts(connection: Connection, patient_id: UUID) -> list[StoredAct]:
    """Return what persons did to the patient's alerts."""
    async with connection.cursor(row_factory=args_row(StoredAct)) as cursor:
        await cursor.execute(_ACTS, [patient_id])
        return await cursor.fetchall()


async def events(connection: Connection, patient_id: UUID) -> list[StoredEvent]:
    """Return what was logged of the patient's alerts, in the order of writing."""
    async with connection.cursor(row_factory=args_row(StoredEvent)) as cursor:
        await cursor.execute(_EVENTS, [patient_id])
        return await cursor.fetchall()


async def alerts(connection: Connection, patient_id: UUID) -> list[StoredAlert]:
    """Return the patient's alerts, all that there ever were, without a lock."""
    async with connection.cursor(row_factory=args_row(StoredAlert)) as cursor:
        await cursor.execute(_ALERTS, [patient_id])
        return await cursor.fetchall()


async def sights(connection: Connection, patient_id: UUID) -> list[StoredSight]:
    """Return since when the patient's readings reached us or not."""
    async with connection.cursor(row_factory=args_row(StoredSight)) as cursor:
        await cursor.execute(_SEEN, [patient_id])
        return await cursor.fetchall()


async def ticks(connection: Connection, patient_id: UUID) -> list[tuple[datetime, datetime]]:
    """Return when time was judged for the patient, and from where on."""
    cursor = await connection.execute(_TICKS, [patient_id])
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def plan_times(connection: Connection, patient_id: UUID) -> list[datetime]:
    """Return when another plan, or none, began to hold for the patient."""
    cursor = await connection.execute(_PLAN_TIMES, [patient_id])
    return [row[0] for row in await cursor.fetchall()]


async def hours(connection: Connection, care_unit_id: UUID) -> list[tuple[datetime, str]]:
    """Return a unit's hours, JSON text, each from when it was written."""
    cursor = await connection.execute(_HOURS, [care_unit_id])
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def deaths(connection: Connection, patient_id: UUID) -> list[StoredDeath]:
    """Return what was told of the patient's death."""
    async with connection.cursor(row_factory=args_row(StoredDeath)) as cursor:
        await cursor.execute(_DEATHS, [patient_id])
        return await cursor.fetchall()


def _reading(row: TupleRow) -> StoredReading:
    flags, record = row[11], row[12]
    return StoredReading(
        id=row[0],
        record_id=row[1],
        version=row[2],
        is_gone=row[3],
        code=row[4],
        effective_at=row[5],
        last_updated=row[6],
        value=row[7],
        systolic=row[8],
        diastolic=row[9],
        may_be_another=row[10],
        flags=None if flags is None else tuple(flags),
        record=texts.record_of(row[1], record) if record else b"",
        gateway_id=row[13],
        is_suspected_double=row[14],
        attribution=row[15] or 0,
        earlier=_VERSIONS.decode(row[16]),
        invalidated_at=row[17],
    )
