"""E-mail: plain text to the region's own mail server, over TLS and nothing else."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final, Literal

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException

from ingest_service.notifying.credentials import Secrets
from ingest_service.notifying.errors import RefusedError, UnavailableError
from ingest_service.notifying.outgoing import Outgoing

_TIMEOUT_S: Final = 10.0
_FOR_EVER: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """The server that takes our mail; ``security`` is STARTTLS or TLS from the first byte."""

    host: str
    port: int
    security: Literal["starttls", "tls"]
    sender: str
    user: str | None = None
    secret: str | None = None


class Mail:
    """Sends through one mail server."""

    def __init__(self, server: MailServer, context: ssl.SSLContext, secrets: Secrets) -> None:
        self._server = server
        self._context = context
        self._secrets = secrets

    async def send(self, outgoing: Outgoing) -> None:
        """Hand the mail over to the server, which then answers for it.

        Raises:
            DeliveryError: If the server did not take it.
        """
        server = self._server
        password = self._secrets.read(server.secret) if server.secret else None
        try:
            await aiosmtplib.send(
                mail_of(outgoing, server.sender),
                sender=server.sender,
                recipients=[outgoing.address],
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=password,
                use_tls=server.security == "tls",
                start_tls=server.security == "starttls",
                tls_context=self._context,
                timeout=_TIMEOUT_S,
            )
        except aiosmtplib.SMTPAuthenticationError as error:
            # Our own account's fault: an operator can put it right meanwhile.
            raise UnavailableError(f"smtp_login_{error.code}") from None
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal(error.recipients[0].code) from None
        except SMTPResponseException as error:
            raise _refusal(error.code) from None
        except (TimeoutError, aiosmtplib.SMTPTimeoutError):
            raise UnavailableError("timeout") from None
        except (SMTPException, OSError, ssl.SSLError):
            raise UnavailableError("smtp_connection") from None


def mail_of(outgoing: Outgoing, sender: str) -> EmailMessage:
    """Return the mail; its Message-ID is the telling's, the same in each attempt."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = outgoing.address
    mail["Subject"] = outgoing.notice.subject
    mail["Date"] = format_datetime(outgoing.created_at)
    mail["Message-ID"] = f"<{outgoing.id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answers, please
    mail.set_content(outgoing.notice.text)
    mail["Content-Language"] = outgoing.notice.language  # after the content, which clears these
    return mail


def _refusal(code: int) -> RefusedError | UnavailableError:
    """Return what a reply means: 5yz is for ever, everything else is not (RFC 5321, 4.2.1)."""
    return RefusedError(f"smtp_{code}") if code >= _FOR_EVER else UnavailableError(f"smtp_{code}")
