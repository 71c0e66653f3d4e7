"""Releases side by side: whole or not there, and always one in use."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.gateway.package import Target
from deploy.gateway.release import ReleaseError, Releases
from gateway.clock import ClockSource, SystemClock
from gateway.store.database import open_database
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox
from tests.unit.gateway.fakes import BARE_FRAME, keep


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(directory=tmp_path / "opt", state=tmp_path / "state")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    place = tmp_path / "unpacked"
    (place / "bin").mkdir(parents=True)
    (place / "lib").mkdir()
    (place / "bin" / "hemvital-gateway").write_text("#!/bin/sh\n")
    (place / "lib" / "module.py").write_text("x = 1\n")
    return place


def test_the_one_before_is_kept_and_what_was_before_that_goes(
    releases: Releases, source: Path
) -> None:
    for version in ("1.0", "1.1", "1.2"):
        releases.use(releases.add(source, version))
        releases.prune()

    assert releases.versions() == ["1.1", "1.2"]
    assert (releases.current, releases.previous) == ("1.2", "1.1")


def test_the_same_version_again_leaves_the_one_in_use_alone(
    releases: Releases, source: Path
) -> None:
    releases.use(releases.add(source, "1.0"))
    running = (releases.directory / "current").resolve()

    again = releases.add(source, "1.0")

    assert (again, releases.current) == ("1.0.2", "1.0")
    assert (running / "bin" / "hemvital-gateway").exists()


def test_what_a_power_cut_left_is_no_release(releases: Releases, source: Path) -> None:
    left = releases.directory / "releases" / ".part" / "lib"
    left.mkdir(parents=True)
    (left / "half.py").write_text("x =")

    releases.add(source, "1.0")

    assert releases.versions() == ["1.0"]
    assert not (releases.directory / "releases" / "1.0" / "lib" / "half.py").exists()


def test_bytecode_is_there_before_the_release_is_used(releases: Releases, source: Path) -> None:
    releases.add(source, "1.0")

    assert list((releases.directory / "releases" / "1.0" / "lib" / "__pycache__").glob("*.pyc"))


@pytest.mark.parametrize("version", ["9.9", "../../etc", "", ".part"])
def test_a_release_that_is_not_there_is_not_used(
    releases: Releases, source: Path, version: str
) -> None:
    releases.use(releases.add(source, "1.0"))

    with pytest.raises(ReleaseError, match=r"there are: 1\.0"):
        releases.use(version)

    assert releases.current == "1.0"


def test_a_name_that_leads_elsewhere_is_no_version(releases: Releases, source: Path) -> None:
    with pytest.raises(ReleaseError, match="no version"):
        releases.add(source, "../1.0")


def test_undelivered_counts_records_and_what_is_not_yet_one(releases: Releases) -> None:
    now = datetime.now(UTC)
    database = open_database(releases.state, now)
    journal = Journal(database, SystemClock(ClockSource.TRUSTED))
    outbox = Outbox(database, now=lambda: now)
    keep(journal, BARE_FRAME, BARE_FRAME)
    with database.transaction() as connection:
        outbox.add(connection, b"x", "0" * 32, None)
    database.close()

    assert releases.undelivered() == 3


@pytest.mark.parametrize(
    ("older", "newer"),
    [("1.0rc1", "1.0"), ("1.0.dev3", "1.0a1"), ("1.0", "1.0.post1"), ("1.0", "1.0.1")],
)
def test_debian_orders_versions_as_python_does(older: str, newer: str) -> None:
    before, after = (
        Target(architecture="arm64", debian=12, python=(3, 11)).version(each)
        for each in (older, newer)
    )
    compared = ["dpkg", "--compare-versions", before, "lt", after]

    assert subprocess.run(compared, check=False).returncode == 0
