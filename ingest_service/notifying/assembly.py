"""The senders of one installation, put together from its settings."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from ipaddress import ip_network

from ingest_service.notifying import sms
from ingest_service.notifying.credentials import Secrets
from ingest_service.notifying.mail import Mail, MailServer
from ingest_service.notifying.outgoing import Sender
from ingest_service.notifying.posting import Poster
from ingest_service.notifying.sms import GatewayError, Sms
from ingest_service.notifying.webhook import Webhook
from ingest_service.settings import JobsSettings, SettingsError


def senders(settings: JobsSettings) -> Mapping[str, Sender]:
    """Return a sender for each kind of channel that is configured.

    Raises:
        SettingsError: If a setting or a file that it names is wrong.
    """
    secrets = Secrets(settings.notification_secrets)
    context = _context(settings)
    poster = Poster(context, [ip_network(each) for each in settings.networks])
    found: dict[str, Sender] = {"webhook": Webhook(poster, secrets)}
    if settings.smtp_host is not None:
        if settings.smtp_from is None:
            raise SettingsError(
                "The setting HEMVITAL_INGEST_SMTP_FROM is missing, and a mail server is named."
            )
        server = MailServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            security=settings.smtp_security,
            sender=settings.smtp_from,
            user=settings.smtp_user,
            secret=settings.smtp_secret,
        )
        found["email"] = Mail(server, context, secrets)
    if settings.sms_gateway is not None:
        try:
            gateway = sms.read(settings.sms_gateway)
        except GatewayError as error:
            raise SettingsError(
                f"The file of the setting HEMVITAL_INGEST_SMS_GATEWAY is wrong: {error}."
            ) from error
        found["sms"] = Sms(gateway, poster, secrets)
    return found


def _context(settings: JobsSettings) -> ssl.SSLContext:
    """Return what decides whom to trust: the system's authorities, and the region's own."""
    context = ssl.create_default_context()
    if settings.notification_authority is not None:
        try:
            context.load_verify_locations(settings.notification_authority)
        except OSError as error:  # ssl.SSLError is one
            raise SettingsError(
                "The file of the setting HEMVITAL_INGEST_NOTIFICATION_AUTHORITY cannot be used: "
                f"{type(error).__name__}."
            ) from error
    return context
