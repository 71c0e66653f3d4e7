"""The gateway under what its package confines it by: what it needs is allowed, the rest is not."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import confinement
from tests.support.gateway import FakeIngest, GatewayProcess, gateway_environment
from tests.support.radio import radio_world
from tests.support.services import Broker

DEPLOYED = Path(__file__).resolve().parents[2] / "deploy" / "gateway"
UNIT = DEPLOYED / "systemd" / "hemvital-gateway.service"
WITHIN = (sys.executable, confinement.__file__, str(UNIT))

_PROBE = """
import ctypes, mmap, os, socket
def tried(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        return "refused"
    return "done"
timex = ctypes.create_string_buffer(256)
print("read the clock", "refused" if ctypes.CDLL(None).adjtimex(timex) < 0 else "done")
print("unix", tried(socket.socket, socket.AF_UNIX))
print("internet", tried(socket.socket, socket.AF_INET6))
print("netlink", tried(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW))
print("change an owner", tried(os.chown, "/tmp", os.getuid(), os.getgid()))
print("make code", tried(mmap.mmap, -1, 4096, 34, mmap.PROT_WRITE | mmap.PROT_EXEC))
"""


# The system bus as Debian's dbus 1.14 ships it, and of BlueZ's own rules (Debian's bluez 5.66) not
# those that let everybody in: a region may take these away.
_BUS = """<busconfig>
  <type>system</type>
  <listen>unix:path={{path}}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
  <policy user="{user}">
    <allow own="org.bluez"/>
    <allow send_interface="org.bluez.Agent1"/>
  </policy>
  <include>{policy}</include>
</busconfig>
"""


@pytest.fixture
def strict_bus(tmp_path: Path) -> str:
    """A system bus that allows nothing but what the package's policy allows."""
    policy = (DEPLOYED / "dbus" / "hemvital-gateway.conf").read_text(encoding="utf-8")
    assert 'user="hemvital-gateway"' in policy
    ours = tmp_path / "policy.conf"
    ours.write_text(policy.replace('user="hemvital-gateway"', f'user="{os.getuid()}"'))
    return _BUS.format(user=os.getuid(), policy=ours)


@pytest.mark.broker
@pytest.mark.radio
def test_a_reading_is_taken_and_delivered_under_filter_and_policy(
    broker: Broker, tmp_path: Path, strict_bus: str
) -> None:
    gateway_id = f"gateway-{secrets.token_hex(4)}"
    with radio_world(bus=strict_bus) as world, FakeIngest(broker, gateway_id) as ingest:
        cuff = world.cuff("F0:00:00:00:00:01")
        environment = world.environment | gateway_environment(broker, gateway_id, tmp_path)
        gateway = GatewayProcess(environment, tmp_path / "log", WITHIN)
        try:
            cuff.measure(after_s=0, systolic=121, diastolic=80, mean=93, pulse=66)
            ingest.wait_for(lambda: len(ingest.readings) == 1, "the reading")
        finally:
            code = gateway.stop()

    assert code == 0
    assert "Operation not permitted" not in gateway.text()
    # journald gets ids and reasons, never what was measured.
    assert ingest.readings[0].reception.raw.hex() not in gateway.text()
    assert "systolic" not in gateway.text()


def test_the_filter_lets_it_read_the_clock_and_refuses_what_it_never_does() -> None:
    probe = [*WITHIN, sys.executable, "-c", _PROBE]

    said = subprocess.run(probe, capture_output=True, text=True, timeout=30, check=True).stdout

    assert dict(line.rsplit(" ", 1) for line in said.splitlines()) == {
        "read the clock": "done",  # what ProtectClock= would refuse
        "unix": "done",
        "internet": "done",
        "netlink": "refused",
        "change an owner": "refused",
        "make code": "refused",
    }
