"""What the server tells a gateway to do: which devices, how to listen, when it may pair.

Retained on ``config``. Only services may write there, over mutual TLS; the version only rises, so
that an older one that comes again changes nothing. A gateway that cannot use one says so
(`Problem.CONFIGURATION_REFUSED`) and keeps the last good one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from device_adapters.contract.elements import Address, Id, Percent, Time, decode
from device_adapters.contract.standing import MAX_DEVICES

#: However long a window is asked for, no gateway keeps it open for longer.
MAX_PAIRING_S: Final = 30 * 60

_Hours = Annotated[int, msgspec.Meta(ge=1, le=24 * 90)]
_Minutes = Annotated[int, msgspec.Meta(ge=1, le=24 * 60)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=3600)]


class ScanMode(StrEnum):
    """How the radio listens: ``passive`` sends nothing itself, and hears no device's name."""

    ACTIVE = "active"
    PASSIVE = "passive"


class AssignedDevice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A device that stands in this home; ``adapter`` where the server knows what serves it."""

    id: Address
    adapter: Id | None = None


class GatewayConfiguration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payload on ``config``.

    ``devices``: the only ones to talk to, maybe none; absent, any that an adapter serves.
    ``pairing_until``: until then, and for at most `MAX_PAIRING_S`, devices may pair: a window that
    a person opened; outside it none does, configured or not. ``rest_s``: readings of one device
    that follow each other sooner are marked as too close. The last three say from when on the
    gateway speaks of a device that is not seen, of a queue that grows, of a battery that is low.
    """

    version: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    issued_at: Time
    devices: Annotated[tuple[AssignedDevice, ...], msgspec.Meta(max_length=MAX_DEVICES)] | None = (
        None
    )
    pairing_until: Time | None = None
    scan_mode: ScanMode = ScanMode.ACTIVE
    channel: Id = "stable"
    rest_s: _Seconds = 60
    not_seen_after_h: _Hours = 72
    queue_growing_after_min: _Minutes = 60
    battery_low_percent: Percent = 20


_CONFIGURATION: Final = msgspec.json.Decoder(GatewayConfiguration)


def decode_configuration(payload: bytes) -> GatewayConfiguration:
    """Return a configuration, or raise `ContractError`."""
    return decode(_CONFIGURATION, payload)
