"""Senders against real servers that take, refuse, hang, redirect and lie."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
import ssl
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
import pytest
import trustme

from ingest_service.messages.texts import Notice
from ingest_service.notifying.credentials import Secrets
from ingest_service.notifying.errors import RefusedError, UnavailableError
from ingest_service.notifying.mail import Mail, MailServer
from ingest_service.notifying.outgoing import Outgoing
from ingest_service.notifying.posting import Poster
from ingest_service.notifying.sms import Sms, SmsGateway
from ingest_service.notifying.webhook import Webhook
from tests.support.notifying import (
    LINK,
    LOOPBACK,
    SIGNING_SECRET,
    Behaviour,
    Certificates,
    SmtpServer,
    answering,
    breaking_off,
    endless,
    https_server,
    listening,
    secrets_in,
    silent,
    smtp_server,
    webhook,
)

AT = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
SUBJECT = "Larm 1 i Hemvital (BKTMZR)"
ID = UUID("8a0c3c0e-0b4c-5d0a-9a5e-3f1b1d0f7f01")


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates(trustme.CA())


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    kept = {"sms": "a-password-for-sms", "token": "t0ken", "post": "a-password-for-mail"}
    return secrets_in(tmp_path, **kept)


def outgoing(address: str, **changes: Any) -> Outgoing:
    given: dict[str, Any] = {
        "id": ID,
        "address": address,
        "secret": "hook",
        "notice": Notice(SUBJECT, f"{SUBJECT}. {LINK}", "sv"),
        "kind": "staff_alert",
        "recipient": "nurse_on_duty",
        "priority": "red",
        "reference": "BKTMZR",
        "link": LINK,
        "created_at": AT,
        "at": AT + timedelta(seconds=3),
    }
    return Outgoing(**(given | changes))


async def test_a_webhook_gets_a_signed_object_without_anybody_in_it(
    certificates: Certificates, secrets: Secrets
) -> None:
    async with https_server(certificates.server()) as server:
        await webhook(certificates, secrets).send(outgoing(server.url("/hook?a=b")))

    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/hook?a=b")
    assert request.headers["host"] == f"localhost:{server.port}"
    assert request.headers["idempotency-key"] == request.headers["webhook-id"] == str(ID)
    # Verified as Standard Webhooks 1.0 tells receivers to, by hand.
    content = f"{ID}.{int(AT.timestamp()) + 3}.".encode() + request.body
    key = b64decode(SIGNING_SECRET.removeprefix("whsec_"))
    expected = b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    assert json.loads(request.body) == {
        "type": "hemvital.notification",
        "timestamp": "2026-11-25T01:00:00+00:00",
        "data": {
            "id": str(ID),
            "kind": "staff_alert",
            "recipient": "nurse_on_duty",
            "priority": "red",
            "reference": "BKTMZR",
            "text": f"Larm 1 i Hemvital (BKTMZR). {LINK}",
            "language": "sv",
            "link": LINK,
        },
    }


@pytest.mark.parametrize(
    ("behaviour", "error", "cause"),
    [
        (answering(500), UnavailableError, "http_500"),
        (answering(503), UnavailableError, "http_503"),
        (answering(408), UnavailableError, "http_408"),
        (answering(429), UnavailableError, "http_429"),
        (answering(400), RefusedError, "http_400"),
        (answering(401), RefusedError, "http_401"),
        (answering(404), RefusedError, "http_404"),
        (answering(410), RefusedError, "http_410"),
        (answering(301, "Location: https://127.0.0.1:1/"), RefusedError, "redirect"),
        (answering(307, "Location: /elsewhere"), RefusedError, "redirect"),
        (breaking_off, UnavailableError, "broken_answer"),
    ],
)
async def test_what_an_answer_means(
    certificates: Certificates,
    secrets: Secrets,
    behaviour: Behaviour,
    error: type[Exception],
    cause: str,
) -> None:
    async with https_server(certificates.server(), behaviour) as server:
        with pytest.raises(error, match=f"^{cause}$"):
            await webhook(certificates, secrets).send(outgoing(server.url()))

    assert len(server.requests) == 1  # nobody follows a redirect


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        # RFC 9110, 10.2.3: a date or seconds.
        ("Wed, 25 Nov 2026 01:02:03 GMT", 120),
        ("Wed, 25 Nov 2020 01:02:03 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("9" * 30, 999_999_999),
        ("x" * 5000, None),
    ],
)
async def test_an_asked_for_wait_is_passed_on(
    certificates: Certificates, secrets: Secrets, header: str, seconds: float | None
) -> None:
    behaviour = answering(503, f"Retry-After: {header}")
    async with https_server(certificates.server(), behaviour) as server:
        with pytest.raises(UnavailableError) as refused:
            await webhook(certificates, secrets).send(outgoing(server.url()))

    assert refused.value.retry_after_s == seconds


async def test_an_answer_without_end_is_not_read(
    certificates: Certificates, secrets: Secrets
) -> None:
    async with https_server(certificates.server(), endless) as server, asyncio.timeout(20):
        await webhook(certificates, secrets).send(outgoing(server.url()))


async def test_a_server_of_another_name_or_authority_is_not_told(
    certificates: Certificates, secrets: Secrets
) -> None:
    stranger = Certificates(trustme.CA())
    # Its address in the certificate is not enough: the name is what the channel says.
    own = certificates.server("other.example", "127.0.0.1")
    for context in (own, stranger.server()):
        async with https_server(context) as server:
            with pytest.raises(UnavailableError, match="certificate"):
                await webhook(certificates, secrets).send(outgoing(server.url()))

        assert server.requests == []


async def test_nobody_there_is_tried_again_later(
    certificates: Certificates, secrets: Secrets
) -> None:
    async with https_server(certificates.server()) as server:
        url = server.url()
    with pytest.raises(UnavailableError, match="connection"):
        await webhook(certificates, secrets).send(outgoing(url))
    with pytest.raises(UnavailableError, match="name_unknown"):
        await webhook(certificates, secrets).send(outgoing("https://nobody.invalid/"))


async def test_our_own_network_is_not_reached_unless_a_setting_names_it(
    certificates: Certificates, secrets: Secrets
) -> None:
    sender = Webhook(Poster(certificates.client(), ()), secrets)
    async with https_server(certificates.server()) as server:
        for host in ("localhost", "127.0.0.1", "[::ffff:127.0.0.1]"):
            with pytest.raises(RefusedError, match="address_not_allowed"):
                await sender.send(outgoing(server.url(host=host)))

    assert server.requests == []


async def test_without_its_secret_nothing_leaves(
    certificates: Certificates, secrets: Secrets, tmp_path: Path
) -> None:
    async with https_server(certificates.server()) as server:
        for name in ("none", "../hook", "", "token"):
            with pytest.raises(UnavailableError, match=r"secret_(missing|unusable)"):
                await webhook(certificates, secrets).send(outgoing(server.url(), secret=name))
        (tmp_path / "hook").write_bytes(b"\xff\xfe")
        with pytest.raises(UnavailableError, match="secret_unusable"):
            await webhook(certificates, secrets).send(outgoing(server.url()))

    assert server.requests == []


def gateway(url: str, **changes: Any) -> SmsGateway:
    # As 46elks documents it (https://46elks.com/docs/send-sms), with our own URL.
    given: dict[str, Any] = {
        "url": url,
        "encoding": "form",
        "from": "Hemvital",
        "fields": {"from": "{from}", "to": "{to}", "message": "{text}"},
        "authentication": {"type": "basic", "user": "u123", "secret": "sms"},
        "success": [200],
    }
    return msgspec.convert(given | changes, SmsGateway)


def sms(certificates: Certificates, secrets: Secrets, url: str, changes: Mapping[str, Any]) -> Sms:
    return Sms(gateway(url, **changes), Poster(certificates.client(), LOOPBACK), secrets)


async def test_an_sms_as_a_form_with_a_password(
    certificates: Certificates, secrets: Secrets
) -> None:
    telling = outgoing("+46701740605", secret=None)
    async with https_server(certificates.server(), answering(200)) as server:
        await sms(certificates, secrets, server.url("/a1/sms"), {}).send(telling)

    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/a1/sms")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    account = f"u123:{secrets.read('sms')}"
    assert request.headers["authorization"] == f"Basic {b64encode(account.encode()).decode()}"
    assert parse_qs(request.body.decode()) == {
        "from": ["Hemvital"],
        "to": ["+46701740605"],
        "message": [f"Larm 1 i Hemvital (BKTMZR). {LINK}"],
    }


async def test_an_sms_as_json_with_a_token(certificates: Certificates, secrets: Secrets) -> None:
    # As Sinch documents it (POST /xms/v1/{service_plan_id}/batches): a list of receivers.
    changes = {
        "encoding": "json",
        "fields": {
            "from": "{from}", "to": ["{to}"], "body": "{text}", "client_reference": "{key}",
        },
        "authentication": {"type": "bearer", "secret": "token"},
        "success": [201],
    }  # fmt: skip
    text = 'å "{to}" \\ ${x}'
    telling = outgoing("+46701740605", secret=None, notice=Notice("s", text, "sv"))
    async with https_server(certificates.server(), answering(201)) as server:
        await sms(certificates, secrets, server.url(), changes).send(telling)

    [request] = server.requests
    assert request.headers["authorization"] == "Bearer t0ken"
    assert json.loads(request.body) == {
        "from": "Hemvital",
        "to": ["+46701740605"],
        "body": text,
        "client_reference": str(ID),
    }


async def test_an_sms_that_was_perhaps_not_taken_is_sent_again(
    certificates: Certificates, secrets: Secrets
) -> None:
    telling = outgoing("+46701740605", secret=None)
    async with https_server(certificates.server(), answering(202)) as server:
        with pytest.raises(UnavailableError, match="http_202"):
            await sms(certificates, secrets, server.url(), {}).send(telling)


ACCOUNT = {"user": "u", "secret": "post"}


def mail_server(server: SmtpServer, **changes: Any) -> MailServer:
    given: dict[str, Any] = {
        "host": "localhost",
        "port": server.port,
        "security": "starttls",
        "sender": "hemvital@region.example",
    }
    return MailServer(**(given | changes))


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_mail_goes_by_tls_and_says_that_a_machine_wrote_it(
    certificates: Certificates, secrets: Secrets, security: str
) -> None:
    is_implicit = security == "tls"
    async with smtp_server(certificates.server(), is_implicit=is_implicit) as server:
        sender = Mail(mail_server(server, security=security), certificates.client(), secrets)
        await sender.send(outgoing("larm@example.org", secret=None))

    [mail] = server.mails
    assert server.recipients == ["larm@example.org"]
    assert is_implicit or server.was_encrypted == [True]
    assert mail["Subject"] == "Larm 1 i Hemvital (BKTMZR)"
    assert mail["From"] == "hemvital@region.example"
    assert mail["Message-ID"] == f"<{ID}@region.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "sv"
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().strip() == f"Larm 1 i Hemvital (BKTMZR). {LINK}"


@pytest.mark.parametrize(
    ("at", "reply", "error"),
    [
        # RFC 5321, 4.2.1: 4yz may go well later, 5yz will not.
        ("rcpt", "450 mailbox busy", UnavailableError),
        ("rcpt", "550 no such mailbox", RefusedError),
        ("data", "451 try later", UnavailableError),
        ("data", "554 no", RefusedError),
    ],
)
async def test_what_a_mail_servers_reply_means(
    certificates: Certificates,
    secrets: Secrets,
    at: str,
    reply: str,
    error: type[Exception],
) -> None:
    cause = f"smtp_{reply[:3]}"
    async with smtp_server(certificates.server()) as server:
        (server.rcpt_replies if at == "rcpt" else server.data_replies).append(reply)
        sender = Mail(mail_server(server), certificates.client(), secrets)
        with pytest.raises(error, match=f"^{cause}$"):
            await sender.send(outgoing("larm@example.org", secret=None))

        await sender.send(outgoing("larm@example.org", secret=None))

    assert len(server.mails) == 1


async def test_a_mail_server_that_cannot_be_trusted_gets_nothing(
    certificates: Certificates, secrets: Secrets
) -> None:
    stranger = Certificates(trustme.CA())
    async with smtp_server(stranger.server()) as server:
        sender = Mail(mail_server(server), certificates.client(), secrets)
        with pytest.raises(UnavailableError, match="smtp_connection"):
            await sender.send(outgoing("larm@example.org", secret=None))

    assert server.mails == []


async def test_a_mail_server_that_has_no_tls_gets_nothing(
    certificates: Certificates, secrets: Secrets
) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x ESMTP\r\n")
        while line := await reader.readline():
            heard.append(line)
            writer.write(b"250 x\r\n")

    heard: list[bytes] = []
    async with listening(plain, None) as port:
        account = mail_server(SmtpServer(port=port), **ACCOUNT)
        with pytest.raises(UnavailableError, match="smtp_connection"):
            await Mail(account, certificates.client(), secrets).send(
                outgoing("larm@example.org", secret=None)
            )

    assert not [line for line in heard if re.match(rb"MAIL|AUTH|DATA", line)]


async def test_no_secret_and_no_address_is_logged_by_anybody(
    certificates: Certificates, secrets: Secrets, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    changes = {"authentication": {"type": "bearer", "secret": "token"}}
    async with (
        https_server(certificates.server(), answering(500), answering(200)) as server,
        smtp_server(certificates.server()) as post,
    ):
        for telling in (
            webhook(certificates, secrets).send(outgoing(server.url("/s3cret-path"))),
            sms(certificates, secrets, server.url(), changes).send(outgoing("+46701740605")),
            Mail(mail_server(post, **ACCOUNT), certificates.client(), secrets).send(
                outgoing("larm@example.org")
            ),
        ):
            try:
                await telling
            except UnavailableError as error:
                logging.getLogger("test").warning("%s", error, exc_info=error)

    logged = "\n".join(
        f"{record.getMessage()} {vars(record)} {record.exc_text}" for record in caplog.records
    )
    for hidden in (
        SIGNING_SECRET.removeprefix("whsec_"), "t0ken", secrets.read("post"), "s3cret-path",
        "+46701740605", "larm@example.org",
    ):  # fmt: skip
        assert hidden not in logged, hidden


async def test_a_server_that_never_answers_is_left(
    certificates: Certificates, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest_service.notifying.posting.ANSWER_S", 0.2)
    async with https_server(certificates.server(), silent) as server:
        with pytest.raises(UnavailableError, match=r"^timeout$"):
            await webhook(certificates, secrets).send(outgoing(server.url()))


def test_the_contexts_of_these_tests_check_names() -> None:
    assert Certificates(trustme.CA()).client().verify_mode == ssl.CERT_REQUIRED
