"""A canary whose steps a test takes one by one, with the time it chooses."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID, uuid4

import httpx
from psycopg import AsyncConnection

from ingest_service.admission.incoming import Incoming
from ingest_service.canary import nobody, reading, setup
from ingest_service.canary.door import Door
from ingest_service.canary.metrics import CanaryMetrics
from ingest_service.canary.numbers import held
from ingest_service.canary.service import Canary
from ingest_service.jobs import canary as jobs
from ingest_service.store import connections
from ingest_service.store.canary import Pass
from tests.support.ingest import Home
from tests.support.services import Broker, Database


@dataclass(slots=True)
class Outside:
    """Somebody outside who notices when signs of life stay away."""

    url: str
    heard: list[str] = field(default_factory=list[str])


@contextmanager
def outside() -> Generator[Outside]:
    """Listen for signs of life on a loopback port."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its signature
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Outside(f"http://127.0.0.1:{server.server_port}/ping/secret-key", heard)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def known(database: Database, now: datetime) -> Home:
    """Make the canary known and return its home."""
    async with await AsyncConnection.connect(database.dsn()) as connection:
        await setup.put(connection)
    return Home(database=database, gateway_id=nobody.GATEWAY, now=now)


async def gave(home: Home, at: datetime, *, epoch: UUID | None = None, number: int = 1) -> None:
    """Admit one reading of the canary, as a worker would, without a broker."""
    payload, properties = reading.message(
        epoch or uuid4(), number, at=at, trace_id=uuid4().hex, span_id="0" * 16
    )
    await home.send(
        Incoming(
            gateway_id=home.gateway_id, properties=properties, payload=payload, received_at=at
        )
    )


@asynccontextmanager
async def canary(
    database: Database,
    directory: Path,
    began_at: datetime,
    *,
    page_url: str | None = None,
    heartbeat_url: str | None = None,
) -> AsyncGenerator[Canary]:
    """Return a canary at the real door."""
    broker = Broker(services=database.services)
    identity = broker.gateway(nobody.GATEWAY)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            connections.pool(database.dsn("hemvital_canary"), name="test", size=1)
        )
        yield Canary(
            door=Door(
                host=broker.host,
                port=broker.port,
                authority=broker.authority,
                certificate=identity.certificate,
                key=identity.key,
                gateway_id=nobody.GATEWAY,
            ),
            numbers=stack.enter_context(held(directory)),
            pool=pool,
            http=await stack.enter_async_context(httpx.AsyncClient()),
            page_url=page_url,
            heartbeat_url=heartbeat_url,
            metrics=CanaryMetrics(lambda: began_at, began_at),
            began_at=began_at,
            receipt_s=1.5,
        )


async def job(database: Database, now: datetime) -> Pass:
    """Take the jobs' step as the jobs' role."""
    async with connections.pool(database.dsn("hemvital_jobs"), name="test", size=1) as pool:
        return await jobs.look(pool, now=now)


async def pruned(database: Database, now: datetime) -> int:
    """Take the jobs' other step."""
    async with connections.pool(database.dsn("hemvital_jobs"), name="test", size=1) as pool:
        return await jobs.prune(pool, now=now)
