"""Identities never change: the same bytes have the same name in every release."""

from __future__ import annotations

from uuid import UUID

import pytest

from device_adapters.contract import identity

CUFF = "F0:A1:B2:C3:D4:E5"
MEASUREMENT = "00002a35-0000-1000-8000-00805f9b34fb"
RAW = bytes.fromhex("00780050005a00")
EPOCH = UUID("00000000-0000-4000-8000-00000000e90c")


# Both worked by RFC 4122, 4.3: SHA-1 over namespace and name, cut to 16 bytes, version 5.
def test_a_device_records_identity_stays_what_it_is() -> None:
    found = identity.of_device_record(CUFF, 0, MEASUREMENT, RAW)

    assert str(found) == "9073af3b-c157-5bfa-a545-2dce2bbf4b6e"


def test_a_gateway_numbers_identity_stays_what_it_is() -> None:
    assert str(identity.of_gateway_number(EPOCH, 41)) == "94a8405b-fdc7-5c02-8e6a-0fc8ca6284fc"


def test_a_digest_is_what_b2sum_makes_of_it() -> None:
    # printf abc | b2sum -l 64
    assert identity.digest(b"abc").hex() == "d8bb14d833d59559"


@pytest.mark.parametrize(
    "other",
    [
        ("F0:A1:B2:C3:D4:E6", 0, MEASUREMENT, RAW),
        (CUFF, 1, MEASUREMENT, RAW),
        (CUFF, 0, "00002a5e-0000-1000-8000-00805f9b34fb", RAW),
        (CUFF, 0, MEASUREMENT, RAW + b"\0"),
    ],
    ids=["device", "reset generation", "characteristic", "bytes"],
)
def test_everything_that_tells_records_apart_does(other: tuple[str, int, str, bytes]) -> None:
    assert identity.of_device_record(*other) != identity.of_device_record(
        CUFF, 0, MEASUREMENT, RAW
    )
