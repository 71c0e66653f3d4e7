"""``hemvital-ingest channels`` as an operator meets it, and the jobs' process behind it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from ingest_service.command import main
from ingest_service.messages import kinds
from ingest_service.messages.kinds import AlertSubject
from tests.support.ingest import UNIT, Home, id_of, registered
from tests.support.notifying import (
    SIGNING_SECRET,
    Certificates,
    Request,
    Writer,
    add_channel,
    answering,
    https_server,
    put,
    secrets_in,
)
from tests.support.services import Database
from tests.support.worker import Worker, keeping_time, wait_until

pytestmark = pytest.mark.timescale

BY = ("--by", "SE2321000016-0001")
SMS = ("--kind", "sms", "--address", "+46701740605")
UNIT_NURSE = ("--unit", str(UNIT), "--role", "nurse_on_duty")


def command(
    database: Database, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEMVITAL_")}
    environment["HEMVITAL_INGEST_OPERATOR_DATABASE"] = database.dsn("hemvital_operator")
    return subprocess.run(
        [sys.executable, "-m", "ingest_service.command", "channels", *arguments],
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody at a terminal, in this process: what they typed, and what they got."""

    captured: pytest.CaptureFixture[str]

    def types(self, *arguments: str) -> tuple[int, str, str]:
        code = main(["channels", *arguments])
        out, err = self.captured.readouterr()
        return code, out, err


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Operator:
    for name in [each for each in os.environ if each.startswith("HEMVITAL_")]:
        monkeypatch.delenv(name)
    # Nothing listens there: whoever gets that far fails otherwise.
    monkeypatch.setenv("HEMVITAL_INGEST_OPERATOR_DATABASE", "host=127.0.0.1 port=1")
    return Operator(capsys)


@pytest.fixture
def at_database(
    database: Database, monkeypatch: pytest.MonkeyPatch, operator: Operator
) -> Operator:
    monkeypatch.setenv("HEMVITAL_INGEST_OPERATOR_DATABASE", database.dsn("hemvital_operator"))
    return operator


