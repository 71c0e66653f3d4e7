"""Where notifications may go: nowhere inside, in whatever an address is wrapped."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import httpx
import pytest

from ingest_service.notifying import addresses
from ingest_service.notifying.addresses import AddressError
from ingest_service.notifying.errors import RefusedError, UnavailableError


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        # IANA IPv4 and IPv6 special-purpose address registries; RFC 1918, 3927, 4193, 6598.
        ("8.8.8.8", True),
        ("2a00:1450:400f:80c::200e", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address that is refused
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),  # where clouds keep their machines' credentials
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff0e::1", False),
        # The same inside something else: mapped, 6to4 (RFC 3056), Teredo (4380), NAT64 (6052).
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("2002:7f00:0001::", False),
        ("2002:0a00:0001::1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::808:808", True),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", False),  # Teredo of 10.0.0.1
    ],
)
def test_only_public_addresses(address: str, *, is_allowed: bool) -> None:
    assert addresses.is_allowed(ip_address(address), ()) == is_allowed


def test_a_setting_opens_one_network_and_no_other() -> None:
    allowed = (ip_network("10.1.0.0/16"),)

    assert addresses.is_allowed(ip_address("10.1.2.3"), allowed)
    assert addresses.is_allowed(ip_address("::ffff:10.1.2.3"), allowed)
    assert not addresses.is_allowed(ip_address("10.2.0.1"), allowed)
    assert not addresses.is_allowed(ip_address("::1"), allowed)


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("webhook", "https://hooks.example.org/larm"),
        ("webhook", "https://hooks.example.org:8443/"),
        ("email", "larm@example.org"),
        ("email", "larm+hemvital@sub.example.org"),
        ("sms", "+46701740605"),
    ],
)
def test_addresses_that_may_work(kind: str, address: str) -> None:
    addresses.check(kind, address)


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("webhook", "http://hooks.example.org/"),
        ("webhook", "ftp://hooks.example.org/"),
        ("webhook", "file:///etc/passwd"),
        ("webhook", "https://"),
        ("webhook", "https://user:word@hooks.example.org/"),
        ("webhook", "https://hooks.example.org/#part"),
        ("webhook", "https://hooks.example.org:99999/"),
        ("webhook", "https://[::1/"),
        ("webhook", "hooks.example.org"),
        ("webhook", "https://hooks.example.org/\r\nX: y"),
        ("webhook", "https://xn--a.example.org\udc00/"),
        ("webhook", ""),
        ("email", "larm"),
        ("email", "larm@"),
        ("email", "larm@example.org\r\nBcc: x@example.org"),
        ("email", "Larm <larm@example.org>"),
        ("email", "larm@example.org, x@example.org"),
        ("email", "lärm@example.org"),
        ("email", ""),
        ("sms", "0701740605"),
        ("sms", "+46 70 174 06 05"),
        ("sms", "+467017406051234567"),
        ("sms", "+46701740605\n"),
        ("sms", "+٤٦٧٠١٧٤٠٦٠٥"),
        ("sms", ""),
    ],
)
def test_addresses_that_never_work_are_refused_without_being_repeated(
    kind: str, address: str
) -> None:
    with pytest.raises(AddressError) as refused:
        addresses.check(kind, address)

    assert len(address) < 6 or address not in str(refused.value)


async def test_a_name_for_this_machine_is_refused() -> None:
    with pytest.raises(RefusedError, match="address_not_allowed"):
        await addresses.resolve(httpx.URL("https://localhost/"), ())


async def test_a_literal_inner_address_is_refused() -> None:
    for host in ("127.1", "[::ffff:7f00:1]", "0x7f000001", "2130706433"):
        with pytest.raises((RefusedError, UnavailableError)):
            await addresses.resolve(httpx.URL(f"https://{host}/"), ())
