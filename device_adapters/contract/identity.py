"""Identity of a device record, fixed where it is read (docs/adr/0004)."""

from __future__ import annotations

import hashlib
from typing import Final
from uuid import UUID, uuid5

_DEVICE_RECORD: Final = UUID("6f3c3c2e-5d0b-5c1f-9c39-0b1d52f0a5a1")
_GATEWAY_NUMBER: Final = UUID("b1f7d1c4-90c5-5a0e-8a54-3a4f7c0f2f6d")


def of_device_record(
    device_id: str, reset_generation: int, characteristic: str, raw: bytes
) -> UUID:
    """Return the identity of a record that carries a trustworthy time or number of its own.

    It rests on the raw bytes and never on decoded values, so a mended codec changes no identity,
    and the same stored record is one record over two connections and over two gateways.

    Args:
        device_id: Stable identity of the device.
        reset_generation: How often the device is known to have lost its clock or counter.
        characteristic: UUID of the characteristic that gave the bytes, lower case.
        raw: The record's bytes as received.
    """
    return uuid5(_DEVICE_RECORD, f"{device_id}|{reset_generation}|{characteristic}|{raw.hex()}")


def of_gateway_number(epoch: UUID, journal_number: int) -> UUID:
    """Return the identity of a record that carries nothing of its own to tell it by."""
    return uuid5(_GATEWAY_NUMBER, f"{epoch}|{journal_number}")


def digest(record: bytes) -> bytes:
    """Return eight bytes that tell whether two records sent under one number are the same."""
    return hashlib.blake2b(record, digest_size=8).digest()
