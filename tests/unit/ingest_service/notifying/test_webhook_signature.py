"""Signatures as receivers' own libraries make them."""

from __future__ import annotations

import base64

import pytest

from ingest_service.notifying import webhook
from ingest_service.notifying.errors import UnavailableError


def test_the_reference_libraries_vector() -> None:
    # Standard Webhooks' reference libraries (standard-webhooks/standard-webhooks), and Svix's
    # before them, test `sign` with these.
    [key] = webhook.keys_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    signed = webhook.signature(
        key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_lines_are_two_keys_while_one_is_being_renewed() -> None:
    old, new = (base64.b64encode(bytes([n] * 24)).decode() for n in (1, 2))

    assert webhook.keys_of(f"whsec_{new}\nwhsec_{old}\n") == [b"\2" * 24, b"\1" * 24]


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "not base64 at all!",
        "whsec_" + base64.b64encode(b"\1" * 23).decode(),  # Standard Webhooks: 24 to 64 bytes
        "whsec_" + "\n".join([base64.b64encode(b"\1" * 24).decode()] * 4),
    ],
)
def test_what_is_no_key_is_not_signed_with(secret: str) -> None:
    with pytest.raises(UnavailableError, match="secret_unusable"):
        webhook.keys_of(secret)
