"""What the commands say."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.command import main
from gateway.status import describe, read_status
from gateway.store.database import Database
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox
from tests.unit.gateway.fakes import BARE_FRAME, START, keep


def test_an_empty_gateway_says_that_nothing_waits(tmp_path: Path, outbox: Outbox) -> None:
    text = describe(read_status(tmp_path), START)

    assert text.startswith("Nothing waits: the server has received every reading.")
    assert "The server has not answered yet." in text


def test_what_waits_is_told_with_its_age(
    tmp_path: Path, database: Database, journal: Journal, outbox: Outbox
) -> None:
    with database.transaction() as connection:
        outbox.add(connection, b"x", "0" * 32, None)
        outbox.add(connection, b"y", "0" * 32, None)
    keep(journal, BARE_FRAME)

    text = describe(read_status(tmp_path), START + timedelta(days=2, hours=1, minutes=5))

    assert (
        "2 record(s) wait for the server, "
        "the oldest since 2026-11-23 07:10 UTC (2 d 1 h 5 min ago)." in text
    )
    assert "1 value(s) from devices wait to be decoded." in text


def test_programs_get_json(
    tmp_path: Path, outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["status", "--json", "--state", str(tmp_path)])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["undelivered"] == 0


def test_a_directory_without_a_gateway_is_said_to_have_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["status", "--state", str(tmp_path / "nowhere")])

    assert code == 1
    assert "FileNotFoundError" in capsys.readouterr().err


def test_a_misspelt_variable_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEMVITAL_GATEWAY_BROKER_HOTS", "localhost")

    code = main(["run"])

    assert code == 2
    assert "did you mean HEMVITAL_GATEWAY_BROKER_HOST?" in capsys.readouterr().err


@pytest.fixture
def root_logger() -> Generator[logging.Logger]:
    """The root logger, put back as it was: a command sets it up for its process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("root_logger")
def test_a_missing_certificate_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("BROKER_AUTHORITY", "BROKER_CERTIFICATE", "BROKER_KEY"):
        monkeypatch.setenv(f"HEMVITAL_GATEWAY_{name}", str(tmp_path / f"{name}.pem"))
    monkeypatch.setenv("HEMVITAL_GATEWAY_ID", "gateway-1")
    monkeypatch.setenv("HEMVITAL_GATEWAY_BROKER_HOST", "localhost")
    monkeypatch.setenv("HEMVITAL_GATEWAY_STATE", str(tmp_path / "state"))

    code = main(["run"])

    assert code == 1
    assert "BROKER_AUTHORITY.pem" in capsys.readouterr().err
