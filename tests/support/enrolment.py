"""The real enrolment server, in a thread with a clock that a test sets, or as a process."""

from __future__ import annotations

import io
import ssl
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest
import trustme
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from clinician_api.command import main
from clinician_api.enrolment import file_authority, requests
from clinician_api.enrolment.app import Parts, create_app
from clinician_api.enrolment.file_authority import FileAuthority
from clinician_api.enrolment.issuing import Terms
from clinician_api.observability import Metrics
from gateway.enrolment import keys
from ingest_service.store import connections
from tests.support.api import free_port
from tests.support.ingest import GATEWAY, UNIT, id_of
from tests.support.services import Broker, Database

VALIDITY: Final = timedelta(days=90)
GRACE: Final = timedelta(days=180)
_START_S: Final = 20.0


@dataclass(slots=True)
class Clock:
    """Says what a test sets, or the real time plus what it adds."""

    offset: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset


@dataclass(slots=True, kw_only=True)
class Enrolment:
    """A running server and the database behind it."""

    database: Database
    url: str
    authority: FileAuthority
    https_authority: Path
    clock: Clock

    def post(self, path: str, body: object, **how: Any) -> httpx.Response:
        """Ask once."""
        trust = ssl.create_default_context(cafile=self.https_authority)
        with httpx.Client(verify=trust, timeout=10) as client:
            if isinstance(body, bytes):
                return client.post(self.url + path, content=body, **how)
            return client.post(self.url + path, json=body, **how)

    def code(self, gateway_id: str = GATEWAY, *more: str) -> str:
        """Have an operator make a code."""
        return self.command("gateways", "code", gateway_id, "--decided-by", "IT", *more).strip()

    def command(
        self, *arguments: str, code: int = 0, environment: Mapping[str, str] | None = None
    ) -> str:
        """Do what ``hemvital-api`` does and return what it printed, or said where it failed."""
        printed, told = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            redirect_stdout(printed),
            redirect_stderr(told),
        ):
            for name, value in {**self.environment(), **(environment or {})}.items():
                patch.setenv(name, value)
            done = main(arguments)
        assert done == code, printed.getvalue() + told.getvalue()
        return printed.getvalue() if code == 0 else told.getvalue()

    def environment(self) -> dict[str, str]:
        """Return the settings of the operator's commands."""
        return {
            "HEMVITAL_ENROLMENT_DATABASE": self.database.dsn("hemvital_enrolment"),
            "HEMVITAL_ENROLMENT_AUTHORITY_CERTIFICATE": str(self.directory / "authority.pem"),
            "HEMVITAL_ENROLMENT_AUTHORITY_KEY": str(self.directory / "authority.key"),
        }

    @property
    def directory(self) -> Path:
        """Where the authority's files are."""
        return self.https_authority.parent

    def rows(self, query: str) -> Sequence[tuple[Any, ...]]:
        """Return what the schema's owner sees."""
        with psycopg.connect(self.database.dsn()) as connection:
            return connection.execute(query.encode()).fetchall()


@dataclass(slots=True)
class Box:
    """A gateway's key and request, without its files."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def csr(self) -> str:
        """A request for a certificate."""
        return keys.text_of(keys.request_for(self.key))

    def renewal(self, certificate: str, new: Box) -> dict[str, str]:
        """Return the body that asks for a new certificate."""
        request = keys.request_for(new.key)
        return {
            "certificate": certificate,
            "csr": keys.text_of(request),
            "proof": keys.prove(self.key, request),
        }


@contextmanager
def enrolment_server(
    folder: Path,
    database: Database,
    *,
    broker: Broker | None = None,
    https: tuple[Path, Path] | None = None,
) -> Generator[Enrolment]:
    """Run the server with its own authority, or with the one that a broker trusts."""
    authority = _authority(folder, broker)
    https_authority = https_files(folder)
    register(database)
    clock = Clock()
    port = free_port()
    parts = Parts(
        pool=connections.pool(database.dsn("hemvital_enrolment"), name="test", size=4),
        authority=authority,
        terms=Terms(validity=VALIDITY, grace=GRACE),
        broker_host="localhost",
        broker_port=broker.port if broker else 8883,
        broker_authority=authority.chain[-1].public_bytes(requests.PEM).decode(),
        clock=clock,
        monotonic_s=time.monotonic,
    )
    certificate, key = https or (folder / "https.pem", folder / "https.key")
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(parts, Metrics(), is_https=True),
            port=port,
            ws="none",
            log_config=None,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + _START_S
        while not server.started:
            assert thread.is_alive(), "the server ended while starting"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.01)
        yield Enrolment(
            database=database,
            url=f"https://localhost:{port}",
            authority=authority,
            https_authority=https_authority,
            clock=clock,
        )
    finally:
        server.should_exit = True
        thread.join(_START_S)


def certificate_of(answer: dict[str, Any]) -> x509.Certificate:
    """Return the gateway's certificate in an answer."""
    return x509.load_pem_x509_certificate(answer["chain"].encode())


def own_pem(answer: dict[str, Any]) -> str:
    """Return the gateway's certificate alone."""
    return certificate_of(answer).public_bytes(requests.PEM).decode()


def register(database: Database, *gateway_ids: str) -> None:
    """Register gateways at one unit; `GATEWAY` is always one of them."""
    with psycopg.connect(database.dsn()) as connection:
        connection.execute(
            "INSERT INTO care_provider (id, hsa_id, name) VALUES (%s, 'SE-P', 'Region')"
            " ON CONFLICT DO NOTHING",
            [id_of("p")],
        )
        connection.execute(
            "INSERT INTO care_unit (id, care_provider_id, hsa_id, name)"
            " VALUES (%s, %s, 'SE-U', 'Unit') ON CONFLICT DO NOTHING",
            [UNIT, id_of("p")],
        )
        for gateway_id in (GATEWAY, *gateway_ids):
            connection.execute(
                "INSERT INTO gateway (id, care_unit_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                [gateway_id, UNIT],
            )


def empty(database: Database) -> None:
    """Forget every gateway, with all that was decided about it."""
    with psycopg.connect(database.dsn()) as connection:
        connection.execute("TRUNCATE gateway, enrolment_event, revocation_list CASCADE")


def _authority(folder: Path, broker: Broker | None) -> FileAuthority:
    certificate, key = folder / "authority.pem", folder / "authority.key"
    if broker is None:
        return file_authority.create(certificate, key, name="Test", at=datetime.now(UTC))
    own = broker.services.certificates.gateways
    certificate.write_bytes(own.certificate.read_bytes())
    file_authority.write_new(key, own.key.read_bytes(), mode=0o600)
    return FileAuthority.load(certificate, key)


def https_files(folder: Path) -> Path:
    """Make ``https.pem`` and ``https.key`` for localhost; return whom to trust for them."""
    made = trustme.CA(organization_name="Test's HTTPS")
    issued = made.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(folder / "https.key"))
    for each in issued.cert_chain_pems:
        each.write_to_path(str(folder / "https.pem"), append=True)
    path = folder / "https-authority.pem"
    made.cert_pem.write_to_path(str(path))
    return path
