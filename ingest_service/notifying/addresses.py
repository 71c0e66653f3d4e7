"""Where notifications may go: no address inside our own network unless a setting names it.

Whoever may add a channel must not be able to make the server talk to its neighbours. The name is
looked up here, its addresses are judged, and the connection goes to a judged one: a name that
answers otherwise the second time gains nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from email.headerregistry import Address
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

import httpx

from ingest_service.notifying.errors import RefusedError, UnavailableError

Network = IPv4Network | IPv6Network
Ip = IPv4Address | IPv6Address

_NAT64: Final = IPv6Network("64:ff9b::/96")
_MOST_ADDRESSES: Final = 4
_LAST_PORT: Final = 65_535
_TELEPHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")  # E.164
_MAILBOX: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")


class AddressError(ValueError):
    """An address that no channel can have; the text says why, without the address."""


def check(kind: str, address: str) -> None:
    """Refuse an address that can never work for this kind of channel.

    Raises:
        AddressError: In one sentence.
    """
    if kind == "sms":
        if not _TELEPHONE.fullmatch(address):
            raise AddressError("A telephone number is written +46701234567 (E.164).")
    elif kind == "email":
        try:
            Address(addr_spec=address)
        except (ValueError, IndexError) as error:  # what the standard library raises for these
            raise AddressError("That is no e-mail address.") from error
        if not _MAILBOX.fullmatch(address):
            raise AddressError("An e-mail address is written name@example.org, in ASCII.")
    else:
        url_of(address)


def url_of(address: str) -> httpx.URL:
    """Return an address as a URL.

    Raises:
        AddressError: If it is not https, has no host, or carries a password or a fragment.
    """
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, ValueError) as error:  # idna's are ValueErrors
        raise AddressError("That is no URL.") from error
    if url.scheme != "https":
        raise AddressError("A URL must begin with https://.")
    if url.port is not None and not 0 < url.port <= _LAST_PORT:
        raise AddressError("A URL's port lies between 1 and 65535.")
    if not url.host or url.userinfo or url.fragment:
        raise AddressError("A URL needs a host, and no user, password or fragment.")
    return url


async def resolve(url: httpx.URL, allowed: Sequence[Network]) -> Sequence[Ip]:
    """Return addresses of a URL's host that may be connected to.

    Raises:
        RefusedError: If it has none that is public or within ``allowed``.
        UnavailableError: If the name has no address now.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            url.host, url.port or 443, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError):
        raise UnavailableError("name_unknown") from None
    ips = dict.fromkeys(ip_address(str(at[0]).partition("%")[0]) for *_, at in found)
    good = [one for one in ips if is_allowed(one, allowed)]
    if not good:
        raise RefusedError("address_not_allowed")
    return good[:_MOST_ADDRESSES]


def is_allowed(ip: Ip, allowed: Sequence[Network]) -> bool:
    """Tell whether an address is public, in whatever it is wrapped, or is allowed by a setting."""
    inner = _unwrapped(ip)
    if any(inner.version == each.version and inner in each for each in allowed):
        return True
    return inner.is_global and not inner.is_multicast


def _unwrapped(ip: Ip) -> Ip:
    """Return the IPv4 address that an IPv6 one leads to, if it is such a one."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip.teredo is not None:
        return ip.teredo[1]
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
