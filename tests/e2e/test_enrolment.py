"""A gateway's life by the commands that people type: code, enrol, run, renew, revoke."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from deploy.local.certificates import REVOCATIONS
from deploy.local.services import Services
from tests.support.api import free_port, wait_until_ready
from tests.support.enrolment import https_files, register
from tests.support.gateway import FakeIngest, GatewayProcess
from tests.support.ingest import GATEWAY
from tests.support.services import Broker, Database

pytestmark = [pytest.mark.broker, pytest.mark.timescale]

PROGRAMS: Final = Path(sys.executable).parent


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program, *arguments = command
    return subprocess.run(
        [str(PROGRAMS / program), *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def settings(folder: Path, own: Database, services: Services) -> dict[str, str]:
    """Return what is set at the enrolment server and beside the broker: one machine here."""
    certificates, broker = services.certificates, services.broker
    process = broker.server.process
    assert process is not None
    us = certificates.services.client(REVOCATIONS)
    given = {
        "DATABASE": own.dsn("hemvital_enrolment"),
        "AUTHORITY_CERTIFICATE": certificates.gateways.certificate,
        "AUTHORITY_KEY": certificates.gateways.key,
        "PORT": free_port(),
        "MONITORING_PORT": free_port(),
        "TLS_CERTIFICATE": folder / "https.pem",
        "TLS_KEY": folder / "https.key",
        "BROKER_HOST": "localhost",
        "BROKER_PORT": broker.port,
        "REVOCATIONS_DATABASE": own.dsn("hemvital_revocations"),
        "REVOCATIONS_DIRECTORY": certificates.gateways.revoked,
        "RELOAD_COMMAND": f"kill -HUP {process.pid}",
        "BROKER_SERVICES_PORT": broker.services_port,
        "BROKER_SERVICES_AUTHORITY": certificates.services.certificate,
        "BROKER_SERVICES_CERTIFICATE": us.certificate,
        "BROKER_SERVICES_KEY": us.key,
    }
    return {f"HEMVITAL_ENROLMENT_{name}": str(value) for name, value in given.items()}


@contextmanager
def serving(environment: dict[str, str], log: Path) -> Generator[str]:
    """Run ``hemvital-api enrolment run`` and return its address."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [str(PROGRAMS / "hemvital-api"), "enrolment", "run"],
            env={"PATH": os.environ["PATH"], **environment},
            stderr=errors,
        )
    try:
        port = environment["HEMVITAL_ENROLMENT_MONITORING_PORT"]
        wait_until_ready(process, f"http://127.0.0.1:{port}", log)
        yield f"https://localhost:{environment['HEMVITAL_ENROLMENT_PORT']}"
    finally:
        process.terminate()
        assert process.wait(15) == 0


def test_a_gateway_enrols_connects_renews_and_is_cut_off(
    tmp_path: Path, own: Database, disposable_services: Services
) -> None:
    register(own)
    authority = https_files(tmp_path)
    environment = settings(tmp_path, own, disposable_services)
    state, broker = tmp_path / "state", Broker(services=disposable_services)
    daemon = {
        "HEMVITAL_GATEWAY_FILE": str(state / "identity" / "settings.toml"),
        "HEMVITAL_GATEWAY_CLOCK": "trusted",
        "HEMVITAL_GATEWAY_HTTP_PORT": "0",
    }
    with (
        FakeIngest(broker, GATEWAY) as ingest,
        serving(environment, tmp_path / "server.log") as url,
    ):
        code = run(
            "hemvital-api", "gateways", "code", GATEWAY, "--decided-by", "IT", **environment
        )
        where = ("--state", str(state), "--clock", "trusted")
        trust = ("--authority", str(authority))
        command = ("enrol", code.stdout.strip(), "--server", url, *trust, *where)
        enrolled = run("hemvital-gateway", *command)
        assert enrolled.returncode == 0, enrolled.stderr

        process = GatewayProcess(daemon, tmp_path / "gateway.log")
        ingest.wait_for(lambda: bool(ingest.statuses), "the gateway's status")
        assert process.stop() == 0
        renewed = run("hemvital-gateway", "renew", *where)
        assert renewed.returncode == 0, renewed.stderr
        before = len(ingest.statuses)
        process = GatewayProcess(daemon, tmp_path / "renewed.log")
        ingest.wait_for(lambda: len(ingest.statuses) > before, "its status, once renewed")

        decided = ("--decided-by", "IT", "--reason", "stolen")
        revoked = run("hemvital-api", "gateways", "revoke", GATEWAY, *decided, **environment)

        assert f"{GATEWAY}: cut off." in revoked.stdout, revoked.stderr
        process.wait_for_log("broker's connection ended")
        # paho tells it as its TLS library does.
        process.wait_for_log("certificate revoked")
        assert process.stop() == 0
        again = run("hemvital-gateway", "renew", *where)
        assert again.returncode == 4, again.stderr
        assert "[certificate_revoked]" in again.stderr
    log = (tmp_path / "server.log").read_text()
    assert code.stdout.strip() not in log
    for line in log.splitlines():
        json.loads(line)
