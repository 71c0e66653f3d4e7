"""The real database and broker, as tests get at them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from deploy.local.certificates import INGEST, Identity
from deploy.local.mosquitto import HOST
from deploy.local.services import Services

OWNER: Final = "hemvital_owner"
EMPTY: Final = "hemvital_empty"

_PREFIX: Final = "hemvital_test"
_CREATE: Final = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
_DROP: Final = sql.SQL("DROP DATABASE {} WITH (FORCE)")
_CLOSE: Final = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false")
_LEFT: Final = "SELECT datname FROM pg_database WHERE datname LIKE %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One database of its own on the running server; it goes when the test ends."""

    services: Services
    name: str

    def dsn(self, role: str = OWNER) -> str:
        """Return how a role connects: hemvital_owner, _ingest, _api, _jobs, _enrolment …"""
        return self.services.database.dsn(role, self.name)

    def close_to_sessions(self) -> None:
        """Let nobody connect any more, so that cloning it never has to wait."""
        with _as_owner(self.services) as connection:
            connection.execute(_CLOSE.format(sql.Identifier(self.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """How to reach the broker, and as whom."""

    services: Services

    @property
    def host(self) -> str:
        """Loopback; the broker's certificate holds it."""
        return HOST

    @property
    def port(self) -> int:
        """The gateways' door: TLS with their certificates, and nothing else."""
        return self.services.broker.port

    @property
    def services_port(self) -> int:
        """The services' door: TLS with theirs, and nothing else."""
        return self.services.broker.services_port

    @property
    def authority(self) -> Path:
        """Certificate for gateways to trust."""
        return self.services.certificates.gateways.certificate

    @property
    def services_authority(self) -> Path:
        """Certificate for services to trust."""
        return self.services.certificates.services.certificate

    @property
    def ingest(self) -> Identity:
        """Certificate and key of ingest and its jobs."""
        return self.services.certificates.service(INGEST)

    def gateway(self, gateway_id: str) -> Identity:
        """Return certificate and key of a gateway, issued if there is none."""
        return self.services.certificates.issue_gateway(gateway_id)


@contextmanager
def running(services: Services) -> Generator[Services]:
    """Bring the services up, and stop them at the end unless they ran before."""
    ran_before = services.is_running
    services.start()
    try:
        yield services
    finally:
        if not ran_before:
            services.stop()


@contextmanager
def cloned(services: Services, template: str) -> Generator[Database]:
    """Make a database from a template and drop it at the end, whoever is still connected."""
    # The process is in the name: what a killed run left behind can be told and dropped.
    name = f"{_PREFIX}_{os.getpid()}_{secrets.token_hex(4)}"
    with _as_owner(services) as connection:
        connection.execute(_CREATE.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield Database(services=services, name=name)
    finally:
        with _as_owner(services) as connection:
            connection.execute(_DROP.format(sql.Identifier(name)))


def drop_left_over(services: Services) -> None:
    """Drop the databases of test runs that are no more."""
    with _as_owner(services) as connection:
        for (name,) in connection.execute(_LEFT, [f"{_PREFIX}\\_%"]).fetchall():
            if not Path(f"/proc/{name.split('_')[2]}").exists():
                connection.execute(_DROP.format(sql.Identifier(name)))


def _as_owner(services: Services) -> psycopg.Connection:
    return psycopg.connect(services.database.dsn(OWNER), autocommit=True, connect_timeout=10)
