"""A database of one measurement's own on the running server, gone when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql

from deploy.local.services import Services
from ingest_service import registration
from ingest_service.registration import Registration
from ingest_service.store import migration

_OWNER: Final = "hemvital_owner"
_EMPTY: Final = "hemvital_empty"
_DROP: Final = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
_CREATE: Final = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
_BYTES: Final = "SELECT pg_database_size(current_database())"


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One database with the schema that the migrations make."""

    services: Services
    name: str

    def dsn(self, role: str = _OWNER) -> str:
        """Return how a role connects: hemvital_owner, _ingest, _api or _jobs."""
        return self.services.database.dsn(role, self.name)

    @property
    def size_bytes(self) -> int:
        """What it takes on disk, everything included."""
        with psycopg.connect(self.dsn()) as connection:
            row = connection.execute(_BYTES).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def fresh(services: Services, name: str, document: Mapping[str, Any]) -> Generator[Database]:
    """Make a database, migrate it, register who is known, and drop it at the end."""
    database = Database(services=services, name=name)
    identifier = sql.Identifier(name)
    with psycopg.connect(services.database.dsn(_OWNER), autocommit=True) as owner:
        owner.execute(_DROP.format(identifier))  # what a killed run left
        owner.execute(_CREATE.format(identifier, sql.Identifier(_EMPTY)))
        try:
            migration.apply(database.dsn())
            asyncio.run(_register(database, document))
            yield database
        finally:
            owner.execute(_DROP.format(identifier))


async def _register(database: Database, document: Mapping[str, Any]) -> None:
    async with await AsyncConnection.connect(database.dsn()) as connection:
        await registration.register(
            connection, Registration.model_validate(document), now=datetime.now(UTC)
        )
