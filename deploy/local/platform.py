"""The whole platform on one machine: services, programs of the server, homes with devices."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from deploy.local import home, ports
from deploy.local.certificates import INGEST, Identity
from deploy.local.home import Home, HomeFiles
from deploy.local.mosquitto import HOST
from deploy.local.programs import Program, ProgramError, Running
from deploy.local.services import BROKER, DATABASE, Services, Show
from deploy.local.state import State, write_private

_COMMAND_S: Final = 120.0
INGEST_PROGRAM: Final = "ingest"
API_PROGRAM: Final = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nurse:
    """Who signs in at the stand-in provider: the claims that a region's provider would give."""

    subject: str
    name: str
    hsa_id: str
    unit_hsa_id: str
    unit_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a platform consists of, beside the services; ``units`` are HSA-ids."""

    registration: Path
    units: Sequence[str]
    homes: Sequence[Home]
    nurses: Sequence[Nurse]
    ehr_client: str
    gateway_settings: Mapping[str, str]


class Platform:
    """Everything that runs, started in order and ended in the opposite one.

    Use it as a context manager: leaving it stops all of it, also after an error.
    """

    def __init__(self, state: State, plan: Plan) -> None:
        self._state = state
        self._plan = plan
        self.services = Services(state)
        self._sockets = Path(tempfile.mkdtemp(prefix="hemvital-"))
        self._running: dict[str, Running] = {}
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where pages and FHIR are."""
        return f"http://localhost:{self._port('api')}"

    @property
    def names(self) -> Sequence[str]:
        """Everything that can be killed: programs and services."""
        return [*self._running, DATABASE, BROKER]

    @property
    def gateways(self) -> Sequence[str]:
        """The gateways' ids."""
        return [each.gateway_id for each in self._plan.homes]

    def files(self, gateway_id: str) -> HomeFiles:
        """Return where a home keeps its things."""
        return HomeFiles(
            state=self._state.root / "homes" / gateway_id, sockets=self._sockets / gateway_id
        )

    def log(self, name: str) -> Path:
        """Return a program's log file."""
        return self._running[name].log

    def monitoring(self, name: str) -> str:
        """Return where a program serves /metrics, /healthz and /readyz."""
        return f"http://127.0.0.1:{self._port(f'{name}-monitoring')}"

    def start(self, show: Show) -> None:
        """Start all of it.

        Args:
            show: Called with a title and what to run; runs it.

        Raises:
            ProgramError: If a part is not ready in time; the text names its log.
            DebianError, ServerError: If the services cannot be had.
        """
        self.services.start(show)
        show("database schema", self._migrate)
        show("patients, devices and limits", self._register)
        show("ingest, jobs, API and sign-in", lambda: self._start_all(self._server_programs()))
        for each in self._plan.homes:
            show(f"home of {each.gateway_id}", lambda each=each: self._start_home(each))
        show("devices", lambda: self._start_devices(is_measuring=True))

    def stop(self) -> None:
        """Stop all of it, in the opposite order; each part within its deadline."""
        for running in reversed(self._running.values()):
            running.stop()
        self.services.stop()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def kill(self, name: str) -> None:
        """End one part as a power cut would."""
        if name in self._running:
            self._running[name].kill()
        else:
            self.services.kill(name)

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
        if (pid := self._running[name].pid) is None:
            raise self._running[name].error("does not run")
        return pid

    def check(self) -> None:
        """Raise `ProgramError` if a program has ended by itself."""
        for running in self._running.values():
            if running.pid is None:
                raise running.error("ended by itself")

    def bearer_token(self) -> str:
        """Return an access token of the demo's EHR client."""
        return self.run("hemvital-api", "token", "--client", self._plan.ehr_client).strip()

    def run(self, *command: str) -> str:
        """Run one of our commands to its end with the platform's settings; return its output.

        Raises:
            ProgramError: If it fails.
        """
        name, *arguments = command
        owner = self.services.database.dsn("hemvital_owner")  # for commands, never for a service
        done = subprocess.run(  # noqa: S603 - our own command line
            [str(Path(sys.executable).parent / name), *arguments],
            env={
                **os.environ,
                **self._ingest_environment(),
                **self._api_environment(),
                "HEMVITAL_INGEST_OWNER_DATABASE": owner,
                "HEMVITAL_API_OWNER_DATABASE": owner,
            },
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        if done.returncode:
            raise ProgramError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def _migrate(self) -> None:
        self.run("hemvital-ingest", "migrate")

    def _register(self) -> None:
        self.run("hemvital-ingest", "register", str(self._plan.registration))
        if not self._api_key.exists():
            self.run("hemvital-api", "key")
        client = self._plan.ehr_client
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
        port = self._port(f"{each.gateway_id}-monitoring")
        environment = self._gateway_environment(each, files, port)
        for program in home.infrastructure(each, files, environment, port):
            self._start_all([program])

    def _start_devices(self, *, is_measuring: bool) -> None:
        for each in self._plan.homes:
            files = self.files(each.gateway_id)
            self._start_all(home.devices(each, files, is_measuring=is_measuring))

    def _server_programs(self) -> Sequence[Program]:
        return [
            Program(
                name=INGEST_PROGRAM,
                command=["hemvital-ingest", "run"],
                environment=self._ingest_environment(),
                ready_url=f"{self.monitoring('ingest')}/readyz",
            ),
            Program(
                name="jobs",
                command=["hemvital-ingest", "jobs"],
                environment=self._ingest_environment(),
                ready_url=f"{self.monitoring('jobs')}/readyz",
            ),
            Program(
                name="sign-in",
                command=[
                    "oidc-provider-mock",
                    "--port",
                    str(self._port("sign-in")),
                    *self._users(),
                ],
                ready_url=f"{self._issuer}/.well-known/openid-configuration",
            ),
            Program(
                name=API_PROGRAM,
                command=["hemvital-api", "run"],
                environment=self._api_environment(),
                ready_url=f"{self.monitoring('api')}/readyz",
            ),
        ]

    def _users(self) -> Sequence[str]:
        arguments: list[str] = []
        for nurse in self._plan.nurses:
            claims = {
                "sub": nurse.subject,
                "name": nurse.name,
                "employeeHsaId": nurse.hsa_id,
                "commissionHsaId": nurse.unit_hsa_id,
                "commissionName": nurse.unit_name,
                "commissionPurpose": "Vård och behandling",
            }
            arguments += ["--user-claims", json.dumps(claims)]
        return arguments

    @property
    def _api_key(self) -> Path:
        return self._state.secrets / "api-key.json"

    @property
    def _issuer(self) -> str:
        return f"http://localhost:{self._port('sign-in')}"

    def _ingest_environment(self) -> Mapping[str, str]:
        database = self.services.database
        return {
            "HEMVITAL_INGEST_DATABASE": database.dsn("hemvital_ingest"),
            "HEMVITAL_INGEST_JOBS_DATABASE": database.dsn("hemvital_jobs"),
            "HEMVITAL_INGEST_HTTP_PORT": str(self._port("ingest-monitoring")),
            "HEMVITAL_INGEST_JOBS_HTTP_PORT": str(self._port("jobs-monitoring")),
            **self._broker("HEMVITAL_INGEST_", self.services.certificates.service(INGEST)),
        }

    def _broker(self, prefix: str, identity: Identity) -> Mapping[str, str]:
        return {
            f"{prefix}BROKER_HOST": HOST,
            f"{prefix}BROKER_PORT": str(self.services.broker.port),
            f"{prefix}BROKER_AUTHORITY": str(self.services.certificates.authority),
            f"{prefix}BROKER_CERTIFICATE": str(identity.certificate),
            f"{prefix}BROKER_KEY": str(identity.key),
        }

    def _api_environment(self) -> Mapping[str, str]:
        database = self.services.database
        return {
            "HEMVITAL_API_DATABASE": database.dsn("hemvital_api"),
            "HEMVITAL_API_PORT": str(self._port("api")),
            "HEMVITAL_API_MONITORING_PORT": str(self._port("api-monitoring")),
            "HEMVITAL_API_PUBLIC_URL": self.url,
            "HEMVITAL_API_KEY_FILE": str(self._api_key),
            "HEMVITAL_API_OIDC_ISSUER": self._issuer,
            "HEMVITAL_API_OIDC_CLIENT_SECRET": self._client_secret(),
            "HEMVITAL_API_DEMO": "true",
        }

    def _gateway_environment(self, each: Home, files: HomeFiles, port: int) -> Mapping[str, str]:
        identity = self.services.certificates.issue_gateway(each.gateway_id)
        return {
            "HEMVITAL_GATEWAY_ID": each.gateway_id,
            "HEMVITAL_GATEWAY_STATE": str(files.gateway),
            **self._broker("HEMVITAL_GATEWAY_", identity),
            "HEMVITAL_GATEWAY_DEVICES": ",".join(device.address for device in each.devices),
            "HEMVITAL_GATEWAY_TIMEZONE": home.TIMEZONE,
            "HEMVITAL_GATEWAY_HTTP_PORT": str(port),
            # The host answers for its clock here; a gateway at home asks the kernel.
            "HEMVITAL_GATEWAY_CLOCK": "trusted",
            **self._plan.gateway_settings,
        }

    def _client_secret(self) -> str:
        """Return what the API shows the provider; the stand-in takes any, a real one would not."""
        file = self._state.secrets / "oidc-client"
        if not file.exists():
            write_private(file, secrets.token_urlsafe(32).encode())
        return file.read_text()

    def _port(self, name: str) -> int:
        """Return a program's port: the one of the last time if it is still free."""
        if name not in self._ports:
            self._ports[name] = ports.keep(self._state.run / f"{name}.port")
        return self._ports[name]
