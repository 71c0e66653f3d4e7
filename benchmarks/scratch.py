"""A fresh database with the current schema and a region, to be filled and thrown away."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID, uuid4

import psycopg
from psycopg import AsyncConnection, sql

from benchmarks import readings
from benchmarks.population import Population
from deploy.local.services import Services
from device_adapters.contract.messages import ReadingRecord
from ingest_service import registration
from ingest_service.registration import Registration
from ingest_service.store import migration

_OWNER: Final = "hemvital_owner"
_NAME: Final = "hemvital_bench"
_CREATE: Final = sql.SQL("CREATE DATABASE {} TEMPLATE hemvital_empty").format(
    sql.Identifier(_NAME)
)
_DROP: Final = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(_NAME))


class Scratch:
    """Connection strings of a database that belongs to nobody else."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def owner(self) -> str:
        """Of the role that owns the schema."""
        return self._services.database.dsn(_OWNER, _NAME)

    @property
    def ingest(self) -> str:
        """Of a worker's role."""
        return self._services.database.dsn("hemvital_ingest", _NAME)


@asynccontextmanager
async def scratch(services: Services, region: Population) -> AsyncGenerator[Scratch]:
    """Make the database, and drop it at the end."""
    made = Scratch(services)
    with psycopg.connect(services.database.dsn(_OWNER), autocommit=True) as connection:
        connection.execute(_DROP)
        connection.execute(_CREATE)
        try:
            migration.apply(made.owner)
            async with await AsyncConnection.connect(made.owner) as opened:
                document = Registration.model_validate(region.registration)
                await registration.register(opened, document)
            yield made
        finally:
            connection.execute(_DROP)


def mix(
    region: Population, count: int, *, newest: datetime, over: timedelta, seed: int
) -> Iterator[tuple[str, ReadingRecord]]:
    """Yield readings with their gateways, in the order of measuring, the last one at ``newest``.

    Every second one is a pressure with its pulse, the others are saturations with theirs, of all
    patients in turn; so each measure gives as many Observations as the next one.
    """
    random = Random(seed)  # noqa: S311 load, not a secret
    boots = {gateway_id: UUID(int=random.getrandbits(128)) for gateway_id in region.devices}
    patients = [
        (gateway_id, readings.described(cuff, random), readings.described(oximeter, random))
        for gateway_id, cuffs in region.devices.items()
        for cuff, oximeter in zip(cuffs, region.oximeters[gateway_id], strict=True)
    ]
    random.shuffle(patients)
    for number in range(count):
        gateway_id, cuff, oximeter = patients[number // 2 % len(patients)]
        at = newest - over * ((count - 1 - number) / count)
        if number % 2:
            yield gateway_id, readings.saturation(oximeter, at, boots[gateway_id], random)
        else:
            yield gateway_id, readings.pressure(cuff, at, boots[gateway_id], random)


def new_epochs(region: Population) -> dict[str, UUID]:
    """Return an epoch for each gateway."""
    return {gateway_id: uuid4() for gateway_id in region.devices}
