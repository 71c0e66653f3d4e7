"""SMS through a provider's HTTP interface, whichever it is: a template says how it is asked."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import urlencode

import msgspec

from ingest_service.notifying import addresses
from ingest_service.notifying.addresses import AddressError
from ingest_service.notifying.credentials import NAME, Secrets
from ingest_service.notifying.outgoing import Outgoing
from ingest_service.notifying.posting import Poster, is_success

_PLACE: Final = re.compile(r"\{(to|text|from|key)\}")
_MOST_BYTES: Final = 65_536


class GatewayError(ValueError):
    """The template is wrong; the text says where, and repeats nothing of it."""


class Basic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="basic"):
    """User name and the name of its secret."""

    user: str
    secret: str


class Bearer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="bearer"):
    """A token, by the name of its secret."""

    secret: str


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="header"):
    """A header of the provider's own, by the name of its secret."""

    name: str
    secret: str


class SmsGateway(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a provider is asked to send one SMS.

    In every text of ``fields`` stand ``{to}``, ``{text}``, ``{from}`` and ``{key}`` for what they
    say; ``key`` is the telling's id. ``success`` are the statuses that mean "taken".
    """

    url: str
    encoding: Literal["form", "json"]
    fields: dict[str, object]
    sender: str = msgspec.field(name="from")
    authentication: Basic | Bearer | Header
    method: Literal["POST", "PUT"] = "POST"
    success: tuple[int, ...] = (200, 201, 202)


def read(file: Path) -> SmsGateway:
    """Return the template in a file.

    Raises:
        GatewayError: If there is none or it is wrong.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise GatewayError(f"cannot be read: {type(error).__name__}") from error
    if len(content) > _MOST_BYTES:
        raise GatewayError(f"is larger than {_MOST_BYTES} bytes")
    try:
        gateway = msgspec.json.decode(content, type=SmsGateway)
    except msgspec.MsgspecError as error:
        raise GatewayError(str(error)) from error
    _check(gateway)
    return gateway


class Sms:
    """Sends through one provider."""

    def __init__(self, gateway: SmsGateway, poster: Poster, secrets: Secrets) -> None:
        self._gateway = gateway
        self._poster = poster
        self._secrets = secrets

    async def send(self, outgoing: Outgoing) -> None:
        """Ask the provider to send; whether the telephone got it, it does not tell us.

        Raises:
            DeliveryError: If the provider did not take it.
        """
        body, content_type = self._body(outgoing)
        await self._poster.post(
            self._gateway.url,
            body,
            {
                "content-type": content_type,
                "accept": "application/json",
                "user-agent": "Hemvital",
                "idempotency-key": str(outgoing.id),
                **self._authentication(),
            },
            now=outgoing.at,
            method=self._gateway.method,
            successes=self._gateway.success,
        )

    def _body(self, outgoing: Outgoing) -> tuple[bytes, str]:
        facts = {
            "to": outgoing.address,
            "text": outgoing.notice.text,
            "from": self._gateway.sender,
            "key": str(outgoing.id),
        }
        filled = {name: _filled(value, facts) for name, value in self._gateway.fields.items()}
        if self._gateway.encoding == "form":
            return urlencode(filled).encode(), "application/x-www-form-urlencoded"
        return json.dumps(filled, ensure_ascii=False).encode(), "application/json"

    def _authentication(self) -> Mapping[str, str]:
        how = self._gateway.authentication
        secret = self._secrets.read(how.secret)
        match how:
            case Basic():
                account = base64.b64encode(f"{how.user}:{secret}".encode()).decode()
                return {"authorization": f"Basic {account}"}
            case Bearer():
                return {"authorization": f"Bearer {secret}"}
            case Header():
                return {how.name: secret}


def _filled(template: object, facts: Mapping[str, str]) -> object:
    """Return the template with facts in their places, and no places in a fact filled."""
    if isinstance(template, str):
        return _PLACE.sub(lambda place: facts[place[1]], template)
    # Both casts are safe: it was decoded from JSON.
    if isinstance(template, dict):
        members = cast("dict[str, object]", template)
        return {name: _filled(value, facts) for name, value in members.items()}
    if isinstance(template, list):
        return [_filled(value, facts) for value in cast("list[object]", template)]
    return template


def _check(gateway: SmsGateway) -> None:
    try:
        addresses.url_of(gateway.url)
    except AddressError as error:
        raise GatewayError(f"{error} - at `$.url`") from error
    text = json.dumps(gateway.fields)
    for place in ("{to}", "{text}"):
        if place not in text:
            raise GatewayError(f"the fields have no place for {place} - at `$.fields`")
    if gateway.encoding == "form" and not all(
        isinstance(value, str) for value in gateway.fields.values()
    ):
        raise GatewayError("a form's fields are texts - at `$.fields`")
    how = gateway.authentication
    if not NAME.fullmatch(how.secret):
        raise GatewayError("that is no name of a secret - at `$.authentication.secret`")
    if isinstance(how, Header) and not re.fullmatch(r"[A-Za-z0-9-]{1,64}", how.name):
        raise GatewayError("that is no name of a header - at `$.authentication.name`")
    if not gateway.success or not all(map(is_success, gateway.success)):
        raise GatewayError("successes lie between 200 and 299 - at `$.success`")
