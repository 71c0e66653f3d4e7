"""``hemvital-ingest quarantine``: what waits, and what a person decides about it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from uuid import UUID

from ingest_service.commands.database import FAILED, OK, Commands, as_ingest, plain
from ingest_service.store import alerts, quarantine
from ingest_service.store.connections import Connection


def add(commands: Commands) -> None:
    """Add ``quarantine`` and what can be done with it."""
    about = "Look at what waits in the quarantine, and decide."
    parser = commands.add_parser("quarantine", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="list|show|reject")
    one = within.add_parser("list", help="What waits, oldest first.")
    one.add_argument("--all", action="store_true", help="also what waits no longer")
    one.add_argument("--json", action="store_true", help="one JSON object a line")
    one.set_defaults(run=_list)
    show = within.add_parser("show", help="The bytes of one entry, as they came.")
    show.add_argument("id", type=int)
    show.set_defaults(run=_show)
    reject = within.add_parser("reject", help="Decide that an entry is in nobody's record.")
    reject.add_argument("id", type=int)
    reject.add_argument("--by", required=True, help="who decided, as it will be kept")
    reject.set_defaults(run=_reject)


def _list(arguments: argparse.Namespace) -> int:
    async def show(connection: Connection) -> None:
        after = 0
        while page := await quarantine.page(connection, after=after, is_all=arguments.all):
            for entry in page:
                if arguments.json:
                    print(json.dumps(asdict(entry), default=plain))
                else:
                    at = f"{entry.received_at:%Y-%m-%d %H:%M:%S}Z"
                    number = entry.number or "-"
                    print(f"{entry.id:>8}  {at}  {entry.gateway_id}  {number}  ", end="")
                    priority = f"{entry.priority}  ".upper() if entry.priority else ""
                    print(f"{priority}{entry.reason}: {entry.detail}")
            after = page[-1].id

    as_ingest(show)
    return OK


def _show(arguments: argparse.Namespace) -> int:
    found: list[bytes] = []

    async def show(connection: Connection) -> None:
        if (payload := await quarantine.payload(connection, arguments.id)) is not None:
            found.append(payload)

    as_ingest(show)
    if not found:
        print(f"The quarantine has no entry {arguments.id}.", file=sys.stderr)
        return FAILED
    sys.stdout.buffer.write(found[0])
    sys.stdout.buffer.flush()
    return OK


def _reject(arguments: argparse.Namespace) -> int:
    found: list[UUID | None] = []

    async def reject(connection: Connection) -> None:
        if entry := await quarantine.reject(connection, arguments.id, by=arguments.by):
            found.append(entry[1])
            await alerts.notify_pages(connection, {unit for unit in found if unit})

    as_ingest(reject)
    if not found:
        print(f"No entry {arguments.id} waits in the quarantine.", file=sys.stderr)
        return FAILED
    return OK
