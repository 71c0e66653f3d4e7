"""A fresh file and a clock for each test."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from gateway.store.database import Database, open_database
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox
from tests.unit.gateway.fakes import START, FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path) -> Generator[Database]:
    opened = open_database(tmp_path, START)
    yield opened
    opened.close()


@pytest.fixture
def journal(database: Database, clock: FakeClock) -> Journal:
    return Journal(database, clock)


@pytest.fixture
def outbox(database: Database, clock: FakeClock) -> Outbox:
    return Outbox(database, now=clock.now)
