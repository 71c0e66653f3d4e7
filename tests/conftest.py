"""Fixtures that every test may ask for: the real database and the real broker.

What a fixture cannot bring up fails the test; nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from deploy.local.services import Services
from deploy.local.state import State
from ingest_service.store import migration
from tests.support.services import EMPTY, Broker, Database, cloned, drop_left_over, running


@pytest.fixture(scope="session")
def services() -> Generator[Services]:
    """TimescaleDB and mosquitto, shared by all tests: not to be killed or reconfigured."""
    with running(Services()) as started:
        drop_left_over(started)
        yield started


@pytest.fixture
def disposable_services(tmp_path: Path) -> Generator[Services]:
    """TimescaleDB and mosquitto of this test alone, which it may kill."""
    with running(Services(State(root=tmp_path, tree=State().tree))) as started:
        yield started


@pytest.fixture(scope="session")
def broker(services: Services) -> Broker:
    """The broker's address and certificates."""
    return Broker(services=services)


@pytest.fixture
def empty_database(services: Services) -> Generator[Database]:
    """A database of this test alone: the extensions and nothing else."""
    with cloned(services, EMPTY) as database:
        yield database


@pytest.fixture(scope="session")
def migrated_template(services: Services) -> Generator[Database]:
    """The current schema without rows, to clone from."""
    with cloned(services, EMPTY) as database:
        migration.apply(database.dsn())
        database.close_to_sessions()
        yield database


@pytest.fixture
def database(services: Services, migrated_template: Database) -> Generator[Database]:
    """A database of this test alone with the current schema."""
    with cloned(services, migrated_template.name) as fresh:
        yield fresh


@pytest.fixture
def own(disposable_services: Services) -> Generator[Database]:
    """A database and a broker of this test alone: nobody else's worker shares its messages."""
    with cloned(disposable_services, EMPTY) as database:
        migration.apply(database.dsn())
        yield database
