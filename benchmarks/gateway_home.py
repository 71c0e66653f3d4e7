"""A home of virtual cuffs for the gateway's figures, and what listens to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from deploy.local import home
from deploy.local.home import Home, HomeFiles, VirtualDevice
from deploy.local.platform import Platform
from deploy.local.programs import Program, Running
from deploy.local.scripts import write_script
from deploy.local.state import State

_LOOK_S: Final = 0.05
_DONE_S: Final = 120.0
_APART_S: Final = 6.0  # each cuff measures so often where a visit is for one reading

# What a cuff measures, by its place in the home.
Script = Callable[[int], Sequence[Mapping[str, object]]]


class BenchHome:
    """A bus, a radio and org.bluez; devices and listeners come and go.

    Args:
        platform: Whose broker gateways come to.
        state: Where logs go.
        gateway_id: A registered gateway.
        addresses: Registered cuffs of patients of its own.
    """

    def __init__(
        self, platform: Platform, state: State, gateway_id: str, addresses: Sequence[str]
    ) -> None:
        self.gateway_id = gateway_id
        self.addresses = addresses
        self._platform = platform
        self._state = state
        self._files: HomeFiles = platform.files(gateway_id)
        self._runs = 0

    @property
    def state(self) -> Path:
        """Return where the gateway keeps its file."""
        return self._files.gateway

    @contextmanager
    def on_air(self) -> Generator[None]:
        """Run bus, radio and org.bluez."""
        self._files.sockets.mkdir(parents=True, exist_ok=True)
        self._files.gateway.mkdir(parents=True, exist_ok=True)
        programs = home.infrastructure(self._home([]), self._files, {}, "")[:-1]
        with ExitStack() as undo:
            for program in programs:
                undo.enter_context(self.running(program))
            yield

    @contextmanager
    def cuffs(self, steps: Script) -> Generator[None]:
        """Let every cuff measure by a script of its own.

        Args:
            steps: Returns the script of a cuff by its place.
        """
        self._runs += 1
        devices: list[VirtualDevice] = []
        for place, address in enumerate(self.addresses):
            script = self._files.state / f"script-{self._runs}-{place}.jsonl"
            write_script(script, steps(place))
            name = f"cuff-{self._runs}-{place}"
            schedule = ("--script", str(script), "--linger-s", "0.2")
            devices.append(
                VirtualDevice(kind="cuff", name=name, address=address, schedule=schedule)
            )
        with ExitStack() as undo:
            whole = self._home(devices)
            for program in home.devices(whole, self._files, is_measuring=True):
                undo.enter_context(self.running(program))
            yield

    @contextmanager
    def gateway(self, **settings: str) -> Generator[Running]:
        """Run the gateway on this home's radio."""
        # Configured for these devices, whether they are on the air or not.
        whole = self._home(
            [VirtualDevice(kind="cuff", name="cuff", address=each) for each in self.addresses]
        )
        environments = self._platform.environments
        environment = dict(environments.gateway(whole, self._files))
        environment |= {f"HEMVITAL_GATEWAY_{key.upper()}": text for key, text in settings.items()}
        monitoring = environments.monitoring(self.gateway_id)
        program = home.infrastructure(whole, self._files, environment, monitoring)[-1]
        with self.running(program) as running:
            yield running

    @contextmanager
    def bare(self, *arguments: str) -> Generator[Running]:
        """Run the bare bleak program on this home's radio."""
        command = ["python", "-m", "benchmarks.bare_radio", *arguments]
        environment = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self._files.bus}"}
        program = Program(
            name=f"{self.gateway_id}-bare",
            command=command,
            environment=environment,
            ready_text="ready",
        )
        with self.running(program) as running:
            yield running

    @contextmanager
    def ingest(self) -> Generator[None]:
        """Run a worker that answers with receipts."""
        environments = self._platform.environments
        program = Program(
            name="bench-ingest",
            command=["hemvital-ingest", "run"],
            environment={**environments.ingest(), "HEMVITAL_INGEST_SESSION_EXPIRY_S": "0"},
            ready_url=f"{environments.monitoring('ingest')}/readyz",
        )
        with self.running(program):
            yield

    @contextmanager
    def running(self, program: Program) -> Generator[Running]:
        """Run a program until the context ends."""
        running = Running(program, self._state.log)
        running.start()
        try:
            running.wait_ready()
            yield running
        finally:
            running.stop()

    def given(self) -> int:
        """Return how many records the cuffs have given so far."""
        ledger = self._files.ledger
        return ledger.read_text().count('"event": "given"') if ledger.exists() else 0

    def _home(self, devices: Sequence[VirtualDevice]) -> Home:
        return Home(gateway_id=self.gateway_id, devices=devices)


def wait_for(is_done: Callable[[], bool], what: str, *, deadline_s: float = _DONE_S) -> None:
    """Wait until something is done.

    Raises:
        TimeoutError: If it is not in time.
    """
    ends_s = time.monotonic() + deadline_s
    while not is_done():
        if time.monotonic() > ends_s:
            raise TimeoutError(f"not after {deadline_s:.0f} s: {what}")
        time.sleep(_LOOK_S)


def one_by_one(count: int) -> Script:
    """Return scripts by which each visit is for one reading."""
    return lambda place: [
        {"after_s": _APART_S if number else _APART_S * place / 10, "systolic": 100 + number}
        for number in range(count)
    ]


def all_at_once(count: int) -> Script:
    """Return scripts by which each cuff has all its readings at its first visit."""
    return lambda _place: [{"systolic": 100 + number} for number in range(count)]
