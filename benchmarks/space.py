"""Bytes on disk for an Observation: a mix of readings, admitted as a worker admits them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from benchmarks.databases import Database, fresh
from benchmarks.mixture import mix, new_epochs
from benchmarks.population import Population
from deploy.local.services import Services
from device_adapters.contract.messages import (
    SCHEMA_VERSION,
    Delivery,
    ReadingRecord,
    encode,
    encode_message,
)
from ingest_service.admission.door import admit
from ingest_service.admission.incoming import Incoming, take_apart

_OVER: Final = timedelta(days=365)
_BATCH: Final = 200
#: What the aim is about: the observation with its identity, and that it changed.
_CORE: Final = ("observation", "identity", "observation_change")
_ALL: Final = (*_CORE, "device_record", "delivery")

# A hypertable's rows and indexes are its chunks'; their indexes are named after the table's.
_SIZES: Final = """
WITH part AS (
    SELECT coalesce(c.hypertable_name, t.relname) AS name, t.oid
      FROM pg_class t
      JOIN pg_namespace s ON s.oid = t.relnamespace
      LEFT JOIN timescaledb_information.chunks c
        ON (c.chunk_schema, c.chunk_name) = (s.nspname, t.relname)
     WHERE t.relkind = 'r'
)
SELECT name, 'rows', sum(pg_table_size(oid))::bigint
  FROM part
 WHERE name = ANY(%(tables)s)
 GROUP BY name
 UNION ALL
SELECT name, regexp_replace(i.indexrelid::regclass::text, '^.*_chunk_', ''),
       sum(pg_relation_size(i.indexrelid))::bigint
  FROM part JOIN pg_index i ON i.indrelid = part.oid
 WHERE name = ANY(%(tables)s)
 GROUP BY 1, 2
 ORDER BY 1, 3 DESC
"""
_COUNT: Final = "SELECT count(*) FROM observation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Bytes for an Observation, by table and by its rows and indexes."""

    observations: int
    bytes_each: Mapping[str, Mapping[str, float]]

    @property
    def core(self) -> float:
        """Bytes of the observation itself with its identity, its change and all indexes."""
        return self._sum(_CORE)

    @property
    def everything(self) -> float:
        """The same with what was delivered: the device record, the gateway's number."""
        return self._sum(_ALL)

    def _sum(self, tables: Sequence[str]) -> float:
        return sum(sum(self.bytes_each[table].values()) for table in tables)


def run(services: Services, region: Population, *, readings: int, newest: datetime) -> Result:
    """Store that many readings of one year in a fresh database and measure it."""
    with fresh(services, "hemvital_space", region.registration) as database:
        asyncio.run(_fill(database, region, readings, newest))
        with psycopg.connect(database.dsn(), autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
            found = connection.execute(_COUNT).fetchone()
            sizes = connection.execute(_SIZES, {"tables": list(_ALL)}).fetchall()
    observations = int(found[0]) if found else 0
    by_table: dict[str, dict[str, float]] = {}
    for table, part, size in sizes:
        by_table.setdefault(table, {})[part] = size / observations
    return Result(observations=observations, bytes_each=by_table)


async def _fill(database: Database, region: Population, count: int, newest: datetime) -> None:
    epochs, numbers = new_epochs(region), dict.fromkeys(region.devices, 0)

    def message(gateway_id: str, record: ReadingRecord) -> Incoming:
        numbers[gateway_id] += 1
        delivery = Delivery(
            epoch=epochs[gateway_id], first=numbers[gateway_id], count=1, schema=SCHEMA_VERSION
        )
        at = record.reception.received_at
        return Incoming(
            gateway_id=gateway_id,
            properties=delivery.to_properties(),
            payload=encode_message(at, [encode(record)]),
            received_at=at,
        )

    made_up = mix(region, count, newest=newest, over=_OVER, seed=count)
    async with await AsyncConnection.connect(database.dsn("hemvital_ingest")) as connection:
        while batch := list(islice(made_up, _BATCH)):
            messages = [message(gateway_id, record) for gateway_id, record in batch]
            entries = [entry for each in messages for entry in take_apart(each)]
            await admit(connection, entries, now=batch[-1][1].reception.received_at)


def tell(result: Result) -> None:
    """Print what an Observation takes."""
    print(f"space, {result.observations} Observations of a year (pressure, pulse, SpO2):")
    for table, parts in result.bytes_each.items():
        shown = ", ".join(f"{part} {size:.0f}" for part, size in parts.items())
        print(f"  {table:18} {sum(parts.values()):5.0f} bytes each: {shown}")
    print(f"  an Observation     {result.core:5.0f} bytes; with what was delivered"
          f" {result.everything:.0f}")  # fmt: skip


def as_json(result: Result) -> dict[str, Any]:
    """Return the figures."""
    return {
        "observations": result.observations,
        "bytes_each": result.core,
        "bytes_each_with_delivered": result.everything,
        "by_table": result.bytes_each,
    }
