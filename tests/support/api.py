"""The real ``hemvital-api run`` process, and a stand-in identity provider for it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Final

import httpx

from clinician_api import keys, tokens

COMMAND: Final = (sys.executable, "-m", "clinician_api")
_CLIENT_SECRET: Final = "not a secret here"  # noqa: S105 - of a stand-in provider
_START_S: Final = 20.0
_STOP_S: Final = 15.0


@dataclass(slots=True, kw_only=True)
class Api:
    """A running server; ``url`` is what browsers and EHR systems see."""

    url: str
    monitoring_url: str
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes]
    _clients: ExitStack = field(default_factory=ExitStack)

    def token(
        self,
        client_id: str,
        *,
        scopes: str = "system/Observation.rs system/Patient.r system/Device.r",
        now: datetime | None = None,
        minutes: int = 10,
        base_url: str | None = None,
        key_file: Path | None = None,
    ) -> str:
        """Issue a token with the server's key, or one that does not hold."""
        return tokens.issue(
            keys.load(key_file or Path(self.environment["HEMVITAL_API_KEY_FILE"])),
            client_id=client_id,
            scopes=scopes,
            base_url=base_url or self.url,
            now=now or datetime.now(UTC),
            lifetime=timedelta(minutes=minutes),
        )

    def client(self, token: str | None) -> httpx.Client:
        """Return an EHR system's HTTP client; it is closed with the server."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        client = httpx.Client(base_url=f"{self.url}/fhir", headers=headers, timeout=10)
        return self._clients.enter_context(client)

    def close_clients(self) -> None:
        """Close what `client` returned."""
        self._clients.close()

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.kill()
        self.process.wait(_STOP_S)

    def stop(self) -> float:
        """Ask it to stop; return the seconds it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(_STOP_S)
        return time.monotonic() - started


@contextmanager
def running_api(
    folder: Path, *, dsn: str, issuer: str = "http://localhost:1", port: int | None = None
) -> Generator[Api]:
    """Run the server on ports of its own until the end; its log lies in ``folder``."""
    public, monitoring = port or free_port(), free_port()
    url = f"http://localhost:{public}"
    environment = {
        "PATH": os.environ["PATH"],
        "HEMVITAL_API_DATABASE": dsn,
        "HEMVITAL_API_PORT": str(public),
        "HEMVITAL_API_MONITORING_PORT": str(monitoring),
        "HEMVITAL_API_PUBLIC_URL": url,
        "HEMVITAL_API_KEY_FILE": str(folder / "key.json"),
        "HEMVITAL_API_OIDC_ISSUER": issuer,
        "HEMVITAL_API_OIDC_CLIENT_SECRET": _CLIENT_SECRET,
        "HEMVITAL_API_DEMO": "true",
    }
    if not (folder / "key.json").exists():
        keys.create(folder / "key.json")
    log = folder / "api.log"
    with log.open("ab") as output:
        process = subprocess.Popen((*COMMAND, "run"), env=environment, stderr=output)
    api = Api(
        url=url,
        monitoring_url=f"http://127.0.0.1:{monitoring}",
        environment=environment,
        log=log,
        process=process,
    )
    try:
        wait_until_ready(api.process, api.monitoring_url, api.log)
        yield api
    finally:
        api.close_clients()
        if process.poll() is None:
            api.stop()


@contextmanager
def running_again(api: Api, folder: Path) -> Generator[Api]:
    """Run a server that was killed once more, at the same address."""
    with running_api(
        folder,
        dsn=api.environment["HEMVITAL_API_DATABASE"],
        issuer=api.environment["HEMVITAL_API_OIDC_ISSUER"],
        port=int(api.url.rpartition(":")[2]),
    ) as started:
        yield started


@contextmanager
def identity_provider(unit_hsa_id: str, name: str = "Anna Berg") -> Generator[str]:
    """Run a provider that knows the nurses ``anna`` and ``bo``, and ``tea``, a technician.

    The address is its issuer's. In a process of its own: importing it warns of what its libraries
    deprecate, and here warnings are errors.
    """
    people = (
        _nurse(unit_hsa_id, name),
        _nurse(unit_hsa_id, "Bo Test") | {"sub": "bo", "employeeHsaId": "SE2321000016-1002"},
        _nurse(unit_hsa_id, "Tea Test")
        | {
            "sub": "tea",
            "employeeHsaId": "SE2321000016-1003",
            "systemRoles": ["HEMVITAL;technician"],
        },
    )
    command = ["oidc_provider_mock", "--host", "localhost"]
    for one in people:
        command += ["--user-claims", json.dumps(one)]
    with _running_provider(command) as issuer:
        yield issuer


@contextmanager
def strict_provider(unit_hsa_id: str, name: str = "Anna Berg") -> Generator[str]:
    """Run a provider that enforces PKCE and signs the same nurse in without asking."""
    nurse = json.dumps(_nurse(unit_hsa_id, name))
    command = ("tests.support.strict_provider", "--claims", nurse, "--secret", _CLIENT_SECRET)
    with _running_provider(command) as issuer:
        yield issuer


def _nurse(unit_hsa_id: str, name: str) -> dict[str, object]:
    return {
        "sub": "anna",
        "name": name,
        "employeeHsaId": "SE2321000016-1001",
        "commissionHsaId": unit_hsa_id,
        "commissionName": "Hjärtmottagningen",
        "commissionPurpose": "Vård och behandling",
        "systemRoles": ["HEMVITAL;nurse"],
    }


@contextmanager
def _running_provider(command: Sequence[str]) -> Generator[str]:
    port = free_port()
    process = subprocess.Popen(
        (sys.executable, "-m", *command, "--port", str(port)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    issuer = f"http://localhost:{port}"
    try:
        _await(lambda: _answers(f"{issuer}/.well-known/openid-configuration"))
        yield issuer
    finally:
        process.terminate()
        process.wait(_STOP_S)


class LoopbackCookies(httpx.HTTPTransport):
    """Sends Secure cookies to a loopback address without TLS, as browsers do; httpx does not."""

    def __init__(self) -> None:
        super().__init__()
        self._cookies: dict[tuple[int | None, str], str] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request with the cookies of its port, and keep those of the answer."""
        port = request.url.port
        sent = [f"{name}={text}" for (of, name), text in self._cookies.items() if of == port]
        request.headers["Cookie"] = "; ".join(sent)
        response = super().handle_request(request)
        for header in response.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(header).items():
                self._cookies[port, name] = morsel.value
        return response


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(process: subprocess.Popen[bytes], monitoring_url: str, log: Path) -> None:
    """Wait until a server can do its work; one that cannot is ended, with its log's last lines."""
    try:
        _await(lambda: process.poll() is not None or _answers(f"{monitoring_url}/readyz"))
    except TimeoutError:
        process.kill()
        process.wait(_STOP_S)
    if process.poll() is not None:
        text = log.read_text(encoding="utf-8")[-2000:]
        raise RuntimeError(f"hemvital-api did not start: {text}")


def _await(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_S
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError("nothing came of it in time")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
