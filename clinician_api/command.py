"""``hemvital-api``: run the server, make its key, issue tokens, register systems, gateways."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
import psycopg
import uvicorn
from psycopg import AsyncConnection

from clinician_api import keys, observability, tokens
from clinician_api.app import create_app
from clinician_api.enrolment import command as enrolment
from clinician_api.fhir.cursor import Cursors
from clinician_api.keys import KeyFileError, Keys
from clinician_api.observability import Metrics, monitoring_app
from clinician_api.pages.templates import Templates
from clinician_api.parts import Parts
from clinician_api.routes.signin import CALLBACK
from clinician_api.services.live import Hub
from clinician_api.settings import Settings, SettingsError, load
from clinician_api.signin import Client, SignIn
from ingest_service.store import access
from ingest_service.store.connections import ping, pool
from ingest_service.wording import catalogue

_SCOPES: Final = "system/Observation.rs system/Patient.r system/Device.r"
_PROVIDER_S: Final = 5.0
_MOST_MINUTES: Final = 24 * 60


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 done, 1 failed, 2 wrong usage or settings."""
    arguments = _parser().parse_args(argv)
    if arguments.command in enrolment.COMMANDS:  # a process and settings of their own
        return enrolment.carry_out(arguments)
    return _carry_out(arguments)


def _carry_out(arguments: argparse.Namespace) -> int:
    try:
        settings = load(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        match arguments.command:
            case "run":
                return _run(settings)
            case "key":
                return _key(settings)
            case "token":
                return _token(settings, arguments)
            case _:
                return asyncio.run(_add_client(settings, arguments))
    except (KeyFileError, FileExistsError, psycopg.OperationalError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hemvital-api", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="serve EHR systems and staff until stopped")
    commands.add_parser("key", help="make the key file; never replaces one")
    token = commands.add_parser("token", help="issue a bearer token to a registered system")
    token.add_argument("--client", required=True, help="id of the system")
    token.add_argument("--minutes", type=int, default=60, help="how long it is valid")
    token.add_argument("--scopes", default=_SCOPES, help="SMART scopes, separated by spaces")
    token.add_argument("--json", action="store_true", help="as a token response")
    client = commands.add_parser("client", help="register systems")
    add = client.add_subparsers(dest="action", required=True).add_parser(
        "add", help="register a system, or change what it is registered for"
    )
    add.add_argument("--id", required=True, help="id of the system")
    add.add_argument("--name", required=True, help="what people call it")
    add.add_argument("--unit", required=True, action="append", help="HSA-id; repeat for more")
    add.add_argument("--scopes", default=_SCOPES, help="SMART scopes, separated by spaces")
    enrolment.add(commands)
    return parser


def _key(settings: Settings) -> int:
    keys.create(settings.key_file)
    print(settings.key_file)
    return 0


def _token(settings: Settings, arguments: argparse.Namespace) -> int:
    minutes: int = arguments.minutes
    if not 1 <= minutes <= _MOST_MINUTES:
        print(f"--minutes: between 1 and {_MOST_MINUTES}", file=sys.stderr)
        return 2
    token = tokens.issue(
        keys.load(settings.key_file),
        client_id=arguments.client,
        scopes=arguments.scopes,
        base_url=settings.public_url,
        now=_now(),
        lifetime=timedelta(minutes=minutes),
    )
    if arguments.json:
        answer = {"access_token": token, "token_type": "bearer", "expires_in": minutes * 60}
        print(json.dumps({**answer, "scope": arguments.scopes}))
    else:
        print(token)
    return 0


async def _add_client(settings: Settings, arguments: argparse.Namespace) -> int:
    if settings.owner_database is None:
        print("HEMVITAL_API_OWNER_DATABASE: needed to register a system", file=sys.stderr)
        return 2
    dsn = settings.owner_database.get_secret_value()
    async with await AsyncConnection.connect(dsn) as connection:
        is_done = await access.add_client(
            connection,
            client_id=arguments.id,
            name=arguments.name,
            unit_hsa_ids=arguments.unit,
            scopes=arguments.scopes,
        )
    if not is_done:
        print("--unit: no such care unit", file=sys.stderr)
    return 0 if is_done else 1


def _run(settings: Settings) -> int:
    observability.log_as_json(settings.log_level)
    loaded = keys.load(settings.key_file)
    asyncio.run(_serve(settings, loaded))
    return 0


async def _serve(settings: Settings, loaded: Keys) -> None:
    hub, metrics = Hub(), Metrics()
    async with httpx.AsyncClient(timeout=_PROVIDER_S) as http:
        parts = _parts(settings, loaded, hub, http)

        async def is_ready() -> str | None:
            if not hub.is_listening:
                return "database: changes are not heard"
            return await ping(parts.pool)

        public = _Server(
            uvicorn.Config(
                create_app(parts, metrics),
                host=settings.host,
                port=settings.port,
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=True,
                limit_concurrency=settings.max_connections,
                timeout_graceful_shutdown=settings.stop_seconds,
            )
        )
        monitoring = _Server(
            uvicorn.Config(
                monitoring_app(metrics, is_ready=is_ready, canary_at=lambda: hub.canary_at),
                host="127.0.0.1",
                port=settings.monitoring_port,
                access_log=False,
                log_config=None,
                timeout_graceful_shutdown=1,
            )
        )

        def stop() -> None:
            hub.close()  # an open stream would hold the server for its whole grace
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


def _parts(settings: Settings, loaded: Keys, hub: Hub, http: httpx.AsyncClient) -> Parts:
    catalogues = catalogue.load()
    return Parts(
        settings=settings,
        pool=pool(
            settings.database.get_secret_value(), name="hemvital-api", size=settings.pool_size
        ),
        clock=_now,
        verifier=tokens.TokenVerifier(loaded, base_url=settings.public_url, clock=_now),
        cursors=Cursors(loaded.secret("search cursors")),
        sign_in=SignIn(
            Client(
                issuer=settings.oidc_issuer,
                client_id=settings.oidc_client_id,
                client_secret=settings.oidc_client_secret.get_secret_value(),
                redirect_uri=f"{settings.public_url}{CALLBACK}",
            ),
            secret=loaded.secret("sign-in"),
            http=http,
            clock=_now,
        ),
        hub=hub,
        catalogues=catalogues,
        templates=Templates(catalogues),
        started_at=_now(),
    )


def _now() -> datetime:
    return datetime.now(UTC)
