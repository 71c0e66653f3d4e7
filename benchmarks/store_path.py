"""The store path alone: rows in memory until they are committed, beside a bare COPY of them."""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, LiteralString
from uuid import UUID

from msgspec import structs
from psycopg import AsyncConnection

from benchmarks.databases import Database, fresh
from benchmarks.mixture import mix, new_epochs
from benchmarks.population import Population
from deploy.local.services import Services
from device_adapters.contract.messages import ReadingRecord, encode
from ingest_service.admission import writing
from ingest_service.admission.incoming import Entry
from ingest_service.store import identities, observations, patients, records, texts
from ingest_service.store.connections import Connection
from ingest_service.store.identities import IdentityRow
from ingest_service.store.observations import ObservationRow
from ingest_service.store.patients import Patient
from ingest_service.store.records import RecordRow

_Finished = Sequence[tuple[LiteralString, Sequence[Sequence[object]]]]
_ROUNDS: Final = 15
_OVER: Final = timedelta(days=30)

_COPY_RECORDS: Final = """
COPY device_record (record_id, care_unit_id, patient_id, device_id, gateway_id, epoch, number,
     kind, is_identity_own, is_suspected_double, characteristic, raw, record, user_index,
     effective_at, time_quality, received_at, device_clock_offset_s, trace_id, is_decided,
     may_be_another) FROM STDIN
"""
_COPY_IDENTITIES: Final = """
COPY identity (id, record_id, effective_at, attribution, phd_digest) FROM STDIN
"""
_COPY_OBSERVATIONS: Final = """
COPY observation (id, record_id, version, care_provider_id, care_unit_id, patient_id, device_id,
     code, status, effective_at, time_quality, value, systolic, diastolic, is_irregular,
     is_doubtful, may_be_another, last_updated, flags, body) FROM STDIN
"""
_COPY_CHANGES: Final = """
COPY observation_change (last_updated, effective_at, id, care_unit_id, patient_id, version)
FROM STDIN
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Medians of the rounds; each round stored as many readings on both ways."""

    readings: int
    observations: int
    store_s: float
    copy_s: float

    @property
    def ratio(self) -> float:
        """Rate of the store ÷ rate of COPY."""
        return self.copy_s / self.store_s


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """What one transaction stores."""

    records: list[RecordRow]
    identities: list[IdentityRow]
    observations: list[ObservationRow]


def run(services: Services, region: Population, *, readings: int, newest: datetime) -> Result:
    """Measure both ways in turn on one database, so that a noisy machine hits both.

    Args:
        services: With the database running.
        region: Whose readings they are.
        readings: In one transaction.
        newest: When the last one was measured.
    """
    with fresh(services, "hemvital_store_path", region.registration) as database:
        return asyncio.run(_both(database, region, readings, newest))


async def _both(database: Database, region: Population, readings: int, newest: datetime) -> Result:
    batches = 2 * _ROUNDS
    made_up = mix(region, batches * readings, newest=newest, over=_OVER, seed=readings)
    stored, copied = list[float](), list[float]()
    rows: _Rows | None = None
    async with await AsyncConnection.connect(database.dsn("hemvital_ingest")) as connection:
        wanted = [UUID(patient["id"]) for patient in region.registration["patients"]]
        known = await patients.lock(connection, wanted)
        owners = {
            one["device_id"]: known[UUID(one["patient_id"])]
            for one in region.registration["assignments"]
        }
        await connection.commit()
        epochs = new_epochs(region)
        for _ in range(_ROUNDS):
            rows = _rows(islice(made_up, readings), owners, epochs, newest)
            stored.append(await _timed(connection, _store(connection, rows)))
            rows = _rows(islice(made_up, readings), owners, epochs, newest)
            copied.append(await _timed(connection, _copy(connection, _finished(rows))))
    return Result(
        readings=readings,
        observations=len(rows.observations) if rows else 0,
        store_s=statistics.median(stored),
        copy_s=statistics.median(copied),
    )


def tell(result: Result) -> None:
    """Print both rates."""
    print(f"store path, {result.readings} readings in a transaction:")
    for name, taken_s in (("store", result.store_s), ("bare COPY", result.copy_s)):
        print(f"  {name:10}  {result.observations / taken_s:7.0f} Observations/s")
    print(f"  ratio       {result.ratio:7.2f}  (rate of the store ÷ rate of COPY)")


async def _timed(connection: Connection, work: Awaitable[None]) -> float:
    began = time.perf_counter()
    await work
    await connection.commit()
    return time.perf_counter() - began


async def _store(connection: Connection, rows: _Rows) -> None:
    await records.add(connection, rows.records)
    await identities.add(connection, rows.identities)
    await observations.add(connection, rows.observations)


async def _copy(connection: Connection, finished: _Finished) -> None:
    for statement, rows in finished:
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                await copy.write_row(row)


def _finished(rows: _Rows) -> _Finished:
    """Return what COPY writes; what the store compresses and digests is done by then."""
    return [
        (
            _COPY_RECORDS,
            [
                structs.astuple(structs.replace(row, record=texts.stored_record(row.record)))
                for row in rows.records
            ],
        ),
        (
            _COPY_IDENTITIES,
            [
                (
                    row.id,
                    row.record_id,
                    row.effective_at,
                    row.attribution,
                    _digest(row.phd_identifier),
                )
                for row in rows.identities
            ],
        ),
        (
            _COPY_OBSERVATIONS,
            [
                (*structs.astuple(row)[:-1], texts.body_of(row.resource))
                for row in rows.observations
            ],
        ),
        (
            _COPY_CHANGES,
            [
                (r.last_updated, r.effective_at, r.id, r.care_unit_id, r.patient_id, r.version)
                for r in rows.observations
            ],
        ),
    ]


def _digest(phd_identifier: str | None) -> UUID | None:
    if phd_identifier is None:
        return None
    return UUID(bytes=hashlib.sha256(phd_identifier.encode()).digest()[:16])


def _rows(
    made: Iterable[tuple[str, ReadingRecord]],
    owners: Mapping[str, Patient],
    epochs: Mapping[str, UUID],
    now: datetime,
) -> _Rows:
    """Return readings as admission hands them to the store."""
    rows = _Rows(records=[], identities=[], observations=[])
    for number, (gateway_id, record) in enumerate(made, start=1):
        patient, encoded = owners[record.device.id], encode(record)
        entry = Entry(
            gateway_id=gateway_id, epoch=epochs[gateway_id], number=number, encoded=encoded
        )
        mapped = writing.observations_of(record, patient, gateway_id=gateway_id, now=now)
        rows.records.append(
            writing.record_row(record, encoded, patient, entry, is_suspected_double=False)
        )
        rows.identities.extend(writing.identity_rows(record, mapped))
        rows.observations.extend(writing.observation_rows(record, mapped, patient, now=now))
    return rows
