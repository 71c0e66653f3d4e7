"""Everything that holds one patient's data, table by table; to be counted and to be deleted.

A table that can name a patient, a record or an observation stands here, or a test fails
(tests/integration/test_destruction.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

import msgspec
from psycopg import sql
from psycopg.rows import args_row

from ingest_service.store.connections import Connection

_COUNT: Final = sql.SQL("SELECT count(*), min({at}), max({at}) FROM {name} WHERE {rows}")
_DELETE: Final = sql.SQL("DELETE FROM {name} WHERE {rows}")


@dataclass(frozen=True, slots=True)
class _Table:
    """A table, which of its rows are the patient's, and when such a row is of."""

    name: LiteralString
    rows: LiteralString
    at: LiteralString

    def query(self, shape: sql.SQL) -> sql.Composed:
        """Return a statement about the patient's rows of this table."""
        return shape.format(
            name=sql.Identifier(self.name), rows=sql.SQL(self.rows), at=sql.SQL(self.at)
        )


_OF_PATIENT: Final = "patient_id = %(patient)s"

# In the order of locks (docs/adr/0005), what refers to a row before the row. An observation that
# was moved to another patient stays here as entered in error, and its record goes with that one.
_DESTROYED: Final = (
    _Table("quarantine", "id = ANY(%(quarantine)s)", "received_at"),
    _Table("device_record", _OF_PATIENT, "effective_at"),
    _Table("identity", "id = ANY(%(observations)s)", "effective_at"),
    _Table(
        "observation",
        "patient_id = %(patient)s AND effective_at BETWEEN %(since)s AND %(until)s",
        "effective_at",
    ),
    _Table("observation_change", _OF_PATIENT, "last_updated"),
    _Table("observation_history", "id = ANY(%(observations)s)", "effective_at"),
    _Table(
        "alert_event",
        "alert_id IN (SELECT id FROM alert WHERE patient_id = %(patient)s)",
        "at",
    ),
    _Table("alert_action", _OF_PATIENT, "at"),
    _Table("backup_grant", _OF_PATIENT, "written_at"),
    _Table("alert", _OF_PATIENT, "raised_at"),
    _Table("death", _OF_PATIENT, "told_at"),
    _Table("patient_tick", _OF_PATIENT, "at"),
    _Table(
        "notification",
        "message_id IN (SELECT id FROM message WHERE patient_id = %(patient)s)",
        "created_at",
    ),
    _Table("message", _OF_PATIENT, "created_at"),
    _Table("average", _OF_PATIENT, "issued_at"),
    _Table("provenance", _OF_PATIENT, "recorded"),
    _Table("receiver_news", _OF_PATIENT, "created_at"),
    _Table("receiver_patient", _OF_PATIENT, "last_at"),
    _Table("plan", _OF_PATIENT, "written_at"),
    _Table("limit_set", _OF_PATIENT, "approved_at"),
    _Table("questionnaire_response", _OF_PATIENT, "answered_at"),
    _Table("monitoring_change", _OF_PATIENT, "at"),
    _Table("patient_clock", _OF_PATIENT, "judged_through"),
    _Table("assignment", _OF_PATIENT, "decided_at"),
    _Table("legal_hold", _OF_PATIENT, "since"),
    _Table("patient", "id = %(patient)s", "last_updated"),
)

# Sessions live for hours and remember whom their list last showed.
_SHOWN: Final = _Table("web_session", "%(patient)s = ANY(logged_patients)", "seen_at")
_FORGET_SHOWN: Final = """
UPDATE web_session
   SET logged_patients = array_remove(logged_patients, %(patient)s)
 WHERE %(patient)s = ANY(logged_patients)
"""

# No values, no names: what keeps receipts right, and the log that the law wants (docs/adr/0021).
_KEPT: Final = (
    _Table("delivery", "record_id = ANY(%(records)s)", "received_at"),
    _Table("access_log", "patient_ids @> ARRAY[%(patient)s::uuid]", "at"),
    _Table("destroyed_record", "record_id = ANY(%(records)s)", "NULL::timestamptz"),
    _Table("destruction", _OF_PATIENT, "done_at"),
)

TABLES: Final = frozenset(table.name for table in (*_DESTROYED, _SHOWN, *_KEPT))

_UNIT: Final = "SELECT care_unit_id FROM patient WHERE id = %s"
_RECORDS: Final = "SELECT record_id FROM device_record WHERE patient_id = %s"
# Opens every chunk, which is what is meant here: it finds the bounds for everything after.
_OBSERVATIONS: Final = "SELECT id, effective_at FROM observation WHERE patient_id = %s"

_OPEN_DEVICES: Final = """
SELECT device_id
  FROM assignment
 WHERE patient_id = %(patient)s
   AND NOT isempty(valid)
   AND (upper(valid) IS NULL OR upper(valid) > %(now)s)
 ORDER BY device_id
"""

_WAITED: Final = """
SELECT id, record_id, device_id, payload
  FROM quarantine
 WHERE device_id IN (SELECT device_id FROM assignment WHERE patient_id = %s)
 ORDER BY id
"""
_WAITED_AS: Final = "SELECT id FROM quarantine WHERE record_id = ANY(%s)"

_RECEIVERS: Final = """
SELECT r.id, r.kind, r.name, p.first_at, p.last_at
  FROM receiver_patient p
  JOIN receiver r ON r.id = p.receiver_id
 WHERE p.patient_id = %s
 ORDER BY r.id
"""

