"""A radio world for a test: a private bus, the air, org.bluez and devices, each a process.

Nothing in it needs hardware or root; what is needed from the machine is ``dbus-daemon``.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

READY_WITHIN_S: Final = 15.0
STOP_WITHIN_S: Final = 5.0

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="false"/>
    <allow receive_sender="*"/>
    <allow own="org.bluez"/>
  </policy>
</busconfig>
"""


class Part:
    """One process of the world: its lines come one by one, its log is a file."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        ready: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._is_ended = False
        self._lines: queue.Queue[str] = queue.Queue()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **(environment or {})},
            )
        assert self._process.stdout is not None
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True
        )
        self._reader.start()
        self.wait_line(ready)

    def wait_line(self, part: str, *, within_s: float = READY_WITHIN_S) -> str:
        """Return the next line with this in it; the lines before it are thrown away."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                text = f"no {part!r} within {within_s} s; log:\n{self.log.read_text()}"
                raise AssertionError(text) from None
            if part in line:
                return line

    def write_line(self, line: str) -> None:
        """Write a line to the process's standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End the process as a power cut would."""
        self._process.kill()
        self._close()

    def stop(self) -> int:
        """Ask the process to end; return its exit status, and fail if it does not end in time."""
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"did not end on SIGTERM; log: {self.log}") from None
        finally:
            self._close()

    @property
    def is_running(self) -> bool:
        """Tell whether the process has not ended."""
        return self._process.poll() is None

    @property
    def has_crashed(self) -> bool:
        """Tell whether the process has ended and nobody here ended it."""
        return not self.is_running and not self._is_ended

    def _close(self) -> None:
        self._is_ended = True
        self._process.wait(STOP_WITHIN_S)
        self._reader.join(STOP_WITHIN_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line.rstrip("\n"))


class VirtualDevice(Part):
    """A cuff or an oximeter; measures when told to."""

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        address: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.address = address
        stem = address.replace(":", "")
        self.ledger_file = directory / f"{stem}.ledger"
        self.memory_file = directory / f"{stem}.memory"
        files = ["--ledger", str(self.ledger_file), "--memory", str(self.memory_file)]
        super().__init__(
            [*command, "--address", address, *files, "--script", "-"],
            directory / f"{stem}.log",
            ready="ready",
            environment=environment,
        )

    def measure(self, **step: Any) -> None:
        """Hand the device a step of its script, for example ``systolic=192``, or a fault."""
        self.write_line(json.dumps(step))

    @property
    def held(self) -> int:
        """Return how many records are in its memory."""
        if not self.memory_file.exists():
            return 0
        return len(json.loads(self.memory_file.read_text(encoding="utf-8"))["records"])

    def ledger(self, event: str) -> list[bytes]:
        """Return the records of one kind of event, in order: measured, given, dropped."""
        if not self.ledger_file.exists():
            return []
        text = self.ledger_file.read_text(encoding="utf-8")
        written = text[: text.rfind("\n") + 1]  # of a line that is being written the rest comes
        entries = [json.loads(line) for line in written.splitlines()]
        return [bytes.fromhex(each["raw"]) for each in entries if each["event"] == event]


