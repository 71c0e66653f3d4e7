"""Why nothing comes of a device: what is known, in the order in which it explains the silence.

What stands nearer to us hides what lies behind it: of a gateway that is away nobody knows whether
it hears its devices. That a patient did not measure is concluded only where everything else is
known to work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from device_adapters.contract.standing import DeviceStanding, GatewayStatus, Problem

#: A gateway says how it stands every minute; two may be lost.
OFFLINE_AFTER: Final = timedelta(minutes=3)
#: Where its configuration says nothing else.
NOT_SEEN_AFTER: Final = timedelta(hours=72)
#: The jobs leave their sign every quarter of a minute.
DEAF_AFTER: Final = timedelta(minutes=1)


class Cause(StrEnum):
    """What explains silence, nearest first."""

    SERVER_DEAF = "server_deaf"  # we ourselves do not listen, or not for long enough
    NEVER_CONNECTED = "never_connected"
    CERTIFICATE = "certificate"  # away, and its certificate has ended or is refused
    GATEWAY_OFFLINE = "gateway_offline"
    DISK_FULL = "disk_full"
    RADIO_DEAF = "radio_deaf"
    QUEUE_GROWING = "queue_growing"  # readings wait at the gateway
    DEVICE_REFUSED = "device_refused"
    CLOCK_UNTRUSTED = "clock_untrusted"
    NOT_TOLD = "not_told"  # the gateway's software says too little to conclude anything
    BATTERY_LOW = "battery_low"
    DEVICE_NOT_SEEN = "device_not_seen"
    DID_NOT_MEASURE = "did_not_measure"


_NEARNESS: Final = {cause: place for place, cause in enumerate(Cause)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One cause, and since when; without ``since`` nobody knows.

    ``is_since_trusted`` is false where the time rests on a gateway's clock that was not right.
    ``detail`` is the gateway's own sentence.
    """

    cause: Cause
    since: datetime | None = None
    is_since_trusted: bool = True
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """A condition of a gateway, or with ``device_id`` of a device, that has not ended."""

    kind: str
    since: datetime
    is_since_trusted: bool = True
    device_id: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What is known of a gateway.

    ``is_online`` is what it, or the broker for it, said last, ``heard_at`` when, ``changed_at``
    since when; all are absent where it never said anything. ``said`` is its last status while it
    was online. ``listening_since`` and ``listened_at`` tell of our own ears.
    """

    is_online: bool | None = None
    heard_at: datetime | None = None
    changed_at: datetime | None = None
    said: GatewayStatus | None = None
    wrong: tuple[Wrong, ...] = ()
    listening_since: datetime | None = None
    listened_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentDevice:
    """A device of which nothing comes: assigned and last measured when."""

    id: str
    assigned_since: datetime | None = None
    last_reading_at: datetime | None = None


def of_gateway(gateway: Gateway, *, now: datetime) -> tuple[Explanation, ...]:
    """Return what keeps a gateway's readings from us, the nearest cause first; maybe nothing."""
    if deaf := _our_deafness(gateway, now):
        return deaf
    if gateway.is_online is False:
        away = Explanation(cause=Cause.GATEWAY_OFFLINE, since=gateway.changed_at)
        return (*_certificate(gateway, now), away)
    if gateway.is_online is None or gateway.heard_at is None:
        return _unheard(gateway, now) or (Explanation(cause=Cause.NEVER_CONNECTED),)
    if now - gateway.heard_at > OFFLINE_AFTER:
        away = Explanation(cause=Cause.GATEWAY_OFFLINE, since=gateway.heard_at)
        return _unheard(gateway, now) or (*_certificate(gateway, now), away)
    return tuple(_ordered(_of_present(gateway)))


def of_device(
    gateway: Gateway,
    device: SilentDevice,
    *,
    now: datetime,
    not_seen_after: timedelta = NOT_SEEN_AFTER,
) -> tuple[Explanation, ...]:
    """Return why nothing comes of a device; the first explains the silence, the others stand by.

    Args:
        gateway: Of the home that the device stands in.
        device: Which one.
        now: The time it is.
        not_seen_after: How long it may be unheard: a cuff is only heard when it is used.

    Returns:
        At least one. `Cause.DID_NOT_MEASURE` stands alone: everything else is known to work.
    """
    found = of_gateway(gateway, now=now)
    if found and found[0].cause in _BLINDING:
        return found
    found = tuple(_ordered((*found, *_of_device(gateway, device, now, not_seen_after))))
    if found:
        return found
    since = device.last_reading_at or device.assigned_since
    return (Explanation(cause=Cause.DID_NOT_MEASURE, since=since),)


