"""``hemvital-ingest channels``: by which channels staff and the operator are told."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from ingest_service.commands.database import (
    FAILED,
    OK,
    USAGE,
    Clock,
    Commands,
    as_operator,
    plain,
)
from ingest_service.messages import kinds
from ingest_service.messages.message import STAFF, Recipient
from ingest_service.notifying import addresses
from ingest_service.notifying.addresses import AddressError
from ingest_service.notifying.credentials import NAME
from ingest_service.store import channels, messages, notifications
from ingest_service.store.channels import Channel, ChannelError, NewChannel
from ingest_service.store.connections import Connection
from ingest_service.store.messages import MessageRow
from ingest_service.store.notifications import Standing

_LOOK_EVERY_S: Final = 0.5
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}")
_OVER: Final = frozenset({"delivered", "given_up", "cancelled"})


def add(commands: Commands, clock: Clock) -> None:
    """Add ``channels`` and what can be done with them."""
    about = "By which channels a unit's staff and the operator are told."
    parser = commands.add_parser("channels", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="list|add|test|disable")
    everyone = within.add_parser("list", help="The channels in use.")
    everyone.add_argument("--all", action="store_true", help="also those that were disabled")
    everyone.add_argument("--json", action="store_true", help="one JSON object a line")
    everyone.set_defaults(run=_list)

    new = within.add_parser("add", help="Add a channel; prints its number.")
    new.add_argument("--unit", type=UUID, help="id of the care unit; none for the operator")
    new.add_argument("--role", required=True, choices=sorted(STAFF))
    new.add_argument("--kind", required=True, choices=("webhook", "email", "sms"))
    new.add_argument("--address", required=True, help="https://…, name@example.org or +46…")
    new.add_argument("--secret", help="webhook: name of the file with its signing secret")
    new.add_argument("--language", default="sv", help="BCP 47 (default: sv)")
    new.add_argument(
        "--priority",
        action="append",
        choices=("red", "yellow", "blue"),
        help="of alerts that are told; may be repeated (default: red)",
    )
    new.add_argument("--hours", default="always", choices=("always", "open", "closed"))
    new.add_argument(
        "--rank",
        type=int,
        default=1,
        choices=range(1, 10),
        metavar="1…9",
        help="the lowest is told at once, the next where that fails (default: 1)",
    )
    new.add_argument("--by", required=True, help="who decided, as it will be kept")
    new.add_argument("--json", action="store_true", help="a JSON object")
    new.set_defaults(run=partial(_add, clock))

    trial = within.add_parser("test", help="Send a test message by a channel and say how it went.")
    trial.add_argument("id", type=int)
    trial.add_argument("--wait", type=float, default=90.0, help="seconds to wait (default: 90)")
    trial.add_argument("--json", action="store_true", help="a JSON object")
    trial.set_defaults(run=partial(_test, clock))

    end = within.add_parser("disable", help="Use a channel no more.")
    end.add_argument("id", type=int)
    end.add_argument("--by", required=True, help="who decided, as it will be kept")
    end.add_argument("--json", action="store_true", help="a JSON object")
    end.set_defaults(run=partial(_disable, clock))


def _list(arguments: argparse.Namespace) -> int:
    async def show(connection: Connection) -> None:
        for one in await channels.everyone(connection, is_all=arguments.all):
            if arguments.json:
                shown = {**asdict(one), "address": _shown(one)}
                print(json.dumps(shown, default=plain))
            else:
                whose = one.care_unit_id or "the platform"
                state = "" if one.is_active else "  DISABLED"
                print(
                    f"{one.id:>6}  {whose}  {one.recipient}  rank {one.rank}  {one.kind}  "
                    f"{_shown(one)}  {','.join(one.priorities)}  {one.hours}  "
                    f"{one.language}{state}"
                )

    as_operator(show)
    return OK


def _shown(channel: Channel) -> str:
    """Return an address without what may be a secret of it: many services hide one in the path."""
    if channel.kind != "webhook":
        return channel.address
    return f"https://{urlsplit(channel.address).netloc}/…"


def _add(clock: Clock, arguments: argparse.Namespace) -> int:
    wrong = _wrong(arguments)
    if wrong is not None:
        print(wrong, file=sys.stderr)
        return USAGE
    channel = NewChannel(
        care_unit_id=arguments.unit,
        recipient=arguments.role,
        kind=arguments.kind,
        address=arguments.address,
        secret=arguments.secret,
        language=arguments.language,
        priorities=tuple(dict.fromkeys(arguments.priority or ["red"])),
        hours=arguments.hours,
        rank=arguments.rank,
    )
    found: list[int] = []

    async def put(connection: Connection) -> None:
        found.append(await channels.add(connection, channel, by=arguments.by, at=clock()))

    try:
        as_operator(put)
    except ChannelError as error:
        print(error, file=sys.stderr)
        return FAILED
    print(json.dumps({"id": found[0]}) if arguments.json else found[0])
    return OK


def _wrong(arguments: argparse.Namespace) -> str | None:
    """Return what is wrong with a channel, in one sentence."""
    is_operator, secret = arguments.role == Recipient.OPERATOR, arguments.secret
    problems = (
        (
            is_operator != (arguments.unit is None),
            "The operator has no --unit; every other role needs one.",
        ),
        (not arguments.by.strip(), "--by must name who decided."),
        (
            (arguments.kind == "webhook") != (secret is not None),
            "A webhook needs --secret, the name of a file; other kinds have none.",
        ),
        (
            secret is not None and not NAME.fullmatch(secret),
            "--secret is the name of a file: small letters, digits, '.', '_' and '-'.",
        ),
        (
            not _LANGUAGE.fullmatch(arguments.language),
            "--language is a BCP 47 tag, as sv or en-GB.",
        ),
    )
    for is_wrong, sentence in problems:
        if is_wrong:
            return sentence
    try:
        addresses.check(arguments.kind, arguments.address)
    except AddressError as error:
        return str(error)
    return None


def _test(clock: Clock, arguments: argparse.Namespace) -> int:
    now = clock()
    found: list[UUID] = []

    async def put(connection: Connection) -> None:
        channel = await channels.one(connection, arguments.id)
        if channel is None or not channel.is_active:
            return
        message = MessageRow.of(
            kinds.trial(
                f"test:{channel.id}:{now.isoformat()}",
                Recipient(channel.recipient),
                channel.care_unit_id,
                now + timedelta(minutes=15),
            ),
            created_at=now,
        )
        await messages.put_handed_on(connection, message, at=now)
        telling = notifications.row_of(message.id, channel.id)
        await notifications.queue(connection, [telling], at=now)
        found.append(telling.id)

    as_operator(put)
    if not found:
        print(f"There is no channel {arguments.id} in use.", file=sys.stderr)
        return FAILED
    standing = _awaited(found[0], arguments.wait)
    if arguments.json:
        print(json.dumps({"notification_id": str(found[0]), **asdict(standing)}))
    else:
        print(_sentence(standing))
    return OK if standing.state == "delivered" else FAILED


def _awaited(notification_id: UUID, wait_s: float) -> Standing:
    """Look until it is over or the time is."""
    deadline = time.monotonic() + wait_s
    while True:
        looked = list[Standing]()

        async def look(connection: Connection, looked: list[Standing] = looked) -> None:
            standing = await notifications.standing(connection, notification_id)
            looked.extend([] if standing is None else [standing])

        as_operator(look)
        if not looked or looked[0].state in _OVER or time.monotonic() > deadline:
            return looked[0] if looked else Standing("unknown", 0, None)
        time.sleep(_LOOK_EVERY_S)


def _sentence(standing: Standing) -> str:
    tried = f"after {standing.attempts} attempt(s)"
    match standing.state:
        case "delivered":
            return f"delivered {tried}"
        case "queued":
            return "nobody has tried yet: do the jobs run?"
        case "given_up":
            return f"given up {tried}: {standing.error}"
        case _:
            return f"not delivered {tried}, and still being tried: {standing.error or '-'}"


def _disable(clock: Clock, arguments: argparse.Namespace) -> int:
    is_done: list[bool] = []

    async def end(connection: Connection) -> None:
        is_done.append(await channels.end(connection, arguments.id, by=arguments.by, at=clock()))

    as_operator(end)
    if not all(is_done):
        print(f"There is no channel {arguments.id} in use.", file=sys.stderr)
        return FAILED
    if arguments.json:
        print(json.dumps({"id": arguments.id, "is_active": False}))
    return OK
