"""``hemvital-api enrolment`` and ``hemvital-api gateways``: the server, and what people decide."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

import psycopg
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec

from clinician_api import observability
from clinician_api.enrolment import deciding, file_authority, publishing, requests
from clinician_api.enrolment.app import Parts, create_app
from clinician_api.enrolment.authority import AuthorityError
from clinician_api.enrolment.cutting import ServicesDoor
from clinician_api.enrolment.deciding import UnknownGatewayError
from clinician_api.enrolment.file_authority import FileAuthority
from clinician_api.enrolment.issuing import Terms
from clinician_api.enrolment.publishing import PublishingError
from clinician_api.enrolment.settings import (
    PREFIX,
    AuthoritySettings,
    DatabaseSettings,
    PublishingSettings,
    RunSettings,
    SigningSettings,
    load,
)
from clinician_api.observability import Metrics, monitoring_app
from clinician_api.settings import SettingsError
from device_adapters.contract.elements import ContractError
from ingest_service.store import gateway_certificates
from ingest_service.store.connections import Connection, bounded, ping, pool
from ingest_service.store.gateway_certificates import GatewayRow

COMMANDS: Final = frozenset({"enrolment", "gateways"})

_OK: Final = 0
_FAILED: Final = 1
_USAGE: Final = 2
_MOST_HOURS: Final = 31 * 24
_NAME: Final = "hemvital-enrolment"
_RELOAD_S: Final = 30.0
# mosquitto 2.0.21 was seen to use a new list 4 ms after SIGHUP.
_RELOADED_S: Final = 1.0
_T = TypeVar("_T")


class _Commands(Protocol):
    """Where commands are added; argparse gives the class no public name."""

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser:  # noqa: A002 argparse's word
        """Add one and return its parser."""
        ...


def add(commands: _Commands) -> None:
    """Add what this module does to the command's parser."""
    enrolment = commands.add_parser("enrolment", help="let gateways enrol and renew")
    server = enrolment.add_subparsers(dest="action", required=True)
    server.add_parser("run", help="serve gateways until stopped").set_defaults(work=_run)
    gateways = commands.add_parser("gateways", help="decide about gateways' certificates")
    within = gateways.add_subparsers(dest="action", required=True)
    _add_code(within)
    _add_revoke(within)
    shown = within.add_parser("list", help="how each gateway stands")
    shown.add_argument("--json", action="store_true", help="one JSON object a line")
    shown.set_defaults(work=_list)
    publish = within.add_parser(
        "publish-revocations", help="have the broker on this machine refuse what is revoked"
    )
    publish.add_argument("--directory", type=Path, help="where the broker reads the list")
    how = publish.add_mutually_exclusive_group()
    how.add_argument("--broker-pid", type=int, help="process to send SIGHUP")
    how.add_argument("--reload-command", help="such as 'systemctl reload mosquitto'")
    publish.set_defaults(work=_publish)
    _add_authority(within)


def _add_code(commands: _Commands) -> None:
    code = commands.add_parser("code", help="make a one-time code; shown once, here")
    code.add_argument("gateway_id", metavar="GATEWAY_ID")
    code.add_argument("--decided-by", required=True, help="who decided, as it will be kept")
    code.add_argument("--hours", type=int, default=72, help="how long it counts")
    code.add_argument("--json", action="store_true", help="for programs")
    code.set_defaults(work=_code)


def _add_revoke(commands: _Commands) -> None:
    revoke = commands.add_parser("revoke", help="end all that a gateway has, for good")
    revoke.add_argument("gateway_id", metavar="GATEWAY_ID")
    revoke.add_argument("--decided-by", required=True, help="who decided, as it will be kept")
    revoke.add_argument("--reason", required=True, help="why, without names")
    revoke.set_defaults(work=_revoke)


def _add_authority(commands: _Commands) -> None:
    authority = commands.add_parser("authority", help="the gateways' certificate authority")
    within = authority.add_subparsers(dest="step", required=True)
    create = within.add_parser("create", help="make its files; never replaces one")
    create.add_argument("--name", default="Hemvital gateways", help="what it is called")
    create.set_defaults(work=_create_authority)
    broker = within.add_parser("broker", help="issue the broker's certificate for homes")
    broker.add_argument("host", nargs="+", help="DNS names and IP addresses that homes use")
    broker.add_argument("--directory", type=Path, required=True, help="where to write the files")
    broker.set_defaults(work=_issue_broker)


def carry_out(arguments: argparse.Namespace) -> int:
    """Do what the arguments say: 0 done, 1 failed, 2 wrong usage or settings."""
    work: Callable[[argparse.Namespace], int] = arguments.work
    try:
        return work(arguments)
    except (SettingsError, ContractError) as error:
        print(error, file=sys.stderr)
        return _USAGE
    except psycopg.Error as error:
        print(f"The database: {str(error).strip() or type(error).__name__}", file=sys.stderr)
        return _FAILED
    except (
        *(OSError, subprocess.SubprocessError),
        *(AuthorityError, PublishingError, UnknownGatewayError),
    ) as error:
        print(error, file=sys.stderr)
        return _FAILED