def test_a_channel_is_added_shown_tested_and_disabled(
    database: Database, at_database: Operator
) -> None:
    types = at_database.types
    hook = ("--kind", "webhook", "--address", "https://hooks.example.org/T0/s3cret")
    no_unit = types("add", *UNIT_NURSE, *SMS, *BY)
    asyncio.run(registered(database))

    _, added, _ = types("add", *UNIT_NURSE, *SMS, *BY, "--json")
    number = str(json.loads(added)["id"])
    types(
        "add", "--role", "operator", *hook, "--secret", "hook", "--rank", "2", *BY,
        "--priority", "red", "--priority", "yellow", "--hours", "closed", "--language", "en",
    )  # fmt: skip
    _, shown, _ = types("list", "--json")
    again = types("add", *UNIT_NURSE, *SMS, *BY)
    untried = types("test", number, "--wait", "0")
    ended = types("disable", number, *BY)
    twice = types("disable", number, *BY)
    untested = types("test", number)
    _, left, _ = types("list")
    _, every, _ = types("list", "--all", "--json")

    operator, nurse = (json.loads(line) for line in shown.splitlines())
    assert (nurse["id"], nurse["address"]) == (int(number), "+46701740605")
    assert nurse["priorities"] == ["red"]
    assert operator["address"] == "https://hooks.example.org/…"
    assert (operator["rank"], operator["hours"], operator["language"]) == (2, "closed", "en")
    assert operator["priorities"] == ["red", "yellow"]
    assert no_unit == (1, "", f"There is no care unit {UNIT}.\n")
    assert (again[0], "already" in again[2]) == (1, True)
    assert untried == (1, "nobody has tried yet: do the jobs run?\n", "")
    assert ended == (0, "", "")
    assert twice == untested == (1, "", f"There is no channel {number} in use.\n")
    assert "sms" not in left
    assert len(every.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--role", "nurse_on_duty", *SMS), "needs one"),
        (("--unit", str(UNIT), "--role", "operator", *SMS), "has no --unit"),
        ((*UNIT_NURSE, "--kind", "sms", "--address", "0701740605"), "E.164"),
        ((*UNIT_NURSE, "--kind", "webhook", "--address", "https://x.example/"), "--secret"),
        ((*UNIT_NURSE, *SMS, "--secret", "hook"), "--secret"),
        ((*UNIT_NURSE, *SMS, "--language", "svenska!"), "BCP 47"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(
    operator: Operator, arguments: tuple[str, ...], says: str
) -> None:
    code, _, err = operator.types("add", *arguments, *BY)

    assert code == 2
    assert says in err
    assert len(err.splitlines()) == 1


def settings_of(certificates: Certificates, directory: Path) -> dict[str, str]:
    secrets_in(directory)
    authority = directory / "authority.pem"
    certificates.authority.cert_pem.write_to_path(str(authority))
    return {
        "NOTIFICATION_SECRETS": str(directory),
        "NOTIFICATION_AUTHORITY": str(authority),
        "NOTIFICATION_NETWORKS": "127.0.0.0/8, ::1/128",
        "WORKLIST_URL": "https://hemvital.example/worklist",
        "LOG_LEVEL": "debug",
    }


@pytest.mark.broker
@pytest.mark.timeout(120)
async def test_jobs_that_are_killed_between_telling_and_noting_tell_again_by_the_same_key(
    database: Database, tmp_path: Path
) -> None:
    """Also: the whole process, its metrics, its log, and ``channels test``."""
    home = await registered(database)
    certificates = Certificates(trustme.CA())
    settings = settings_of(certificates, tmp_path)
    running: list[Worker] = []

    async def kill(_request: Request, _writer: Writer) -> None:
        running[0].process.send_signal(signal.SIGKILL)

    async with https_server(certificates.server(), kill, answering(204)) as server:
        number = await add_channel(home, server.url("/s3cret-path"))
        alert = AlertSubject(
            alert_id=id_of("a"), patient_id=id_of("patient-1"), care_unit_id=UNIT, priority="red"
        )
        with await asyncio.to_thread(_entered, database, tmp_path / "1.log", settings) as first:
            running.append(first)
            await put(home, kinds.staff_alert(alert, home.now), at=home.now)
            await asyncio.wait_for(server.was_asked.wait(), 30)
            await asyncio.to_thread(first.process.wait, 10)
        assert [row["state"] for row in home.rows("notification")] == ["sending"]
        home.execute("UPDATE notification SET next_try_at = now()")  # as if a minute had passed

        with await asyncio.to_thread(_entered, database, tmp_path / "2.log", settings) as second:
            await asyncio.to_thread(wait_until, lambda: is_delivered(home))
            tried = await asyncio.to_thread(command, database, "test", str(number), "--json")
            _, metrics = await asyncio.to_thread(second.get, "/metrics")

    told, again, trial = server.requests
    assert told.headers["idempotency-key"] == again.headers["idempotency-key"]
    assert told.body == again.body
    assert json.loads(trial.body)["data"]["kind"] == "test"
    assert (tried.returncode, json.loads(tried.stdout)["state"]) == (0, "delivered")
    assert 'hemvital_notifications_total{channel="webhook",outcome="delivered"} 2.0' in metrics
    for log in ("1.log", "2.log"):
        text = (tmp_path / log).read_text(encoding="utf-8")
        hidden = ("s3cret-path", SIGNING_SECRET, SIGNING_SECRET[6:], "Larm 1")
        assert [each for each in hidden if each in text] == []


def is_delivered(home: Home) -> bool:
    return home.count("notification WHERE state = 'delivered'") == 1


def _entered(database: Database, log: Path, settings: dict[str, str]) -> Any:
    """Start the jobs' process beside the test's own loop, which serves."""
    return _Entered(keeping_time(database, log, **settings))


class _Entered:
    """A context that was entered in another thread."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._worker: Worker = context.__enter__()

    def __enter__(self) -> Worker:
        return self._worker

    def __exit__(self, *about: object) -> None:
        self._context.__exit__(*about)
