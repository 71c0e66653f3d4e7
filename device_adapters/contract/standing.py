"""How a gateway stands: its status, what is wrong with it since when, and what happened to it.

Nothing here names a patient or a value. What a gateway cannot know, the server concludes: that
the gateway itself is away, and that everything works and still nobody measured.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import msgspec

from device_adapters.contract.elements import Address, Detail, Id, Name, Percent, Time, decode

MAX_DEVICES: Final = 64
MAX_CONDITIONS: Final = 256

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Problem(StrEnum):
    """What can be wrong with a gateway, or with one of its devices."""

    DEVICE_NOT_SEEN = "device_not_seen"  # not heard for longer than the configuration allows
    DEVICE_REFUSED = "device_refused"  # heard, and did not let us in or not to the end
    BATTERY_LOW = "battery_low"  # the device's own
    CLOCK_UNTRUSTED = "clock_untrusted"  # the gateway's own is not synchronised
    QUEUE_GROWING = "queue_growing"  # records wait for longer than the configuration allows
    RADIO_DEAF = "radio_deaf"  # no adapter, no BlueZ, or nothing heard at all
    DISK_FULL = "disk_full"  # nothing new can be kept: devices are left alone meanwhile
    JOURNAL_DAMAGED = "journal_damaged"  # the file had to be set aside
    CERTIFICATE_ENDING = "certificate_ending"  # soon or already, and not renewed
    BROKER_REFUSES = "broker_refuses"  # certificate expired, revoked or unknown; detail says
    CONFIGURATION_REFUSED = "configuration_refused"  # the last good one goes on


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong, and since when.

    ``device_id`` is given for what is wrong with a device; ``detail`` is a sentence for whoever
    mends it.
    """

    kind: Problem
    since: Time
    device_id: Id | None = None
    detail: Detail | None = None


class DeviceStanding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a gateway last knew of one of its devices; absent means never.

    ``seen_at``: an advertisement was heard. ``visited_at``: a visit ended well, with or without
    records. ``given_at``: it gave a record that was new.
    """

    id: Id
    adapter: Id | None = None
    seen_at: Time | None = None
    visited_at: Time | None = None
    given_at: Time | None = None
    battery_percent: Percent | None = None
    battery_at: Time | None = None


class GatewayStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payload on ``status`` (retained; the last will is one with ``is_online`` false).

    ``at`` is the gateway's own time, right only where ``is_clock_synchronised``. Everything but
    ``is_online`` may be missing: a last will knows nothing else, and older releases said less.
    """

    is_online: bool
    at: Time | None = None
    software: Name | None = None
    channel: Id | None = None
    boot_id: UUID | None = None
    started_at: Time | None = None
    is_clock_synchronised: bool | None = None
    is_listening: bool | None = None
    epoch: UUID | None = None
    last_number: _Count | None = None
    undelivered: _Count | None = None
    oldest_undelivered_at: Time | None = None
    size_bytes: _Count | None = None
    configuration: _Count | None = None
    certificate_ends_at: Time | None = None
    conditions: Annotated[tuple[Condition, ...], msgspec.Meta(max_length=MAX_CONDITIONS)] = ()
    devices: Annotated[tuple[DeviceStanding, ...], msgspec.Meta(max_length=MAX_DEVICES)] = ()


class Happening(StrEnum):
    """What an event tells of."""

    STARTED = "started"
    STARTED_AFTER_UNCLEAN_STOP = "started_after_unclean_stop"
    STOPPED = "stopped"
    BEGAN = "began"  # a condition
    ENDED = "ended"  # a condition
    PAIRING_OPENED = "pairing_opened"
    PAIRING_CLOSED = "pairing_closed"
    PAIRED = "paired"
    PAIRING_REFUSED = "pairing_refused"
    CONFIGURED = "configured"
    JOURNAL_REPAIRED = "journal_repaired"
    FORGOTTEN_EARLY = "forgotten_early"  # delivered records went before their 30 days: no room
    CERTIFICATE_RENEWED = "certificate_renewed"


class GatewayEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payload on ``events``: one thing that happened, told at least once; ``id`` tells it apart.

    History only: what holds now, with its beginning, is in the status.
    """

    id: UUID
    at: Time
    is_clock_synchronised: bool
    kind: Happening
    condition: Problem | None = None
    device_id: Address | None = None
    detail: Detail | None = None


_STATUS: Final = msgspec.json.Decoder(GatewayStatus)
_EVENT: Final = msgspec.json.Decoder(GatewayEvent)


def decode_status(payload: bytes) -> GatewayStatus:
    """Return a gateway's status, or raise `ContractError`."""
    return decode(_STATUS, payload)


def decode_event(payload: bytes) -> GatewayEvent:
    """Return an event, or raise `ContractError`."""
    return decode(_EVENT, payload)
