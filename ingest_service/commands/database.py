"""A command's connection to the database, its output and its exit codes."""

from __future__ import annotations

import asyncio
import os
from argparse import ArgumentParser
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, Protocol

from psycopg import AsyncConnection

from ingest_service.settings import OperatorSettings, OwnerSettings, ReaderSettings, load
from ingest_service.store import connections
from ingest_service.store.connections import Connection

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2

Clock = Callable[[], datetime]


class Commands(Protocol):
    """Where a command adds itself; argparse gives the class no public name."""

    def add_parser(self, name: str, *, help: str, description: str) -> ArgumentParser:  # noqa: A002 argparse's word
        """Add a command and return its parser."""
        ...


def as_ingest(work: Callable[[Connection], Awaitable[None]]) -> None:
    """Look at something as the role that ingest's workers have."""
    _run(load(ReaderSettings, os.environ).database, work)


def as_operator(work: Callable[[Connection], Awaitable[None]]) -> None:
    """Do this work as the role that may change whose a reading is, and commit it."""
    dsn = load(OperatorSettings, os.environ).operator_database
    # It holds locks that workers wait for: one that is forgotten must not stop ingest.
    _run(connections.bounded(dsn, "hemvital-operator"), work)


def as_owner(work: Callable[[Connection], Awaitable[None]]) -> None:
    """Do this work as the role that owns the schema, and commit it."""
    _run(load(OwnerSettings, os.environ).owner_database, work)


def plain(value: object) -> str:
    """Return what JSON has no type for as text."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _run(dsn: str, work: Callable[[Connection], Awaitable[None]]) -> None:
    async def run() -> None:
        async with _connection(dsn) as connection:
            await work(connection)

    asyncio.run(run())


@asynccontextmanager
async def _connection(dsn: str) -> AsyncGenerator[Connection]:
    # No time-outs here: an export may take as long as it takes. Left without error it commits.
    async with await AsyncConnection.connect(dsn, connect_timeout=5) as connection:
        yield connection
