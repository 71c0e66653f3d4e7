"""``hemvital-ingest gateways``: how they stand, and what they are told to do."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec

from device_adapters.contract.configuration import ScanMode, decode_configuration
from device_adapters.contract.elements import ContractError
from ingest_service import configuring, gateways
from ingest_service.alerts.silence import NOT_SEEN_AFTER, Cause, Explanation
from ingest_service.commands.database import (
    FAILED,
    OK,
    Clock,
    Commands,
    as_ingest,
    as_operator,
    plain,
)
from ingest_service.configuring import MOST_PAIRING_MIN, Change
from ingest_service.gateways import ShownDevice, ShownGateway
from ingest_service.store import configurations, standing
from ingest_service.store.connections import Connection

_MOST_PAST: Final = 20

#: What each cause is called, and what it means for whoever reads it.
WORDS: Final = {
    Cause.SERVER_DEAF: "not known: this server does not hear gateways, or has only begun to",
    Cause.NEVER_CONNECTED: "has never connected",
    Cause.CERTIFICATE: "gateway offline: its certificate has ended or is refused",
    Cause.GATEWAY_OFFLINE: "gateway offline",
    Cause.DISK_FULL: "the gateway's disk is full: devices are left alone",
    Cause.RADIO_DEAF: "the gateway's radio hears nothing",
    Cause.QUEUE_GROWING: "readings wait at the gateway",
    Cause.DEVICE_REFUSED: "device seen but refused",
    Cause.CLOCK_UNTRUSTED: "the gateway's clock is not trusted",
    Cause.NOT_TOLD: "not known: the gateway's software says too little",
    Cause.BATTERY_LOW: "battery low",
    Cause.DEVICE_NOT_SEEN: "device not seen",
    Cause.DID_NOT_MEASURE: "patient did not measure",
}
_VALUES: Final = {
    "scan_mode": "scan",
    "channel": "channel",
    "rest_s": "rest_s",
    "not_seen_after_h": "not_seen_after_h",
    "queue_growing_after_min": "queue_growing_after_min",
    "battery_low_percent": "battery_low_percent",
}


def add(commands: Commands, clock: Clock) -> None:
    """Add ``gateways`` and what can be done with it; no patient is named."""
    about = "Look at how gateways stand, and tell them what to do."
    parser = commands.add_parser("gateways", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="list|show|configure")
    every = within.add_parser("list", help="Every gateway, and what keeps its readings from us.")
    every.add_argument("--json", action="store_true", help="one JSON object a line")
    every.set_defaults(run=partial(_list, clock))
    show = within.add_parser("show", help="One gateway with its devices and what happened.")
    show.add_argument("id")
    show.add_argument("--json", action="store_true", help="one JSON object")
    show.set_defaults(run=partial(_show, clock))
    _add_configure(
        within.add_parser(
            "configure", help="Make a gateway's next configuration; what is not given stays."
        ),
        clock,
    )


def _add_configure(parser: argparse.ArgumentParser, clock: Clock) -> None:
    parser.add_argument("id")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--device",
        action="append",
        metavar="ADDRESS",
        help="a Bluetooth address to talk to, and no other than those given",
    )
    which.add_argument(
        "--from-assignments",
        action="store_true",
        help="those that stand with this gateway and that somebody has, now and in future",
    )
    which.add_argument(
        "--any-device", action="store_true", help="whatever an installed adapter serves"
    )
    parser.add_argument(
        "--pairing-minutes",
        type=int,
        metavar="N",
        help=f"open a pairing window for up to {MOST_PAIRING_MIN} minutes; 0 closes it",
    )
    parser.add_argument("--scan", choices=sorted(ScanMode), help="how the radio listens")
    parser.add_argument("--channel", help="software channel")
    parser.add_argument("--rest-s", type=int, metavar="N", help="rest between two readings")
    parser.add_argument(
        "--not-seen-after-h", type=int, metavar="N", help="hours until a device is not seen"
    )
    parser.add_argument(
        "--queue-growing-after-min", type=int, metavar="N", help="minutes until a queue grows"
    )
    parser.add_argument(
        "--battery-low-percent", type=int, metavar="N", help="from when on a battery is low"
    )
    parser.add_argument(
        "--decided-by", required=True, help="who decides: an HSA-id, else a name known here"
    )
    parser.add_argument("--json", action="store_true", help="print the version as JSON")
    parser.set_defaults(run=partial(_configure, clock))


def _list(clock: Clock, arguments: argparse.Namespace) -> int:
    now = clock()

    async def show(connection: Connection) -> None:
        async for one in gateways.every(connection, now=now):
            print(json.dumps(_plain(one), default=plain) if arguments.json else _line(one))

    as_ingest(show)
    return OK


def _show(clock: Clock, arguments: argparse.Namespace) -> int:
    now = clock()
    found: list[ShownGateway] = []

    async def show(connection: Connection) -> None:
        one = await gateways.one(connection, arguments.id, now=now)
        if one is None:
            return
        found.append(one)
        devices = await gateways.devices(
            connection, one, now=now, not_seen_after=await _allowed(connection, arguments.id)
        )
        past = await standing.ended(connection, arguments.id, _MOST_PAST)
        events = await standing.events(connection, arguments.id, _MOST_PAST)
        if arguments.json:
            whole = _plain(one) | {
                "devices": [_plain_device(each) for each in devices],
                "ended": [asdict(each) for each in past],
                "events": [asdict(each) for each in events],
            }
            print(json.dumps(whole, default=plain))
            return
        lines = [_line(one), *_about(one), *(_device_line(each) for each in devices)]
        lines += [
            f"  ended {_at(each.ended_at)}: {_kind(each.kind, each.device_id)}, "
            f"{_since(each.since, is_trusted=each.is_since_trusted)}{_said(each.detail)}"
            for each in past
        ]
        lines += [
            f"  {_at(each.at)}{'' if each.is_at_trusted else ' (clock not trusted)'}: "
            f"{_kind(each.condition or '', each.device_id, each.kind)}{_said(each.detail)}"
            for each in events
        ]
        print("\n".join(lines))

    as_ingest(show)
    if not found:
        print(f"No gateway {arguments.id!r} is registered.", file=sys.stderr)
        return FAILED
    return OK


def _configure(clock: Clock, arguments: argparse.Namespace) -> int:
    change = Change(
        devices=arguments.device,
        follows_assignments=arguments.from_assignments,
        is_any_device=arguments.any_device,
        pairing_minutes=arguments.pairing_minutes,
        values={
            name: value
            for name, option in _VALUES.items()
            if (value := getattr(arguments, option)) is not None
        },
    )

    async def configure(connection: Connection) -> None:
        made = await configuring.configure(
            connection, arguments.id, change, by=arguments.decided_by, now=clock()
        )
        body = made.configuration
        if arguments.json:
            print(msgspec.json.encode(body).decode())
        else:
            talks = "any device" if body.devices is None else f"{len(body.devices)} device(s)"
            window = f", pairing until {_at(body.pairing_until)}" if body.pairing_until else ""
            print(f"{arguments.id}: version {body.version} ({talks}{window}) goes out.")
        for each in made.left_out:
            print(f"Left out: {each!r} is no Bluetooth address, or one too many.", file=sys.stderr)

    as_operator(configure)
    return OK


async def _allowed(connection: Connection, gateway_id: str) -> timedelta:
    """Return how long a device may be unheard, by the gateway's newest configuration."""
    body = await configurations.newest_body(connection, gateway_id)
    if body is None:
        return NOT_SEEN_AFTER
    try:
        return timedelta(hours=decode_configuration(body.encode()).not_seen_after_h)
    except ContractError:
        return NOT_SEEN_AFTER


