"""A unit with its pages, and a browser to open them with."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support import browsing
from tests.support.api import Api, identity_provider, running_api
from tests.support.clinic import Clinic, Unit
from tests.support.services import Database


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    with browsing.running() as started:
        yield started


@pytest.fixture
def clinic(database: Database) -> Clinic:
    return Clinic(database.dsn())


@pytest.fixture
def unit(clinic: Clinic) -> Unit:
    return clinic.unit()


@pytest.fixture
def provider(unit: Unit) -> Generator[str]:
    with identity_provider(unit.hsa_id) as issuer:
        yield issuer


@pytest.fixture
def api(tmp_path: Path, database: Database, provider: str) -> Generator[Api]:
    with running_api(tmp_path, dsn=database.dsn("hemvital_api"), issuer=provider) as started:
        yield started
