"""What the commands say."""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from device_adapters.contract.configuration import GatewayConfiguration
from device_adapters.contract.messages import encode
from device_adapters.contract.standing import Problem
from gateway.command import main
from gateway.standing import Standing
from gateway.status import WORDS, describe, read_status
from gateway.store import configuration as store
from gateway.store.configuration import Kept
from gateway.store.database import Database, to_us
from gateway.store.events import Events
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox
from gateway.store.said import Said, put
from tests.unit.gateway.fakes import BARE_FRAME, BOOT, START, FakeClock, keep


@contextmanager
def running(directory: Path) -> Generator[None]:
    """Hold the lock that a running gateway holds."""
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def said(**changes: Any) -> Said:
    return Said(
        software="hemvital 1.0",
        boot_id=BOOT,
        started_at=START - timedelta(days=3),
        is_clock_synchronised=True,
        is_listening=True,
        is_broker_connected=True,
        certificate_ends_at=START + timedelta(days=60),
        **changes,
    )


def test_a_gateway_that_is_well_says_so_first(
    tmp_path: Path, database: Database, outbox: Outbox
) -> None:
    put(database, said(), START)

    with running(tmp_path):
        status = read_status(tmp_path)

    assert status.is_well
    assert describe(status, START).splitlines() == [
        "All is well.",
        "",
        "Nothing waits: the server has received every reading.",
        "The server has not answered yet.",
        "hemvital 1.0 has run since 2026-11-20 07:10 UTC (3 d 0 min ago).",
        "The broker is connected.",
        "The radio listens.",
        "The clock is confirmed.",
        "The certificate ends on 2027-01-22.",
        "The server has configured nothing; the settings hold.",
        "The pairing window is closed.",
        "",
        "No device has been heard yet.",
        "",
        f"0 record(s) were numbered in epoch {outbox.epoch}.",
    ]


def test_what_is_wrong_is_told_with_its_beginning_and_what_to_do(
    tmp_path: Path, database: Database, clock: FakeClock, outbox: Outbox
) -> None:
    standing = Standing(database, clock, Events(database))
    cause = "the gateway's certificate was revoked"
    standing.begin(Problem.BROKER_REFUSES, detail=cause)
    standing.begin(Problem.BATTERY_LOW, device_id="F0:00:00:00:00:01", detail="12 %")
    put(database, said(), START)

    with running(tmp_path):
        lines = describe(read_status(tmp_path), START + timedelta(hours=2)).splitlines()

    assert lines[:10] == [
        "Something is wrong: the device's battery is low, and 1 more.",
        "",
        "! The device's battery is low (F0:00:00:00:00:01): 12 %.",
        "  Since 2026-11-23 07:10 UTC (2 h 0 min ago).",
        "  Change its batteries.",
        "",
        f"! The broker and the gateway do not accept each other: {cause}.",
        "  Since 2026-11-23 07:10 UTC (2 h 0 min ago).",
        "  Mend what the cause names; if it is the gateway's certificate, enrol it anew.",
        "",
    ]


def test_a_network_that_is_away_is_told_in_the_first_line(
    tmp_path: Path, database: Database, outbox: Outbox
) -> None:
    problem = "[Errno 101] Network is unreachable"
    gone = msgspec.structs.replace(said(), is_broker_connected=False, broker_problem=problem)
    put(database, gone, START)

    with running(tmp_path):
        text = describe(read_status(tmp_path), START)

    assert text.startswith(f"Something is wrong: the broker is not connected ({problem}).")


def test_devices_and_configuration_are_told(
    tmp_path: Path, database: Database, outbox: Outbox
) -> None:
    put(database, said(pairing_until=START + timedelta(minutes=9)), START)
    configuration = GatewayConfiguration(version=7, issued_at=START, channel="beta")
    store.put(database, Kept(version=7, body=encode(configuration)), START)
    seen_us = to_us(START - timedelta(minutes=5))
    database.connection.execute(
        "INSERT INTO standing (device, seen_us, battery_percent) VALUES (?, ?, 80)",
        ("F0:00:00:00:00:01", seen_us),
    )

    text = describe(read_status(tmp_path), START)

    assert "Configuration 7, channel beta." in text
    assert "New devices may pair until 07:19 UTC." in text
    assert "F0:00:00:00:00:01  heard 5 min ago, no reading yet, 80 %" in text


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


def test_programs_get_json_and_a_code(
    tmp_path: Path, outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = main(["status", "--json", "--state", str(tmp_path)])
    told = json.loads(capsys.readouterr().out)
    with running(tmp_path):
        well = main(["status", "--json", "--state", str(tmp_path)])

    assert (stopped, well) == (3, 0)
    assert told["undelivered"] == 0
    assert told["verdict"] == "Something is wrong: the gateway's service is not running."


def test_every_problem_has_words_and_advice() -> None:
    assert set(WORDS) == set(Problem)


def test_a_file_of_an_older_release_says_what_to_do(
    tmp_path: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    database.connection.execute("DROP TABLE said")

    code = main(["status", "--state", str(tmp_path)])

    assert code == 1
    assert "an older release wrote this file: start the gateway once" in capsys.readouterr().err


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
