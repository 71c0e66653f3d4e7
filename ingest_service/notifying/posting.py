"""One HTTPS request to somebody else's server, which may be broken or wicked."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from ingest_service.notifying import addresses
from ingest_service.notifying.addresses import AddressError, Ip, Network
from ingest_service.notifying.errors import RefusedError, UnavailableError

# These libraries' own lines hold URLs at INFO and headers at DEBUG: what somebody keeps secret.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0

# Of all that a client can do wrong, what is over by itself.
_TEMPORARY: Final = frozenset({408, 425, 429})
_SUCCESS: Final = 2  # first digits
_REDIRECT: Final = 3
_SERVERS_FAULT: Final = 500
_LONGEST_DATE: Final = 40


class Poster:
    """Sends bodies to URLs, each over a connection of its own to an address that was judged."""

    def __init__(self, context: ssl.SSLContext, networks: Sequence[Network]) -> None:
        self._context = context
        self._networks = networks

    async def post(
        self,
        address: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        now: datetime,
        method: str = "POST",
        successes: Sequence[int] | None = None,
    ) -> None:
        """Send a body; what is answered beyond the status and the headers is not read.

        Args:
            address: An https URL.
            body: What to send.
            headers: With its content type.
            now: The time it is, for a Retry-After that names a date.
            method: POST or PUT.
            successes: The statuses that mean "taken"; without, every 2xx.

        Raises:
            DeliveryError: If the other side did not take it.
        """
        try:
            url = addresses.url_of(address)
        except AddressError:
            raise RefusedError("address_unusable") from None
        ips = await addresses.resolve(url, self._networks)
        status, wish = await self._status(method, url, ips, body, headers)
        _judge(status, wish, successes, now)

    async def _status(
        self,
        method: str,
        url: httpx.URL,
        ips: Sequence[Ip],
        body: bytes,
        headers: Mapping[str, str],
    ) -> tuple[int, str | None]:
        cause = "connection"
        for ip in ips:
            try:
                return await self._ask(method, url, ip, body, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                cause = "certificate" if _is_certificate(error) else "connection"
            except httpx.TimeoutException:
                raise UnavailableError("timeout") from None
            except httpx.HTTPError:
                # It may have got it and been cut off while it answered: it knows it by its key.
                raise UnavailableError("broken_answer") from None
        raise UnavailableError(cause)

    async def _ask(
        self, method: str, url: httpx.URL, ip: Ip, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, str | None]:
        async with (
            httpx.AsyncClient(
                verify=self._context,
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            ) as client,
            client.stream(
                method,
                url.copy_with(host=str(ip)),
                content=body,
                headers={**headers, "host": url.netloc.decode("ascii")},
                extensions={"sni_hostname": url.host},  # the certificate must be the name's
            ) as answer,
        ):
            return answer.status_code, answer.headers.get("retry-after")


def is_success(status: int) -> bool:
    """Tell whether a status is a 2xx."""
    return status // 100 == _SUCCESS


def _judge(status: int, wish: str | None, successes: Sequence[int] | None, now: datetime) -> None:
    if status in successes if successes is not None else is_success(status):
        return
    # A 2xx that was not agreed on may mean "taken" or not: better twice than not at all.
    if status in _TEMPORARY or status >= _SERVERS_FAULT or is_success(status):
        raise UnavailableError(f"http_{status}", retry_after_s=_seconds(wish, now))
    raise RefusedError("redirect" if status // 100 == _REDIRECT else f"http_{status}")


def _seconds(wish: str | None, now: datetime) -> float | None:
    """Return how long a Retry-After asks to wait; nothing where it makes no sense."""
    if wish is None or len(wish) > _LONGEST_DATE:
        return None
    if wish.isascii() and wish.isdigit():
        return float(wish[:9])
    try:
        at = parsedate_to_datetime(wish)
    except ValueError:
        return None
    return max(0.0, (at - now).total_seconds()) if at.tzinfo is not None else None


def _is_certificate(error: BaseException | None) -> bool:
    """Tell whether a failed connection failed over the certificate, for whoever must repair it."""
    for _ in range(5):
        if error is None or isinstance(error, ssl.SSLError):
            break
        error = error.__cause__ or error.__context__
    return isinstance(error, ssl.SSLError)
