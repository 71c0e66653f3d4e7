"""One server's side and one radio for all scenarios, and their counts at the end of the run.

A scenario has gateways, devices and patients of its own; broker, database and worker it may kill
as long as it brings them back.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator
from typing import Final

import pytest

from deploy.local.services import Services
from deploy.local.state import State
from ingest_service.store import migration
from tests.support import faults
from tests.support.faults import Site
from tests.support.faults_home import Home
from tests.support.radio import RadioWorld, radio_world
from tests.support.services import EMPTY, cloned, running

_NUMBERS: Final = itertools.count(1)


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    """A broker, a database and a worker, shared by all scenarios and nobody else."""
    directory = tmp_path_factory.mktemp("faults")
    state = State(root=directory / "services", tree=State().tree)
    with running(Services(state)) as services, cloned(services, EMPTY) as database:
        migration.apply(database.dsn())
        with faults.site(services, database, directory) as whole:
            yield whole


@pytest.fixture(scope="package")
def world() -> Generator[RadioWorld]:
    """A radio for all scenarios."""
    with radio_world(radio=["--supervision-s", "0.5"]) as started:
        yield started


@pytest.fixture
def home(site: Site, world: RadioWorld, request: pytest.FixtureRequest) -> Generator[Home]:
    """A home of this scenario alone; whatever still runs in it is ended afterwards."""
    name = request.node.name.partition("[")[0].removeprefix("test_")[:32]
    one = Home(site, world, f"{name}-{next(_NUMBERS)}")
    try:
        yield one
    finally:
        one.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if faults.COUNTS:
        terminalreporter.section("readings under faults")
        for count in faults.COUNTS:
            terminalreporter.write_line(count.line())
