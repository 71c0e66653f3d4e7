"""A full disk under the whole gateway: devices are left alone, and everything else goes on.

The gateway's state lies on a file system of its own in memory, of 16 MiB, which bubblewrap mounts
without root; the test fills it from outside by the process's own view of its files.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from io import FileIO
from pathlib import Path
from uuid import uuid4

import pytest

from device_adapters.contract.messages import Receipt
from device_adapters.contract.topics import Leaf
from tests.support.gateway import FakeIngest, gateway_environment
from tests.support.radio import RadioWorld, VirtualDevice, radio_world, wait_until
from tests.support.services import Broker

pytestmark = [pytest.mark.broker, pytest.mark.radio]

CUFF, OXIMETER = "F0:00:00:00:00:01", "F0:00:00:00:00:02"
SIZE = 16 << 20


@pytest.fixture
def world() -> Generator[RadioWorld]:
    with radio_world() as started:
        yield started


class SmallDisk:
    """A gateway whose state directory is a small file system of its own."""

    def __init__(self, environment: dict[str, str], state: Path, log: Path) -> None:
        state.mkdir()
        bwrap = shutil.which("bwrap")
        assert bwrap, "bubblewrap is not installed"
        program = Path(sys.executable).with_name("hemvital-gateway")
        box = [bwrap, "--dev-bind", "/", "/", "--size", str(SIZE), "--tmpfs", str(state)]
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [*box, str(program), "run"], env={**os.environ, **environment}, stderr=errors
            )
        self._state = state

    @property
    def directory(self) -> Path:
        """Return the state directory as the gateway sees it."""
        return Path(f"/proc/{self._gateway()}/root{self._state}")

    def fill(self) -> Path:
        """Write a file until nothing more goes in."""
        filler = self.directory / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            _write_for_ever(file)
        return filler

    def text(self) -> str:
        """Return the log so far."""
        return self._log.read_text(encoding="utf-8")

    def wait_for_log(self, part: str, count: int = 1) -> None:
        """Wait until the log holds something so often."""
        wait_until(lambda: self.text().count(part) >= count, within_s=20, what=part)

    def stop(self) -> int:
        """Ask the gateway to end and return its exit code."""
        os.kill(self._gateway(), signal.SIGTERM)
        return self._process.wait(20)

    def kill(self) -> None:
        """End it if it has not."""
        with contextlib.suppress(AssertionError, ProcessLookupError):
            os.kill(self._gateway(), signal.SIGKILL)
        self._process.kill()
        self._process.wait(20)

    def _gateway(self) -> int:
        """Return the gateway's process: bubblewrap's own, or its child where it stays."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        assert children.exists(), self.text()
        found = children.read_text(encoding="ascii").split()
        return int(found[0]) if found else pid


def _write_for_ever(file: FileIO) -> None:
    while True:
        file.write(bytes(4096))


def measure(cuff: VirtualDevice, systolic: int) -> None:
    cuff.measure(after_s=0, systolic=systolic, diastolic=80, mean=93, pulse=66)


def test_a_full_disk_keeps_devices_waiting_and_nothing_else(
    world: RadioWorld, broker: Broker, tmp_path: Path
) -> None:
    gateway_id = f"gateway-{secrets.token_hex(4)}"
    environment = world.environment | gateway_environment(broker, gateway_id, tmp_path / "state")
    environment["HEMVITAL_GATEWAY_COOL_DOWN_S"] = "0"
    gateway = SmallDisk(environment, tmp_path / "state", tmp_path / "gateway.log")
    with FakeIngest(broker, gateway_id) as ingest:
        try:
            cuff = world.cuff(CUFF)
            measure(cuff, 121)
            ingest.wait_for(lambda: len(ingest.readings) == 1, "the first reading")

            filler = gateway.fill()
            gateway.wait_for_log("no room: devices are left alone")
            measure(cuff, 122)
            wait_until(lambda: len(cuff.ledger("measured")) == 2, within_s=10, what="measured")
            # Another database answers: what is kept goes out again and is receipted.
            ingest.incarnation, arrived = uuid4(), len(ingest.arrivals)
            ingest.known.clear()
            greeting = Receipt(
                incarnation=ingest.incarnation, epoch=ingest.arrivals[0].delivery.epoch, ranges=()
            )
            ingest.say(Leaf.RECEIPTS, greeting)
            ingest.wait_for(lambda: len(ingest.arrivals) > arrived, "the first one again")
            time.sleep(2)  # the cuff advertises all the while
            assert len(cuff.ledger("given")) == 1

            filler.unlink()
            gateway.wait_for_log("room again: devices are visited")
            measure(cuff, 123)
            ingest.wait_for(lambda: len(ingest.readings) == 3, "what waited in the cuff")
            assert gateway.stop() == 0, gateway.text()
        except BaseException as error:
            error.add_note(gateway.text())
            raise
        finally:
            gateway.kill()
    assert len(cuff.ledger("given")) == 3
