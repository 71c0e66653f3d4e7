"""Ports: kept while they are free, never from the range of outgoing connections."""

from __future__ import annotations

import socket
from pathlib import Path

from deploy.local import ports


def test_a_free_port_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "run" / "broker.port"

    first = ports.keep(file)

    assert ports.keep(file) == first
    assert ports.recorded(file) == first


def test_a_taken_port_is_given_up_for_another(tmp_path: Path) -> None:
    file = tmp_path / "broker.port"
    first = ports.keep(file)

    with socket.create_server(("127.0.0.1", first)):
        second = ports.keep(file)

    assert second != first
    assert ports.recorded(file) == second


def test_no_client_can_be_given_a_servers_port(tmp_path: Path) -> None:
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")

    port = ports.keep(tmp_path / "broker.port")

    assert port < int(limits.split()[0])
