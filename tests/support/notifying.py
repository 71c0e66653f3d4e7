"""Real servers that are notified: HTTPS and SMTP, behaving as a test says, on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import trustme
from aiosmtpd.smtp import SMTP, Envelope, Session

from ingest_service.messages.message import Message
from ingest_service.notifying.addresses import Network
from ingest_service.notifying.credentials import Secrets
from ingest_service.notifying.delivering import Courier
from ingest_service.notifying.outgoing import Sender
from ingest_service.notifying.posting import Poster
from ingest_service.notifying.webhook import Webhook
from ingest_service.store import channels, connections, messages
from ingest_service.store.channels import NewChannel
from ingest_service.store.connections import Pool
from ingest_service.store.messages import MessageRow
from ingest_service.wording import catalogue
from tests.support.ingest import UNIT, Home
from tests.support.services import Database

HOST: Final = "localhost"
LOOPBACK: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
# The base64 of 32 bytes of nothing.
SIGNING_SECRET: Final = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="  # noqa: S105 nobody's
LINK: Final = "https://hemvital.example/worklist"

Writer = asyncio.StreamWriter
Behaviour = Callable[["Request", Writer], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def answering(status: int, *headers: str, body: bytes = b"") -> Behaviour:
    """Return the behaviour of answering like this."""

    async def answer(_request: Request, writer: Writer) -> None:
        head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()

    return answer


async def silent(_request: Request, _writer: Writer) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def breaking_off(_request: Request, writer: Writer) -> None:
    """Hang up in the middle of an answer."""
    writer.write(b"HTTP/1.1 200 O")
    await writer.drain()


async def endless(_request: Request, writer: Writer) -> None:
    """Take it, and answer with a body that never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


@dataclass(slots=True)
class HttpsServer:
    """A server that behaves as told, request by request; the last behaviour stays."""

    port: int
    requests: list[Request] = field(default_factory=list[Request])
    behaviours: list[Behaviour] = field(default_factory=list[Behaviour])
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/hook", host: str = HOST) -> str:
        return f"https://{host}:{self.port}{path}"

    def behave(self, *behaviours: Behaviour) -> None:
        self.behaviours[:] = behaviours

    async def take(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        try:
            request = await _request(reader)
            self.requests.append(request)
            self.was_asked.set()
            behave = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
            await behave(request, writer)
        except asyncio.IncompleteReadError:
            pass


async def _request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.split("\r\n")[:-2]
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    method, target, _ = first.split(" ")
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method=method, target=target, headers=headers, body=body)


@dataclass(slots=True)
class SmtpServer:
    """A mail server that refuses with the replies it was told, and then takes mail."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list[EmailMessage])
    recipients: list[str] = field(default_factory=list[str])
    rcpt_replies: list[str] = field(default_factory=list[str])
    data_replies: list[str] = field(default_factory=list[str])
    was_encrypted: list[bool] = field(default_factory=list[bool])

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if self.rcpt_replies:
            return self.rcpt_replies.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data_replies:
            return self.data_replies.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients += [str(each) for each in envelope.rcpt_tos]
        self.was_encrypted.append(session.ssl is not None)
        return "250 OK"


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority of the test's own, a server's context and a client's that trusts it."""

    authority: trustme.CA

    def server(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*(names or (HOST,))).configure_cert(context)  # pyright: ignore[reportUnknownMemberType] half-typed
        return context

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType] half-typed
        return context


@asynccontextmanager
async def listening(
    take: Callable[[asyncio.StreamReader, Writer], Awaitable[None]],
    context: ssl.SSLContext | None,
) -> AsyncGenerator[int]:
    """Listen on loopback and give the port; every connection is closed at the end."""
    at_work = set[asyncio.Task[None]]()

    async def take_one(reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        at_work.add(task)
        try:
            with suppress(ConnectionError, ssl.SSLError):
                await take(reader, writer)
        except asyncio.CancelledError:
            pass  # the end of the test
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()
            at_work.discard(task)

    server = await asyncio.start_server(take_one, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(at_work):
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)


@asynccontextmanager
async def https_server(
    context: ssl.SSLContext, *behaviours: Behaviour
) -> AsyncGenerator[HttpsServer]:
    server = HttpsServer(0)
    server.behave(*(behaviours or (answering(204),)))
    async with listening(server.take, context) as port:
        server.port = port
        yield server


@asynccontextmanager
async def smtp_server(
    context: ssl.SSLContext, *, is_implicit: bool = False
) -> AsyncGenerator[SmtpServer]:
    handler = SmtpServer()

    def protocol() -> SMTP:
        if is_implicit:
            return SMTP(handler, hostname=HOST)
        return SMTP(handler, hostname=HOST, tls_context=context, require_starttls=True)

    listener = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", 0, ssl=context if is_implicit else None
    )
    handler.port = listener.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        listener.close()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass(slots=True)
class Counted:
    """What was counted."""

    outcomes: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    no_channel: list[str] = field(default_factory=list[str])
    nobody: list[str] = field(default_factory=list[str])

    def outcome(self, channel_kind: str, outcome: str) -> None:
        self.outcomes.append((channel_kind, outcome))

    def unrouted(self, recipient: str) -> None:
        self.no_channel.append(recipient)

    def unreached(self, recipient: str) -> None:
        self.nobody.append(recipient)


def secrets_in(directory: Path, **secrets: str) -> Secrets:
    for name, content in ({"hook": SIGNING_SECRET} | secrets).items():
        (directory / name.replace("_", "-")).write_text(content + "\n", encoding="ascii")
    return Secrets(directory)


def courier(
    pool: Pool,
    counted: Counted,
    clock: Clock,
    senders: Mapping[str, Sender],
    *,
    attempt_s: float = 25.0,
) -> Courier:
    return Courier(
        pool=pool,
        senders=senders,
        catalogues=catalogue.load(),
        link=LINK,
        counting=counted,
        clock=clock,
        chance=lambda: 0.5,
        attempt_s=attempt_s,
    )


def webhook(certificates: Certificates, secrets: Secrets) -> Webhook:
    return Webhook(Poster(certificates.client(), LOOPBACK), secrets)


@asynccontextmanager
async def as_jobs(database: Database, size: int = 4) -> AsyncGenerator[Pool]:
    async with connections.pool(database.dsn("hemvital_jobs"), name="test", size=size) as pool:
        yield pool


async def put(home: Home, *made: Message, at: datetime) -> list[UUID]:
    """Put messages as admission does; returns their ids."""
    rows = [MessageRow.of(one, created_at=at) for one in made]
    dsn = home.database.dsn("hemvital_ingest")
    async with await connections.AsyncConnection.connect(dsn) as opened:
        await messages.put(opened, rows)
    return [row.id for row in rows]


async def add_channel(home: Home, address: str, kind: str = "webhook", **changes: Any) -> int:
    """Add a channel of the nurse on duty as an operator does; returns its number."""
    given: dict[str, Any] = {
        "care_unit_id": UNIT,
        "recipient": "nurse_on_duty",
        "kind": kind,
        "address": address,
        "secret": "hook" if kind == "webhook" else None,
        "language": "sv",
        "priorities": ("red",),
        "hours": "always",
        "rank": 1,
    }
    dsn = home.database.dsn("hemvital_operator")
    async with await connections.AsyncConnection.connect(dsn) as opened:
        return await channels.add(
            opened, NewChannel(**(given | changes)), by="SE2321000016-0001", at=home.now
        )
