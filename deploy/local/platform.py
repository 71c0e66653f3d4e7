"""The whole platform on one machine: services, programs of the server, homes with devices."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from deploy.local import home
from deploy.local.environments import Environments
from deploy.local.home import Home, HomeFiles
from deploy.local.programs import Program, ProgramError, Running
from deploy.local.services import BROKER, DATABASE, Services, Show
from deploy.local.state import State
from deploy.local.tenancy import guarded

_COMMAND_S: Final = 120.0
INGEST_PROGRAM: Final = "ingest"
API_PROGRAM: Final = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """Who signs in at the stand-in provider: the claims that a region's provider would give.

    ``roles`` are those of `clinician_api.roles`.
    """

    subject: str
    name: str
    hsa_id: str
    unit_hsa_id: str
    unit_name: str
    roles: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a platform consists of, beside the services; ``units`` are HSA-ids.

    ``workers`` is how many share the readings; the first is called as the only one would be.
    With ``has_canary`` a canary goes through it, and the downtime list is kept.
    """

    registration: Path
    units: Sequence[str]
    homes: Sequence[Home]
    staff: Sequence[Staff]
    ehr_client: str
    workers: int = 1
    has_canary: bool = False


class Platform:
    """Everything that runs, started in order and ended in the opposite one.

    Use it as a context manager: leaving it stops all of it, also after an error, and also if the
    process is killed.
    """

    _sockets: Path

    def __init__(self, state: State, plan: Plan) -> None:
        self._state = state
        self._plan = plan
        self.services = Services(state)
        self._undo = ExitStack()
        self.environments = Environments(state, self.services)
        self._running: dict[str, Running] = {}

    def __enter__(self) -> Self:
        self._sockets = self._undo.enter_context(guarded(self._state))
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with self._undo:
            self.stop()

    @property
    def url(self) -> str:
        """Where pages and FHIR are."""
        return self.environments.url

    @property
    def names(self) -> Sequence[str]:
        """Everything that can be killed: programs and services."""
        return [*self._running, DATABASE, BROKER]

    @property
    def gateways(self) -> Sequence[str]:
        """The gateways' ids."""
        return [each.gateway_id for each in self.homes]

    @property
    def homes(self) -> Sequence[Home]:
        """The homes, with their devices."""
        return self._plan.homes

    def files(self, gateway_id: str) -> HomeFiles:
        """Return where a home keeps its things."""
        return HomeFiles(
            state=self._state.root / "homes" / gateway_id, sockets=self._sockets / gateway_id
        )

    def log(self, name: str) -> Path:
        """Return a program's log file."""
        return self._running[name].log

    def start(self, show: Show) -> None:
        """Start all of it.

        Args:
            show: Called with a title and what to run; runs it.

        Raises:
            ProgramError: If a part is not ready in time; the text names its log.
            DebianError, ServerError: If the services cannot be had.
        """
        self.prepare(show)
        show("ingest, jobs, API and sign-in", lambda: self._start_all(self._server_programs()))
        for each in self._plan.homes:
            show(f"home of {each.gateway_id}", lambda each=each: self._start_home(each))
        show("devices", lambda: self._start_devices(is_measuring=True))

    def prepare(self, show: Show) -> None:
        """Start the services and make schema and people known, and nothing else."""
        self.services.start(show)
        show("database schema", self._migrate)
        show("patients, devices and limits", self._register)

    def stop(self) -> None:
        """Stop all of it, in the opposite order; each part within its deadline."""
        for running in reversed(self._running.values()):
            running.stop()
        self.services.stop()

    def kill(self, name: str) -> None:
        """End one part as a power cut would."""
        if name in self._running:
            self._running[name].kill()
        else:
            self.services.kill(name)

    def wipe_broker(self) -> None:
        """End the broker as a power cut would that takes its disk with it."""
        self.kill(BROKER)
        shutil.rmtree(self._state.mosquitto)

    def restart(self, name: str) -> None:
        """Start a killed part again and wait until it is ready."""
        if name not in self._running:
            self.services.restart(name)
            return
        self._running[name].start()
        self._running[name].wait_ready()

    def revive(self) -> None:
        """Start again what ended by itself, as systemd would: what it rested on was killed."""
        for name, running in self._running.items():
            if running.pid is None:
                self.restart(name)

    def silence_devices(self) -> None:
        """Let the devices measure no more and only give what they still hold."""
        for each in self._plan.homes:
            for program in home.devices(each, self.files(each.gateway_id), is_measuring=False):
                self._running[program.name].stop()
        self._start_devices(is_measuring=False)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a program a signal."""
        self._running[name].signal(number)

    def pid(self, name: str) -> int:
        """Return a program's process number, or raise `ProgramError` if it does not run."""
        return self._running[name].number

    def check(self) -> None:
        """Raise `ProgramError` if a program or a service has ended by itself."""
        for running in self._running.values():
            if running.pid is None:
                raise running.error("ended by itself")
        if not self.services.is_running:
            ended = [
                name for name, each in self.services.status().items() if not each["is_running"]
            ]
            raise ProgramError(f"{' and '.join(ended)} ended; the logs are in {self._state.log}")

    def bearer_token(self) -> str:
        """Return an access token of the demo's EHR client."""
        return self.run("hemvital-api", "token", "--client", self._plan.ehr_client).strip()

    def run(self, *command: str) -> str:
        """Run one of our commands to its end with the platform's settings; return its output.

        Raises:
            ProgramError: If it fails.
        """
        name, *arguments = command
        try:
            done = subprocess.run(  # noqa: S603 - our own command line
                [str(Path(sys.executable).parent / name), *arguments],
                env={**os.environ, **self.environments.commands()},
                capture_output=True,
                text=True,
                timeout=_COMMAND_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            what = f"no end after {_COMMAND_S:.0f} s"
            raise ProgramError(f"{' '.join(command)}: {what}") from error
        if done.returncode:
            raise ProgramError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def _migrate(self) -> None:
        self.run("hemvital-ingest", "migrate")

    def _register(self) -> None:
        self.run("hemvital-ingest", "register", str(self._plan.registration))
        if not self.environments.api_key.exists():
            self.run("hemvital-api", "key")
        client = self._plan.ehr_client
        if self._plan.has_canary:
            self.run("hemvital-ingest", "canary", "setup")
        units = [each for unit in self._plan.units for each in ("--unit", unit)]
        self.run("hemvital-api", "client", "add", "--id", client, "--name", client, *units)

    def _start_all(self, programs: Sequence[Program]) -> None:
        for program in programs:
            self._running[program.name] = Running(program, self._state.log)
            self._running[program.name].start()
        for program in programs:
            self._running[program.name].wait_ready()

    def _start_home(self, each: Home) -> None:
        files = self.files(each.gateway_id)
        files.sockets.mkdir(parents=True)
        files.gateway.mkdir(parents=True, exist_ok=True)
        monitoring = self.environments.monitoring(each.gateway_id)
        settings = self.environments.gateway(each, files)
        for program in home.infrastructure(each, files, settings, monitoring):
            self._start_all([program])

    def _start_devices(self, *, is_measuring: bool) -> None:
        for each in self._plan.homes:
            files = self.files(each.gateway_id)
            self._start_all(home.devices(each, files, is_measuring=is_measuring))

    def _server_programs(self) -> Sequence[Program]:
        return [
            *(self._worker(number) for number in range(1, self._plan.workers + 1)),
            Program(
                name="jobs",
                command=["hemvital-ingest", "jobs"],
                environment=self.environments.ingest(),
                ready_url=f"{self.environments.monitoring('jobs')}/readyz",
            ),
            Program(
                name="clock",
                command=["hemvital-ingest", "clock"],
                environment=self.environments.ingest(),
                ready_url=f"{self.environments.monitoring('clock')}/readyz",
            ),
            Program(
                name="sign-in",
                command=[
                    "oidc-provider-mock",
                    "--port",
                    str(self.environments.port("sign-in")),
                    *self._users(),
                ],
                ready_url=f"{self.environments.issuer}/.well-known/openid-configuration",
            ),
            Program(
                name=API_PROGRAM,
                command=["hemvital-api", "run"],
                environment=self.environments.api(),
                ready_url=f"{self.environments.monitoring('api')}/readyz",
            ),
            *(self._watch_programs() if self._plan.has_canary else ()),
        ]

    def _watch_programs(self) -> Sequence[Program]:
        return [
            Program(
                name="canary",
                command=["hemvital-ingest", "canary", "run"],
                environment=self.environments.canary(),
                ready_url=f"{self.environments.monitoring('canary')}/readyz",
            ),
            Program(
                name="downtime",
                command=["hemvital-ingest", "downtime", "run"],
                environment=self.environments.downtime(),
                ready_url=f"{self.environments.monitoring('downtime')}/readyz",
            ),
        ]

    def _worker(self, number: int) -> Program:
        name = INGEST_PROGRAM if number == 1 else f"{INGEST_PROGRAM}-{number}"
        return Program(
            name=name,
            command=["hemvital-ingest", "run"],
            environment=self.environments.ingest(name, number),
            ready_url=f"{self.environments.monitoring(name)}/readyz",
        )

    def _users(self) -> Sequence[str]:
        arguments: list[str] = []
        for one in self._plan.staff:
            claims = {
                "sub": one.subject,
                "name": one.name,
                "employeeHsaId": one.hsa_id,
                "commissionHsaId": one.unit_hsa_id,
                "commissionName": one.unit_name,
                "commissionPurpose": "Vård och behandling",
                "systemRoles": [f"HEMVITAL;{role}" for role in one.roles],
            }
            arguments += ["--user-claims", json.dumps(claims)]
        return arguments