def is_chain_whole(
    gateway: Gateway,
    device: SilentDevice,
    *,
    now: datetime,
    not_seen_after: timedelta = NOT_SEEN_AFTER,
) -> bool:
    """Tell whether a reading of this device would have reached us: only then one was missed."""
    why = of_device(gateway, device, now=now, not_seen_after=not_seen_after)
    return why[0].cause is Cause.DID_NOT_MEASURE


_BLINDING: Final = frozenset(
    {Cause.SERVER_DEAF, Cause.NEVER_CONNECTED, Cause.CERTIFICATE, Cause.GATEWAY_OFFLINE}
)
_OF_GATEWAY: Final = {
    Problem.DISK_FULL: Cause.DISK_FULL,
    Problem.RADIO_DEAF: Cause.RADIO_DEAF,
    Problem.QUEUE_GROWING: Cause.QUEUE_GROWING,
    Problem.CLOCK_UNTRUSTED: Cause.CLOCK_UNTRUSTED,
}
_OF_DEVICE: Final = {
    Problem.DEVICE_REFUSED: Cause.DEVICE_REFUSED,
    Problem.BATTERY_LOW: Cause.BATTERY_LOW,
    Problem.DEVICE_NOT_SEEN: Cause.DEVICE_NOT_SEEN,
}


def _our_deafness(gateway: Gateway, now: datetime) -> tuple[Explanation, ...]:
    """Tell that we do not listen ourselves: then nothing is known of anybody."""
    if gateway.listened_at is None or now - gateway.listened_at > DEAF_AFTER:
        return (Explanation(cause=Cause.SERVER_DEAF, since=gateway.listened_at),)
    return ()


def _unheard(gateway: Gateway, now: datetime) -> tuple[Explanation, ...]:
    """Tell that a gateway has not had the time to say anything since we listen."""
    if gateway.listening_since is None or now - gateway.listening_since <= OFFLINE_AFTER:
        return (Explanation(cause=Cause.SERVER_DEAF, since=gateway.heard_at),)
    return ()


def _certificate(gateway: Gateway, now: datetime) -> tuple[Explanation, ...]:
    ends_at = gateway.said.certificate_ends_at if gateway.said else None
    if ends_at is not None and ends_at <= now:
        return (Explanation(cause=Cause.CERTIFICATE, since=ends_at),)
    return tuple(
        _explanation(Cause.CERTIFICATE, one)
        for one in gateway.wrong
        if one.kind == Problem.BROKER_REFUSES
    )[:1]


def _of_present(gateway: Gateway) -> Iterable[Explanation]:
    """Yield what a gateway that is there says is wrong with itself."""
    for one in gateway.wrong:
        if one.device_id is None and one.kind in _OF_GATEWAY:
            yield _explanation(_OF_GATEWAY[Problem(one.kind)], one)
    said, since = gateway.said, gateway.changed_at
    if said is None:
        yield Explanation(cause=Cause.NOT_TOLD, since=since)
        return
    is_right = said.is_clock_synchronised is True
    if said.is_listening is False:
        yield Explanation(cause=Cause.RADIO_DEAF)
    if said.undelivered:
        yield Explanation(
            cause=Cause.QUEUE_GROWING,
            since=said.oldest_undelivered_at,
            is_since_trusted=is_right,
        )
    if said.is_clock_synchronised is False:
        yield Explanation(cause=Cause.CLOCK_UNTRUSTED)
    if None in (said.is_listening, said.undelivered, said.is_clock_synchronised):
        yield Explanation(cause=Cause.NOT_TOLD, since=since)


def _of_device(
    gateway: Gateway, device: SilentDevice, now: datetime, not_seen_after: timedelta
) -> Iterable[Explanation]:
    for one in gateway.wrong:
        if one.device_id == device.id and one.kind in _OF_DEVICE:
            yield _explanation(_OF_DEVICE[Problem(one.kind)], one)
    heard_at = _heard(gateway, device.id)
    latest = max(
        (time for time in (heard_at, device.assigned_since, device.last_reading_at) if time),
        default=None,
    )
    if latest is None or now - latest > not_seen_after:
        yield Explanation(cause=Cause.DEVICE_NOT_SEEN, since=latest)


def _heard(gateway: Gateway, device_id: str) -> datetime | None:
    standing: tuple[DeviceStanding, ...] = gateway.said.devices if gateway.said else ()
    for one in standing:
        if one.id == device_id:
            return one.seen_at
    return None


def _explanation(cause: Cause, one: Wrong) -> Explanation:
    return Explanation(
        cause=cause,
        since=one.since,
        is_since_trusted=one.is_since_trusted,
        detail=one.detail,
    )


def _ordered(found: Iterable[Explanation]) -> list[Explanation]:
    """Return each cause once, as it was found first, the nearest before the others."""
    by_cause: dict[Cause, Explanation] = {}
    for one in found:
        by_cause.setdefault(one.cause, one)
    return sorted(by_cause.values(), key=lambda one: _NEARNESS[one.cause])