def _code(arguments: argparse.Namespace) -> int:
    hours: int = arguments.hours
    if not 1 <= hours <= _MOST_HOURS:
        print(f"--hours: between 1 and {_MOST_HOURS}", file=sys.stderr)
        return _USAGE
    now, lifetime = _now(), timedelta(hours=hours)

    async def make(connection: Connection) -> str:
        return await deciding.make_code(
            connection,
            arguments.gateway_id,
            decided_by=arguments.decided_by,
            lifetime=lifetime,
            now=now,
            below=secrets.randbelow,
        )

    code = _in_database(load(DatabaseSettings, os.environ).database.get_secret_value(), make)
    if arguments.json:
        until = (now + lifetime).isoformat(timespec="seconds")
        print(json.dumps({"gateway_id": arguments.gateway_id, "code": code, "expires_at": until}))
    else:
        print(code)
        print(
            f"For {arguments.gateway_id}, once, until {now + lifetime:%Y-%m-%d %H:%M} UTC. "
            "It is not shown again.",
            file=sys.stderr,
        )
    return _OK


def _revoke(arguments: argparse.Namespace) -> int:
    settings = load(SigningSettings, os.environ)
    authority = _authority(settings)

    async def revoke(connection: Connection) -> Sequence[str]:
        return await deciding.revoke(
            connection,
            authority,
            arguments.gateway_id,
            decided_by=arguments.decided_by,
            reason=arguments.reason,
            now=_now(),
        )

    serials = _in_database(settings.database.get_secret_value(), revoke)
    print(f"{arguments.gateway_id}: {len(serials)} certificate(s) revoked.")
    if f"{PREFIX}REVOCATIONS_DIRECTORY" in os.environ:
        return _apply(load(PublishingSettings, os.environ), None)
    print("The broker refuses them once publish-revocations has run beside it.")
    return _OK


def _publish(arguments: argparse.Namespace) -> int:
    given = dict(os.environ)
    if arguments.directory is not None:
        given[f"{PREFIX}REVOCATIONS_DIRECTORY"] = str(arguments.directory)
    if arguments.reload_command is not None:
        given[f"{PREFIX}RELOAD_COMMAND"] = arguments.reload_command
    return _apply(load(PublishingSettings, given), arguments.broker_pid)


def _apply(settings: PublishingSettings, broker_pid: int | None) -> int:
    if broker_pid is None and settings.reload_command is None:
        raise SettingsError(
            f"--broker-pid, --reload-command or {PREFIX}RELOAD_COMMAND: how the broker is told"
        )
    now = _now()

    async def read(
        connection: Connection,
    ) -> tuple[gateway_certificates.RevocationList | None, Sequence[gateway_certificates.CutOff]]:
        signed = await gateway_certificates.revocation_list(connection)
        return signed, await gateway_certificates.to_cut_off(connection, now)

    signed, gateways = _in_database(settings.revocations_database.get_secret_value(), read)
    if signed is None:
        text = "no list is signed yet: hemvital-api enrolment run signs the first"
        raise PublishingError(text)
    door = ServicesDoor(
        host=settings.broker_services_host,
        port=settings.broker_services_port,
        authority=settings.broker_services_authority,
        certificate=settings.broker_services_certificate,
        key=settings.broker_services_key,
    )
    applied = publishing.apply(
        settings.revocations_directory,
        signed,
        gateways,
        reload=partial(_reload, broker_pid, settings.reload_command),
        cut_off=door.cut_off,
        now=now,
    )
    news = "given to the broker" if applied.is_new else "the broker has it"
    print(f"List {applied.number}: {news}.")
    for gateway_id in applied.cut_off:
        print(f"{gateway_id}: cut off.")
    return _OK


def _reload(broker_pid: int | None, command: str | None) -> None:
    if broker_pid is not None:
        os.kill(broker_pid, signal.SIGHUP)
    elif command is not None:
        done = subprocess.run(  # noqa: S603 - the operator's own command, without a shell
            shlex.split(command), capture_output=True, text=True, timeout=_RELOAD_S, check=False
        )
        if done.returncode:
            text = f"{command}: exit code {done.returncode}: {done.stderr.strip()[-500:]}"
            raise PublishingError(text)
    time.sleep(_RELOADED_S)


def _list(arguments: argparse.Namespace) -> int:
    now = _now()

    async def read(connection: Connection) -> Sequence[GatewayRow]:
        return await gateway_certificates.rows(connection, now)

    dsn = load(DatabaseSettings, os.environ).database.get_secret_value()
    for row in _in_database(dsn, read):
        if arguments.json:
            print(json.dumps({**asdict(row), "state": _state(row, now)}, default=_iso))
        else:
            print(f"{row.gateway_id:<24} {_describe(row, now)}")
    return _OK