_TOMBSTONES: Final = """
INSERT INTO destroyed_record (record_id)
SELECT unnest(%s::uuid[]) ORDER BY 1
ON CONFLICT (record_id) DO NOTHING
"""

_NOTE: Final = """
INSERT INTO destruction (decision, patient_id, care_unit_id, done_by, done_at, tables, receivers)
VALUES (%(decision)s, %(patient)s, %(care_unit)s, %(by)s, %(at)s, %(tables)s, %(receivers)s)
"""

_DESTROYED_AMONG: Final = "SELECT patient_id FROM destruction WHERE patient_id = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Holding:
    """How much of a patient one table holds, and from when until when."""

    table: str
    rows: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class PatientReceiver:
    """Somebody who got something of the patient."""

    id: str
    kind: str
    name: str
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class WaitedReading:
    """A quarantined reading, waiting or not, of a device that the patient has had."""

    id: int
    record_id: UUID | None
    device_id: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What belongs to one patient: records and observations, and their entries in quarantine.

    ``since`` and ``until`` are the first and last observation's time.
    """

    patient_id: UUID
    records: Collection[UUID]
    observations: Collection[UUID]
    quarantine: Collection[int]
    since: datetime | None
    until: datetime | None

    @property
    def values(self) -> dict[str, object]:
        """Return what the tables' conditions are bound to."""
        return {
            "patient": self.patient_id,
            "records": list(self.records),
            "observations": list(self.observations),
            "quarantine": list(self.quarantine),
            "since": self.since,
            "until": self.until,
        }


async def care_unit_of(connection: Connection, patient_id: UUID) -> UUID | None:
    """Return a patient's unit, or ``None`` if there is no such patient."""
    cursor = await connection.execute(_UNIT, [patient_id])
    row = await cursor.fetchone()
    return row[0] if row else None


async def open_devices(connection: Connection, patient_id: UUID, now: datetime) -> list[str]:
    """Return the devices that are the patient's now or will be."""
    cursor = await connection.execute(_OPEN_DEVICES, {"patient": patient_id, "now": now})
    return [row[0] for row in await cursor.fetchall()]


async def waited(connection: Connection, patient_id: UUID) -> list[WaitedReading]:
    """Return every quarantined reading of the devices that the patient ever had."""
    async with connection.cursor(row_factory=args_row(WaitedReading)) as cursor:
        await cursor.execute(_WAITED, [patient_id])
        return await cursor.fetchall()


async def scope(
    connection: Connection, patient_id: UUID, waited_records: Collection[UUID]
) -> Scope:
    """Return what is the patient's.

    Args:
        connection: With the patient locked, where it is to be destroyed.
        patient_id: Whose.
        waited_records: Records that never left the quarantine and are the patient's.
    """
    cursor = await connection.execute(_RECORDS, [patient_id])
    records = {row[0] for row in await cursor.fetchall()} | set(waited_records)
    cursor = await connection.execute(_OBSERVATIONS, [patient_id])
    observations = await cursor.fetchall()
    cursor = await connection.execute(_WAITED_AS, [list(records)])
    return Scope(
        patient_id=patient_id,
        records=records,
        observations=[row[0] for row in observations],
        quarantine=[row[0] for row in await cursor.fetchall()],
        since=min((row[1] for row in observations), default=None),
        until=max((row[1] for row in observations), default=None),
    )


async def holdings(connection: Connection, found: Scope) -> tuple[list[Holding], list[Holding]]:
    """Return what would be destroyed, and what kept, by table; those without any are left out."""
    return (
        [
            one
            for table in (*_DESTROYED, _SHOWN)
            if (one := await _held(connection, table, found)).rows
        ],
        [one for table in _KEPT if (one := await _held(connection, table, found)).rows],
    )


async def receivers(connection: Connection, patient_id: UUID) -> list[PatientReceiver]:
    """Return everybody who got something of the patient, by id."""
    async with connection.cursor(row_factory=args_row(PatientReceiver)) as cursor:
        await cursor.execute(_RECEIVERS, [patient_id])
        return await cursor.fetchall()


async def destroy(connection: Connection, found: Scope) -> None:
    """Delete all of it, and leave the records' ids so that none of them is stored again."""
    await connection.execute(_TOMBSTONES, [list(found.records)])
    for table in _DESTROYED:
        await connection.execute(table.query(_DELETE), found.values)
    await connection.execute(_FORGET_SHOWN, {"patient": found.patient_id})


async def note(
    connection: Connection,
    *,
    decision: str,
    patient_id: UUID,
    care_unit_id: UUID,
    by: str,
    at: datetime,
    tables: Sequence[Holding],
    to_be_told: Sequence[PatientReceiver],
) -> None:
    """Write down what was destroyed, on whose decision, and who else must destroy."""
    await connection.execute(
        _NOTE,
        {
            "decision": decision,
            "patient": patient_id,
            "care_unit": care_unit_id,
            "by": by,
            "at": at,
            "tables": msgspec.json.encode(tables).decode(),
            "receivers": msgspec.json.encode(to_be_told).decode(),
        },
    )


async def destroyed_among(connection: Connection, patients: Collection[UUID]) -> set[UUID]:
    """Return those of these patients whose record was destroyed."""
    cursor = await connection.execute(_DESTROYED_AMONG, [list(patients)])
    return {row[0] for row in await cursor.fetchall()}


async def _held(connection: Connection, table: _Table, found: Scope) -> Holding:
    cursor = await connection.execute(table.query(_COUNT), found.values)
    row = await cursor.fetchone()
    if row is None:
        raise LookupError(f"{table.name}: a count gave no row")
    return Holding(table.name, *row)