class RadioWorld:
    """All of it; whatever was started is ended with it.

    Args:
        directory: Where its sockets, logs and devices' files are.
        bus: The bus's configuration, with a place for its path.
        air: Another world's, to have two machines within reach of the same devices.
    """

    def __init__(self, directory: Path, bus: str = _BUS, *, air: str | None = None) -> None:
        self.directory = directory
        self._bus = bus
        self.air = air or f"unix:{directory / 'air'}"
        self.bus_address = self._bus_address("bus")
        self._parts: list[Part] = []

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment that leads a gateway onto this radio, and nothing else."""
        return {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.bus_address}

    def start_bus(self) -> Part:
        """Start the private bus, in the place of one that was killed if there was one."""
        self.bus = self._start_bus("bus")
        return self.bus

    def start_radio(self, *arguments: str) -> Part:
        """Start the air."""
        self.radio = self._start(self._virtual("radio", *arguments), "radio", ready="radio ready")
        return self.radio

    def start_bluez(self, *arguments: str) -> Part:
        """Start org.bluez, once the air is there."""
        faults = ["--script", "-"]
        command = self._virtual("bluez", "--bus", self.bus_address, *faults, *arguments)
        self.bluez = self._start(command, "bluez", ready="bluez ready")
        return self.bluez

    def fault(self, **fault: Any) -> None:
        """Let something go wrong in org.bluez, for example ``fault="deaf"``."""
        self.bluez.write_line(json.dumps(fault))

    def start_second_bluez(self, address: str) -> dict[str, str]:
        """Start another machine's bus and org.bluez on the same air.

        Returns:
            The environment that leads a gateway there.
        """
        self._start_bus("bus-2")
        bus = self._bus_address("bus-2")
        command = self._virtual("bluez", "--bus", bus, "--address", address)
        self._start(command, "bluez-2", ready="bluez ready")
        return {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus}

    def cuff(
        self, address: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> VirtualDevice:
        """Start a cuff that has measured nothing yet."""
        return self._device("cuff", address, arguments, environment)

    def oximeter(
        self, address: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> VirtualDevice:
        """Start an oximeter that has measured nothing yet."""
        return self._device("oximeter", address, arguments, environment)

    def end(self) -> None:
        """End everything; fail if something had ended that nobody ended, or does not end now."""
        crashed = [part.log for part in self._parts if part.has_crashed]
        for part in reversed(self._parts):
            if isinstance(part, VirtualDevice):
                part.kill()  # as whoever takes the battery out does
            else:
                part.stop()
        text = "\n".join(log.read_text() for log in crashed)
        assert not crashed, f"ended by themselves: {crashed}\n{text}"

    def _bus_address(self, name: str) -> str:
        return f"unix:path={self.directory / name}"

    def _start_bus(self, name: str) -> Part:
        (self.directory / name).unlink(missing_ok=True)
        config = self.directory / f"{name}.conf"
        config.write_text(self._bus.format(path=self.directory / name), encoding="utf-8")
        daemon = shutil.which("dbus-daemon")
        assert daemon, "dbus-daemon is not installed"
        command = [daemon, f"--config-file={config}", "--nofork", "--nopidfile", "--print-address"]
        return self._start(command, name, ready="unix:")

    def _device(
        self,
        kind: str,
        address: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None,
    ) -> VirtualDevice:
        command = self._virtual(kind, *arguments)
        device = VirtualDevice(command, self.directory, address, environment)
        self._parts.append(device)
        return device

    def _start(self, command: Sequence[str], name: str, *, ready: str) -> Part:
        part = Part(command, self.directory / f"{name}.log", ready=ready)
        self._parts.append(part)
        return part

    def _virtual(self, part: str, *arguments: str) -> list[str]:
        program = Path(sys.executable).with_name("hemvital-virtual")
        return [str(program), "--log-level", "INFO", part, "--air", self.air, *arguments]


@contextmanager
def radio_world(
    *, radio: Sequence[str] = (), bluez: Sequence[str] = (), bus: str = _BUS
) -> Generator[RadioWorld]:
    """Start bus, air and org.bluez; end them, and every device started since, afterwards.

    Args:
        radio: Further arguments of ``hemvital-virtual radio``.
        bluez: Further arguments of ``hemvital-virtual bluez``.
        bus: The bus's configuration, with ``{path}`` for its socket.
    """
    # Not pytest's directory: the path of a Unix socket holds 107 bytes.
    with tempfile.TemporaryDirectory(prefix="hemvital-") as directory:
        world = RadioWorld(Path(directory), bus)
        try:
            world.start_bus()
            world.start_radio(*radio)
            world.start_bluez(*bluez)
            yield world
        finally:
            world.end()


@contextmanager
def on_bus(world: RadioWorld) -> Generator[None]:
    """Lead this process's own bleak onto the world."""
    before = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
    os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = world.bus_address
    try:
        yield
    finally:
        del os.environ["DBUS_SYSTEM_BUS_ADDRESS"]
        if before is not None:
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = before


def wait_until(condition: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Wait for something another process does, or fail saying what did not happen."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)