def _state(row: GatewayRow, now: datetime) -> str:
    if row.not_after is None:
        return "code_waits" if row.code_until else "never_enrolled"
    if row.revoked_at is not None:
        return "revoked"
    return "valid" if now < row.not_after else "expired"


def _describe(row: GatewayRow, now: datetime) -> str:
    code = f", a code waits until {row.code_until:%Y-%m-%d %H:%M}" if row.code_until else ""
    if row.not_after is None or row.renewed_at is None or row.enrolled_at is None:
        return f"never enrolled{code}"
    if row.revoked_at is not None:
        return f"revoked {row.revoked_at:%Y-%m-%d} by {row.revoked_by}: {row.revoked_why}{code}"
    ends = "valid until" if now < row.not_after else "EXPIRED since"
    renewed = (
        "never renewed"
        if row.renewed_at == row.enrolled_at
        else f"renewed {row.renewed_at:%Y-%m-%d}"
    )
    return f"{ends} {row.not_after:%Y-%m-%d}, enrolled {row.enrolled_at:%Y-%m-%d}, {renewed}{code}"


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _create_authority(arguments: argparse.Namespace) -> int:
    settings = load(AuthoritySettings, os.environ)
    now = _now()
    made = file_authority.create(
        settings.authority_certificate, settings.authority_key, name=arguments.name, at=now
    )
    # The broker needs a list before anything is revoked: without one it takes no gateway.
    first = settings.authority_certificate.with_name(publishing.LIST_NAME)
    content = made.revocation_list([], number=0, at=now)
    publishing.write_whole(first, content.encode(), mode=0o644)
    for path in (settings.authority_certificate, settings.authority_key, first):
        print(path)
    return _OK


def _issue_broker(arguments: argparse.Namespace) -> int:
    authority = _authority(load(AuthoritySettings, os.environ))
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.issue_broker(key.public_key(), arguments.host, _now())
    directory: Path = arguments.directory
    file_authority.write_new(directory / "broker.key", file_authority.private_pem(key), mode=0o600)
    file_authority.write_new(
        directory / "broker.pem", issued.public_bytes(requests.PEM), mode=0o644
    )
    print(f"{directory / 'broker.pem'}: until {issued.not_valid_after_utc:%Y-%m-%d}")
    return _OK


def _authority(settings: AuthoritySettings) -> FileAuthority:
    return FileAuthority.load(settings.authority_certificate, settings.authority_key)


def _in_database(dsn: str, work: Callable[[Connection], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        # Left without error it commits.
        async with await Connection.connect(bounded(dsn, _NAME)) as connection:
            return await work(connection)

    return asyncio.run(run())


def _run(_arguments: argparse.Namespace) -> int:
    settings = load(RunSettings, os.environ)
    authority = _authority(settings)
    observability.log_as_json(settings.log_level)
    dsn = settings.database.get_secret_value()

    async def sign_first(connection: Connection) -> None:
        # Also after a restore from a copy: what is signed is what the database says.
        await deciding.sign_list(connection, authority, _now())

    _in_database(dsn, sign_first)
    asyncio.run(_serve(settings, authority))
    return _OK


async def _serve(settings: RunSettings, authority: FileAuthority) -> None:
    metrics = Metrics()
    connections = pool(settings.database.get_secret_value(), name=_NAME, size=settings.pool_size)
    trusted = authority.chain[-1].public_bytes(requests.PEM).decode("ascii")
    if settings.broker_authority is not None:
        trusted = settings.broker_authority.read_text(encoding="ascii")
    parts = Parts(
        pool=connections,
        authority=authority,
        terms=Terms(
            validity=timedelta(days=settings.validity_days),
            grace=timedelta(days=settings.grace_days),
        ),
        broker_host=settings.broker_host,
        broker_port=settings.broker_port,
        broker_authority=trusted,
        clock=_now,
        monotonic_s=time.monotonic,
    )
    public = _Server(
        uvicorn.Config(
            create_app(parts, metrics, is_https=True),
            host=settings.host,
            port=settings.port,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
            forwarded_allow_ips=settings.proxies,
            access_log=False,
            log_config=None,
            server_header=False,
            limit_concurrency=settings.max_connections,
            timeout_graceful_shutdown=settings.stop_seconds,
        )
    )
    monitoring = _Server(
        uvicorn.Config(
            monitoring_app(metrics, is_ready=partial(ping, connections)),
            host="127.0.0.1",
            port=settings.monitoring_port,
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=1,
        )
    )

    def stop() -> None:
        public.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(monitoring.serve(), name="monitoring")
        await public.serve()
        monitoring.should_exit = True


class _Server(uvicorn.Server):
    """One of two servers in a process: signals are the process's business, not either's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _now() -> datetime:
    return datetime.now(UTC)
