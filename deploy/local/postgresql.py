"""TimescaleDB: one PostgreSQL cluster with Hemvital's roles and databases."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from psycopg import pq
from psycopg.conninfo import make_conninfo

from deploy.local import ports
from deploy.local.processes import Server, ServerError
from deploy.local.sandbox import Mount, Sandbox
from deploy.local.state import CHECKOUT, State, write_private

ROLES: Final = (
    "hemvital_owner",
    "hemvital_ingest",
    "hemvital_operator",
    "hemvital_api",
    "hemvital_jobs",
    "hemvital_enrolment",
    "hemvital_revocations",
    "hemvital_canary",
    "hemvital_downtime",
)
DATABASE: Final = "hemvital"

_CONFIGURATION: Final = CHECKOUT / "deploy" / "postgresql"
_HOST: Final = "127.0.0.1"
# Places in the sandbox.
_DATA: Final = "/var/lib/postgresql"
_SOCKETS: Final = "/run/postgresql"
_SETTINGS: Final = "/etc/postgresql"

_INITDB_DEADLINE_S: Final = 60.0
_START_DEADLINE_S: Final = 60.0  # after SIGKILL it replays its log first
_STOP_DEADLINE_S: Final = 20.0
_SQL_DEADLINE_S: Final = 60.0
_POLL_S: Final = 0.05


class PostgreSQL:
    """The database server of one local installation."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.server = Server("postgresql", run=state.run, log=state.log)
        self._port_file = state.run / "postgresql.port"

    @property
    def port(self) -> int:
        """The loopback port it listens on."""
        return ports.recorded(self._port_file)

    def dsn(self, role: str, database: str = DATABASE) -> str:
        """Return a libpq connection string; the password stays in the file that it names."""
        return make_conninfo(
            host=_HOST,
            port=self.port,
            user=role,
            dbname=database,
            passfile=str(self._passfile(role)),
        )

    def create_cluster(self) -> None:
        """Make the cluster if there is none; it appears whole or not at all."""
        pgdata = self._state.pgdata
        if pgdata.exists():
            return
        part = pgdata.with_name("pgdata.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700, parents=True)
        argv = ["initdb", "--pgdata", _DATA, "--username=postgres", "--encoding=UTF8"]
        argv += ["--locale-provider=builtin", "--locale=C.UTF-8", "--data-checksums"]
        argv += ["--auth-local=peer", "--auth-host=scram-sha-256"]
        sandbox = Sandbox(self._state.tree, [Mount(source=part, target=_DATA, is_writable=True)])
        _run(sandbox.argv(*argv), deadline_s=_INITDB_DEADLINE_S)
        part.rename(pgdata)

    def start(self) -> None:
        """Start it if it does not run, and wait until it answers.

        Raises:
            ServerError: If it does not answer at the deadline, or ends.
        """
        if self.server.process is None:
            self.server.kill()  # a sandbox or record left over
            port = ports.keep(self._port_file)
            self._sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
            argv = ["postgres", "-D", _DATA, "-p", str(port)]
            argv += ["-c", f"config_file={_SETTINGS}/hemvital.conf"]
            argv += ["-c", f"hba_file={_SETTINGS}/pg_hba.conf"]
            argv += ["-c", f"unix_socket_directories={_SOCKETS}"]
            self.server.start(self._sandbox().server_argv(*argv))
        self._wait_until_answering()

    def stop(self) -> None:
        """Stop it: sessions are cut off, then a checkpoint; killed if that takes too long."""
        self.server.stop(signal.SIGINT, deadline_s=_STOP_DEADLINE_S)

    def bootstrap(self) -> None:
        """Make roles, databases and extensions what ``bootstrap.sql`` says, as the superuser.

        Raises:
            ServerError: If a statement fails.
        """
        passwords = "".join(f"\\set {role} '{self._password(role)}'\n" for role in ROLES)
        script = passwords + (_CONFIGURATION / "bootstrap.sql").read_text()
        argv = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--host", _SOCKETS]
        argv += ["--port", str(self.port), "--username=postgres", "--dbname=postgres"]
        _run(self._sandbox().argv(*argv), deadline_s=_SQL_DEADLINE_S, script=script)

    @property
    def _sockets(self) -> Path:
        return self._state.run / "postgresql"

    def _sandbox(self) -> Sandbox:
        settings = ("hemvital.conf", "pg_hba.conf")
        mounts = [
            Mount(source=self._state.pgdata, target=_DATA, is_writable=True),
            Mount(source=self._sockets, target=_SOCKETS, is_writable=True),
            *(
                Mount(source=_CONFIGURATION / each, target=f"{_SETTINGS}/{each}")
                for each in settings
            ),
        ]
        return Sandbox(self._state.tree, mounts, scratch=[_SETTINGS])

    def _wait_until_answering(self) -> None:
        address = make_conninfo(host=_HOST, port=self.port, connect_timeout=2).encode()
        deadline = time.monotonic() + _START_DEADLINE_S
        while pq.PGconn.ping(address) != pq.Ping.OK:
            if self.server.process is None:
                raise self.server.error("ended while starting")
            if time.monotonic() > deadline:
                raise self.server.error(f"does not answer after {_START_DEADLINE_S:.0f} s")
            time.sleep(_POLL_S)

    def _passfile(self, role: str) -> Path:
        return self._state.secrets / f"{role}.pgpass"

    def _password(self, role: str) -> str:
        """Return a role's password, made the first time it is asked for."""
        file = self._passfile(role)
        if not file.exists():
            password = secrets.token_hex(24)
            write_private(file, f"{_HOST}:*:*:{role}:{password}\n".encode())
        return file.read_text().strip().rpartition(":")[2]


def _run(argv: list[str], *, deadline_s: float, script: str = "") -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own command line
            argv, input=script, text=True, capture_output=True, timeout=deadline_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ServerError(f"postgresql: no end after {deadline_s:.0f} s") from error
    if done.returncode:
        raise ServerError(f"postgresql: {done.stderr.strip() or done.stdout.strip()}")
