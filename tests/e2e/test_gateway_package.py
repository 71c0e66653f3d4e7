"""The gateway's Debian package, built and installed for real: by dpkg, in a tree of its own.

systemd cannot run here; `tests.support.systemctl` stands in for it and starts what the unit says.
"""

from __future__ import annotations

import re
import secrets
import subprocess
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.gateway.package import RELEASES, Target
from deploy.local import ports
from device_adapters.contract.messages import Device
from device_adapters.contract.standing import decode_status
from gateway.clock import ClockSource, SystemClock
from gateway.store.database import open_database
from gateway.store.journal import Journal
from tests.e2e.conftest import CHECKOUT, built
from tests.support.box import Box
from tests.support.gateway import FakeIngest
from tests.support.services import Broker

UNIT = "hemvital-gateway.service"
MEASUREMENT = "00002a35-0000-1000-8000-00805f9b34fb"
# What `systemd-analyze security` says of the gateway and of its renewal, as the documentation
# states it: tenths, where 0 is locked in and 100 is bare.
EXPOSURE = 14
WITHIN_S = 20.0


@pytest.fixture
def box(tmp_path: Path) -> Generator[Box]:
    machine = Box(tmp_path / "box").make()
    yield machine
    machine.end()


def enrol(box: Box, broker: Broker, gateway_id: str, port: int) -> None:
    """Write what enrolment writes: from then on the service has something to start with."""
    identity = broker.gateway(gateway_id)
    (box.state / "identity").mkdir(parents=True, exist_ok=True)
    (box.state / "identity" / "settings.toml").write_text(
        f'id = "{gateway_id}"\nstate = "/var/lib/hemvital-gateway"\n'
        f'broker_host = "{broker.host}"\nbroker_port = {port}\n'
        f'broker_authority = "/host{broker.authority}"\n'
        f'broker_certificate = "/host{identity.certificate}"\n'
        f'broker_key = "/host{identity.key}"\n'
        'clock = "trusted"\nhttp_port = 0\ndrain_s = 0\n',
        encoding="utf-8",
    )


def measure(box: Box, *systolic: int) -> None:
    """Let a cuff give readings, as the radio's callback journals them."""
    database = open_database(box.state, datetime.now(UTC))
    try:
        journal = Journal(database, SystemClock(ClockSource.TRUSTED))
        cuff = Device(id="F0:00:00:00:00:01")
        connection = journal.connected("blood-pressure-service", cuff)
        for pressure in systolic:
            raw = bytes([0]) + pressure.to_bytes(2, "little") + bytes([80, 0, 90, 0])
            journal.append(connection, MEASUREMENT, raw)
        journal.settle(connection, cuff, None)
    finally:
        database.close()


def restart(box: Box) -> None:
    assert box.run("systemctl", "restart", UNIT).returncode == 0, box.log


def in_use(box: Box) -> str:
    listed = box.run("hemvital-gateway-release", "list").stdout
    (version,) = re.findall(r"^(\S+) \(in use\)$", listed, re.MULTILINE)
    return version


def undelivered(box: Box) -> int:
    return int(box.run("hemvital-gateway-release", "undelivered").stdout)


def wait_until(condition: Callable[[], bool], box: Box) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, box.log
        time.sleep(0.1)


def changed(package: Path, place: Path, version: str, file: str, text: str) -> Path:
    """Return the package as another version, with one file changed."""
    tree, other = place / version, place / f"{version}.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    was = re.search(r"^Version: (\S+)$", control.read_text(), re.MULTILINE)
    assert was
    for script in (control, tree / "DEBIAN" / "postinst"):
        script.write_text(script.read_text().replace(was[1], version))
    (tree / file).write_text(text)
    subprocess.run(["dpkg-deb", "--build", tree, other], check=True, capture_output=True)
    return other


@pytest.mark.broker
def test_an_upgrade_and_a_roll_back_lose_nothing_that_waits(
    box: Box, broker: Broker, package: Path, next_package: Path, tmp_path: Path
) -> None:
    gateway_id = f"gateway-{secrets.token_hex(4)}"
    box.install(package)
    enrol(box, broker, gateway_id, ports.keep(tmp_path / "port"))  # and nobody answers there
    restart(box)
    measure(box, 101, 102, 103)

    box.install(next_package)
    upgraded = in_use(box)
    measure(box, 104, 105)
    rolled_back = box.run("hemvital-gateway-release", "--settled-s", "0.5", "rollback")
    measure(box, 106)
    wait_until(lambda: undelivered(box) == 6, box)
    enrol(box, broker, gateway_id, broker.port)
    with FakeIngest(broker, gateway_id) as ingest:
        restart(box)
        ingest.wait_for(lambda: len(ingest.readings) == 6, "six readings")
        wait_until(lambda: undelivered(box) == 0, box)
        ingest.wait_for(lambda: bool(ingest.statuses), "a status")

    assert upgraded == "0.1.1+deb12"
    assert rolled_back.returncode == 0, rolled_back.stderr
    assert in_use(box) == "0.1.0+deb12"
    assert decode_status(ingest.statuses[-1]).software == "hemvital 0.1.0"
    arrived = [reading.reception.raw[1] for reading in ingest.readings]
    assert sorted(arrived) == [101, 102, 103, 104, 105, 106]