def _line(one: ShownGateway) -> str:
    if one.why:
        return f"{one.standing.gateway_id}  {_words(one.why[0])}"
    since = _since(one.gateway.changed_at, is_trusted=True)
    return f"{one.standing.gateway_id}  online, {since}"


def _about(one: ShownGateway) -> Iterable[str]:
    for why in one.why[1:]:
        yield f"  also: {_words(why)}"
    shown = {why.cause.value for why in one.why}
    for wrong in one.gateway.wrong:
        if wrong.device_id is None and wrong.kind not in shown:
            since = _since(wrong.since, is_trusted=wrong.is_since_trusted)
            yield f"  {_kind(wrong.kind, None)}, {since}{_said(wrong.detail)}"
    said = one.gateway.said
    if one.gateway.heard_at:
        yield f"  last heard {_at(one.gateway.heard_at)}"
    if said:
        software = said.software or "unknown"
        waits = "unknown" if said.undelivered is None else said.undelivered
        yield f"  software {software!r}, readings that wait: {waits}"
    issued, configured = one.standing.issued, one.standing.configured
    if issued is None:
        yield "  configuration: none"
    else:
        has = "has it" if configured == issued else f"has {configured or 'none'}"
        yield f"  configuration: version {issued}, the gateway {has}"


def _device_line(shown: ShownDevice) -> str:
    device = shown.device
    whose = "assigned" if device.is_assigned else "not assigned"
    last = (
        f"last reading {_at(device.last_reading_at)}" if device.last_reading_at else "no reading"
    )
    why = "; also: ".join(_words(each) for each in shown.why)
    return f"  {device.id}  {whose}, {last}; if nothing comes: {why}"


def _words(why: Explanation) -> str:
    since = _since(why.since, is_trusted=why.is_since_trusted)
    return f"{WORDS[why.cause]}, {since}{_said(why.detail)}"


def _since(since: datetime | None, *, is_trusted: bool) -> str:
    if since is None:
        return "since when is not known"
    return f"since {_at(since)}{'' if is_trusted else ' (clock not trusted)'}"


def _at(at: datetime) -> str:
    try:
        return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    except OverflowError:
        return "an impossible time"


def _kind(kind: str, device_id: str | None, event: str = "") -> str:
    words = " ".join(part for part in (event, kind) if part).replace("_", " ")
    return f"{words} of {device_id!r}" if device_id else words


def _said(detail: str | None) -> str:
    return f" ({detail})" if detail else ""


def _plain(one: ShownGateway) -> dict[str, Any]:
    return {
        "gateway_id": one.standing.gateway_id,
        "care_unit_id": one.standing.care_unit_id,
        "is_online": not one.why or one.why[0].cause not in _AWAY,
        "heard_at": one.gateway.heard_at,
        "changed_at": one.gateway.changed_at,
        "why": [asdict(each) for each in one.why],
        "conditions": [asdict(each) for each in one.gateway.wrong],
        "status": msgspec.to_builtins(one.gateway.said) if one.gateway.said else None,
        "configuration_issued": one.standing.issued,
        "configuration_reported": one.standing.configured,
    }


def _plain_device(shown: ShownDevice) -> dict[str, Any]:
    return asdict(shown.device) | {"why": [asdict(each) for each in shown.why]}


_AWAY: Final = frozenset(
    {Cause.SERVER_DEAF, Cause.NEVER_CONNECTED, Cause.CERTIFICATE, Cause.GATEWAY_OFFLINE}
)
