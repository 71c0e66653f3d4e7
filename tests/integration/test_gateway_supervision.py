"""A real gateway process under a service manager that is this test: no systemd can run here."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from deploy.local import ports
from gateway.store.database import FILE_NAME
from tests.support.gateway import GatewayProcess

WATCHDOG_US = 900_000
WITHIN_S = 20.0


@pytest.fixture
def manager(tmp_path: Path) -> Generator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(WITHIN_S)
        yield bound


@pytest.fixture
def gateway(tmp_path: Path, manager: socket.socket) -> Generator[GatewayProcess]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    identity = authority.issue_cert("gateway-1")
    identity.private_key_pem.write_to_path(tmp_path / "key.pem")
    identity.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    environment = {
        "HEMVITAL_GATEWAY_ID": "gateway-1",
        "HEMVITAL_GATEWAY_STATE": str(tmp_path / "state"),
        "HEMVITAL_GATEWAY_BROKER_HOST": "127.0.0.1",
        "HEMVITAL_GATEWAY_BROKER_PORT": str(
            ports.keep(tmp_path / "port")
        ),  # and nobody answers there
        "HEMVITAL_GATEWAY_BROKER_AUTHORITY": str(tmp_path / "ca.pem"),
        "HEMVITAL_GATEWAY_BROKER_CERTIFICATE": str(tmp_path / "certificate.pem"),
        "HEMVITAL_GATEWAY_BROKER_KEY": str(tmp_path / "key.pem"),
        "HEMVITAL_GATEWAY_HTTP_PORT": "0",
        "HEMVITAL_GATEWAY_DRAIN_S": "0",
        "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/no-bus",
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": str(WATCHDOG_US),
    }
    process = GatewayProcess(environment, tmp_path / "gateway.log")
    yield process
    process.kill()


def fields_until(manager: socket.socket, wanted: str) -> list[str]:
    fields: list[str] = []
    deadline = time.monotonic() + WITHIN_S
    while not any(field.startswith(wanted) for field in fields):
        assert time.monotonic() < deadline, f"no {wanted!r} among {fields}"
        fields += manager.recv(4096).decode().split("\n")
    return fields


def test_without_radio_and_network_it_serves_and_feeds_the_watchdog(
    gateway: GatewayProcess, manager: socket.socket
) -> None:
    ready = fields_until(manager, "READY=1")
    fed = [*fields_until(manager, "WATCHDOG=1"), *fields_until(manager, "WATCHDOG=1")]
    code = gateway.stop()
    ending = fields_until(manager, "STOPPING=1")

    assert ready[0] == "READY=1"
    assert any("the radio does not listen" in field for field in fed)
    assert any("the broker is not connected" in field for field in fed)
    assert code == 0
    assert "STATUS=Sending what waits, then stopping." in ending


def test_a_file_that_nobody_can_write_starves_it_until_it_can_be_written(
    gateway: GatewayProcess, manager: socket.socket, tmp_path: Path
) -> None:
    fields_until(manager, "WATCHDOG=1")

    with closing(sqlite3.connect(tmp_path / "state" / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        meanwhile = fields_until(manager, "STATUS=Stands still: the gateway's file")
        other.execute("ROLLBACK")
    fields_until(manager, "WATCHDOG=1")

    assert meanwhile.count("WATCHDOG=1") <= 1  # one may have been on its way
