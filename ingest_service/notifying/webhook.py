"""Webhooks: a signed JSON object to a URL.

Signed after Standard Webhooks 1.0, whose libraries receivers can use: HMAC-SHA256 over id, time
and body with a shared secret, several signatures while a secret is being renewed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Final

from ingest_service.notifying.credentials import Secrets
from ingest_service.notifying.errors import UnavailableError
from ingest_service.notifying.outgoing import Outgoing
from ingest_service.notifying.posting import Poster

_TYPE: Final = "hemvital.notification"
_PREFIX: Final = "whsec_"
_LEAST_KEY_BYTES: Final = 24  # the specification's own bound
_MOST_KEYS: Final = 3


class Webhook:
    """Sends to the channel's URL, signed with the channel's secret."""

    def __init__(self, poster: Poster, secrets: Secrets) -> None:
        self._poster = poster
        self._secrets = secrets

    async def send(self, outgoing: Outgoing) -> None:
        """Post the notification; every 2xx means that it was taken.

        Raises:
            DeliveryError: If it was not.
        """
        keys = keys_of(self._secrets.read(outgoing.secret or ""))
        body = body_of(outgoing)
        at = int(outgoing.at.timestamp())
        await self._poster.post(
            outgoing.address,
            body,
            {
                "content-type": "application/json",
                "user-agent": "Hemvital",
                "idempotency-key": str(outgoing.id),
                "webhook-id": str(outgoing.id),
                "webhook-timestamp": str(at),
                "webhook-signature": " ".join(
                    signature(key, str(outgoing.id), at, body) for key in keys
                ),
            },
            now=outgoing.at,
        )


def body_of(outgoing: Outgoing) -> bytes:
    """Return the JSON object that is sent, in UTF-8: the same in each attempt."""
    return json.dumps(
        {
            "type": _TYPE,
            "timestamp": outgoing.created_at.isoformat(),
            "data": {
                "id": str(outgoing.id),
                "kind": outgoing.kind,
                "recipient": outgoing.recipient,
                "priority": outgoing.priority,
                "reference": outgoing.reference,
                "text": outgoing.notice.text,
                "language": outgoing.notice.language,
                "link": outgoing.link,
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def keys_of(secret: str) -> list[bytes]:
    """Return the keys that a secret's lines hold, newest first, as ``whsec_`` and base64.

    Raises:
        UnavailableError: If a line is something else, or a key shorter than 24 bytes.
    """
    lines = secret.split()
    try:
        keys = [base64.b64decode(line.removeprefix(_PREFIX), validate=True) for line in lines]
    except binascii.Error:
        raise UnavailableError("secret_unusable") from None
    if not 0 < len(keys) <= _MOST_KEYS or any(len(key) < _LEAST_KEY_BYTES for key in keys):
        raise UnavailableError("secret_unusable")
    return keys


def signature(key: bytes, notification_id: str, at: int, body: bytes) -> str:
    """Return one signature as the header has it.

    Source:
        Standard Webhooks 1.0, "Signature scheme": ``v1,`` and the base64 of HMAC-SHA256 over id,
        Unix time and body, with a full stop between.
    """
    content = b".".join((notification_id.encode(), str(at).encode(), body))
    return f"v1,{base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()}"
