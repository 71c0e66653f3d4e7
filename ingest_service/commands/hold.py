"""``hemvital-ingest hold``: of these patients nothing is destroyed or forgotten."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from functools import partial
from uuid import UUID

from ingest_service.commands.database import FAILED, OK, Clock, Commands, as_owner, plain
from ingest_service.store import holds
from ingest_service.store.connections import Connection


def add(commands: Commands, clock: Clock) -> None:
    """Add ``hold`` and what can be done with it."""
    about = "Hold a patient's record: nothing of it is destroyed or forgotten."
    parser = commands.add_parser("hold", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="set|release|list")
    put = within.add_parser("set", help="Hold a patient's record; prints the hold's number.")
    put.add_argument("--patient", type=UUID, required=True)
    put.add_argument("--by", required=True, help="who decided, as it will be kept")
    put.add_argument("--why", required=True, help="the reason, without names")
    put.set_defaults(run=partial(_set, clock))
    release = within.add_parser("release", help="End a hold.")
    release.add_argument("id", type=int)
    release.add_argument("--by", required=True, help="who decided, as it will be kept")
    release.set_defaults(run=partial(_release, clock))
    one = within.add_parser("list", help="The holds that stand.")
    one.add_argument("--all", action="store_true", help="also those that have ended")
    one.add_argument("--json", action="store_true", help="one JSON object a line")
    one.set_defaults(run=_list)


def _set(clock: Clock, arguments: argparse.Namespace) -> int:
    found: list[int] = []

    async def put(connection: Connection) -> None:
        hold_id = await holds.put(
            connection, arguments.patient, reason=arguments.why, by=arguments.by, at=clock()
        )
        found.extend([] if hold_id is None else [hold_id])

    as_owner(put)
    if not found:
        print("No such patient.", file=sys.stderr)
        return FAILED
    print(found[0])
    return OK


def _release(clock: Clock, arguments: argparse.Namespace) -> int:
    is_done: list[bool] = []

    async def release(connection: Connection) -> None:
        is_done.append(await holds.release(connection, arguments.id, by=arguments.by, at=clock()))

    as_owner(release)
    if not all(is_done):
        print(f"No hold {arguments.id} stands.", file=sys.stderr)
        return FAILED
    return OK


def _list(arguments: argparse.Namespace) -> int:
    async def show(connection: Connection) -> None:
        for hold in await holds.page(connection, is_all=arguments.all):
            if arguments.json:
                print(json.dumps(asdict(hold), default=plain))
            else:
                ended = f", ended {hold.released_at:%Y-%m-%d}" if hold.released_at else ""
                print(
                    f"{hold.id:>6}  {hold.patient_id}  since {hold.since:%Y-%m-%d}{ended}  "
                    f"{hold.decided_by}: {hold.reason}"
                )

    as_owner(show)
    return OK