@pytest.mark.broker
@pytest.mark.soak
def test_a_release_that_does_not_start_gives_way_to_the_one_before(
    box: Box, broker: Broker, package: Path, tmp_path: Path
) -> None:
    box.install(package)
    enrol(box, broker, "gateway-1", ports.keep(tmp_path / "port"))
    restart(box)
    broken = changed(
        package,
        tmp_path,
        "0.1.2",
        "usr/lib/hemvital-gateway/release/lib/gateway/command.py",
        "raise SystemExit('a release that nobody tried')\n",
    )

    said = box.install(broken)

    assert "release 0.1.2 does not start: back to 0.1.0+deb12, which runs" in said.stderr
    assert in_use(box) == "0.1.0+deb12"
    assert Path(f"/proc/{box.process()}/cmdline").exists()


def test_an_image_that_is_being_made_gets_sound_units_that_start_at_boot(
    tmp_path: Path, package: Path
) -> None:
    box = Box(tmp_path / "box").make(with_systemd=False)

    box.install(package)

    units = sorted(path.name for path in (box.root / "usr/lib/systemd/system").glob("hemvital-*"))
    said = box.run("/host/usr/bin/systemd-analyze", "verify", *units)
    status = box.run("hemvital-gateway", "status", user=1000)
    wanted = {path.name for path in (box.root / "etc/systemd/system").rglob("hemvital-*")}
    assert in_use(box) == "0.1.0+deb12"
    assert wanted == {UNIT, "hemvital-gateway-renew.timer", "hemvital-gateway-upgrade.timer"}
    assert len(units) == 5
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    # The command runs from what the package brought, and knows where enrolment writes.
    assert status.returncode == 2
    assert status.stderr.startswith(
        "Settings file /var/lib/hemvital-gateway/identity/settings.toml: "
    )


def test_a_purge_does_not_lose_readings_silently(box: Box, package: Path) -> None:
    box.install(package)
    box.state.mkdir(parents=True)
    measure(box, 101, 102)

    refused = box.run("dpkg", "--purge", "hemvital-gateway")
    kept = (box.state / "gateway.sqlite3").exists()
    meant = box.run(
        *("dpkg", "--purge", "hemvital-gateway"),
        HEMVITAL_GATEWAY_PURGE="lose-undelivered",
    )

    assert refused.returncode != 0
    assert "not purged: readings that the server has not received: 2." in refused.stderr
    assert kept
    assert meant.returncode == 0, meant.stderr
    assert not box.state.exists()
    assert not (box.root / "opt/hemvital-gateway").exists()


def test_the_package_is_made_of_what_belongs_to_it(package: Path, tmp_path: Path) -> None:
    listed = subprocess.run(
        ["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    subprocess.run(["dpkg-deb", "--raw-extract", package, tmp_path / "tree"], check=True)
    files = [path for path in (tmp_path / "tree").rglob("*") if path.is_file()]
    unwanted = re.compile(
        "|".join(
            re.escape(text)
            for text in (
                str(CHECKOUT),
                str(Path.home()) + "/",
                "pypi" + ".org/simple",
                "files.python" + "hosted",
            )
        ).encode()
    )

    modes = {line.split()[0] for line in listed}
    owners = {line.split()[1] for line in listed}
    places = {line.split()[5].removeprefix("./") for line in listed}

    assert modes <= {"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x"}
    assert owners == {"root/root"}
    assert not [path for path in files if unwanted.search(path.read_bytes())]
    assert not [place for place in places if "__pycache__" in place or place.endswith("RECORD")]
    assert {"gateway/", "device_adapters/", "msgspec/", "bleak/", "paho/"} <= {
        place.removeprefix("usr/lib/hemvital-gateway/release/lib/") for place in places
    }
    # The server's half, its libraries and the development tools stay at home.
    assert not [
        place for place in places if re.search(r"/(ingest_service|fastapi|pytest)/", place)
    ]
    assert not [place for place in places if place.startswith(("etc/", "opt/", "var/"))]


@pytest.mark.soak  # one more build
def test_the_same_checkout_gives_the_same_bytes(package: Path, tmp_path: Path) -> None:
    again = built(tmp_path, "0.1.0")

    assert again.read_bytes() == package.read_bytes()


@pytest.mark.soak  # one more build
def test_any_machine_builds_what_a_raspberry_pi_installs(tmp_path: Path) -> None:
    debian, python = RELEASES["trixie"]
    package = built(tmp_path, "0.1.0", Target(architecture="arm64", debian=debian, python=python))

    subprocess.run(["dpkg-deb", "--raw-extract", package, tmp_path / "tree"], check=True)
    control = (tmp_path / "tree" / "DEBIAN" / "control").read_text(encoding="utf-8")
    compiled = list((tmp_path / "tree").rglob("*.so"))
    assert package.name == "hemvital-gateway_0.1.0+deb13_arm64.deb"
    assert "python3 (>= 3.13), python3 (<< 3.14)" in control
    assert list((tmp_path / "tree").rglob("hemvital-gateway.service.d/back-off.conf"))
    # elf(5): e_machine at byte 18; 183 is EM_AARCH64.
    assert {int.from_bytes(file.read_bytes()[18:20], "little") for file in compiled} == {183}
    assert all(".cpython-313-" in file.name or ".abi3." in file.name for file in compiled)


@pytest.mark.parametrize("unit", [UNIT, "hemvital-gateway-renew.service"])
def test_the_exposure_is_not_above_what_is_stated(unit: str) -> None:
    file = CHECKOUT / "deploy" / "gateway" / "systemd" / unit
    judge = ["systemd-analyze", "security", "--offline=yes", "--no-pager"]

    said = subprocess.run(
        [*judge, f"--threshold={EXPOSURE}", file], capture_output=True, text=True, check=False
    )
    page = (CHECKOUT / "docs" / "howto" / "install-a-gateway.md").read_text(encoding="utf-8")

    assert said.returncode == 0, said.stdout
    assert f"{EXPOSURE / 10}" in page
